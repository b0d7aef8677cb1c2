"""Clusters on which evaluators are known to differ from the API: `known.py EVALUATOR`. docs/decisions/0013."""

import json
import sys

PORTS = [{"protocol": "TCP", "port": 80}]


def cluster(name, spec, labels):
    """A pod in `home` that the policy is about, and one elsewhere with these labels."""
    web = [{"name": "web", "protocol": "TCP", "port": 80}]
    pods = [
        {"namespace": "home", "name": "subject", "labels": {}, "address": "10.0.0.1", "ports": web},
        {"namespace": "away", "name": "peer", "labels": labels, "address": "10.0.0.2", "ports": web},
    ]
    namespaces = {n: {"kubernetes.io/metadata.name": n} for n in ("home", "away")}
    policies = [{"namespace": "home", "name": "p", "spec": spec}]
    return {"name": name, "namespaces": namespaces, "pods": pods, "policies": policies, "outside": [], "ports": PORTS}


def ingress(peer):
    return {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [peer]}]}


def selecting(key, operator, *values):
    expression = {"key": key, "operator": operator}
    if values:
        expression["values"] = list(values)
    return {"matchExpressions": [expression]}


KNOWN = {
    "cyclonus": [
        cluster(
            "NotIn matches a label set without the key",
            ingress({"namespaceSelector": {}, "podSelector": selecting("role", "NotIn", "db")}),
            {},
        ),
        cluster(
            "a named port means nothing towards an address",
            {"podSelector": {}, "policyTypes": ["Egress"],
             "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": "web"}]}]},
            {},
        ),
    ],
    "network-config-analyzer": [
        cluster(
            "Exists in a pod selector beside a namespace selector looks into those namespaces",
            ingress({"namespaceSelector": {}, "podSelector": selecting("role", "Exists")}),
            {"role": "db"},
        ),
        cluster(
            "DoesNotExist in a pod selector beside a namespace selector looks into those namespaces",
            ingress({"namespaceSelector": {}, "podSelector": selecting("role", "DoesNotExist")}),
            {},
        ),
    ],
}

for case in KNOWN[sys.argv[1]]:
    print(json.dumps(case))
