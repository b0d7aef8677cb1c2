"""Random small clusters, the same ones for the same seed: `clusters.py FIRST COUNT [WITHOUT...]`, one line of JSON each.

WITHOUT leaves out what an evaluator is known to read in another way (docs/decisions/0013): `not-in`, the operator
NotIn; `keys-across`, the operators Exists and DoesNotExist in a pod selector beside a namespace selector.

The vocabulary is small, so that rules meet often, and stays within what every evaluator reads: lower-case label
values, one address a pod, and port names that stand for one number on a pod.
`clusters.py --shape NAMESPACES` writes one large cluster instead, for benchmarks.
"""

import ipaddress
import json
import random
import sys

WITHOUT = set(sys.argv[3:])
PROTOCOLS = ["TCP", "UDP", "SCTP"]
BLOCKS = [
    ("0.0.0.0/0", ["10.0.0.0/8", "192.168.0.0/16"]),
    ("10.0.0.0/8", ["10.1.0.0/16"]),
    ("10.1.0.0/16", []),
    ("128.0.0.0/1", ["192.168.0.0/16"]),
    ("::/0", ["fd00::/8"]),
    ("fd00::/8", []),
]
ADDRESSES = ["10.0.0.{}", "10.1.0.{}", "172.16.0.{}", "fd00::{}"]
OUTSIDE = ["10.0.200.1", "10.1.200.1", "11.0.0.1", "192.168.0.1", "200.0.0.1", "fd00:1::1", "2001:db8::1"]
NUMBERS = [1, 79, 80, 81, 82, 443, 444, 7777, 65535]


def labels(rng, keys, values):
    return {key: rng.choice(values) for key in keys if rng.random() < 0.6}


def selector(rng, keys, values, keys_alone=True):
    if rng.random() < 0.2:
        return {}
    chosen = {}
    if rng.random() < 0.6:
        chosen["matchLabels"] = {rng.choice(keys): rng.choice(values)}
    if rng.random() < 0.5 or not chosen:
        operators = ["In", "NotIn", "Exists", "DoesNotExist"] if keys_alone else ["In", "NotIn"]
        if "not-in" in WITHOUT:
            operators.remove("NotIn")
        operator = rng.choice(operators)
        expression = {"key": rng.choice(keys), "operator": operator}
        if operator in ("In", "NotIn"):
            expression["values"] = rng.sample(values, rng.randint(1, 2))
        chosen["matchExpressions"] = [expression]
    return chosen


def pod_selector(rng, keys_alone=True):
    return selector(rng, ["a", "b"], ["x", "y", "z"], keys_alone)


def namespace_selector(rng):
    if rng.random() < 0.4:
        return {"matchLabels": {"kubernetes.io/metadata.name": rng.choice(["n0", "n1", "n2"])}}
    return selector(rng, ["t", "u"], ["x", "y"])


def peer(rng, blocks):
    if blocks and rng.random() < 0.3:
        cidr, holes = rng.choice(BLOCKS)
        block = {"cidr": cidr}
        if holes and rng.random() < 0.5:
            block["except"] = rng.sample(holes, rng.randint(1, len(holes)))
        return {"ipBlock": block}
    chosen = {}
    if rng.random() < 0.6:
        chosen["namespaceSelector"] = namespace_selector(rng)
    if rng.random() < 0.6 or not chosen:
        across = "namespaceSelector" in chosen and "keys-across" in WITHOUT
        chosen["podSelector"] = pod_selector(rng, not across)
    return chosen


def port(rng, names):
    chosen = {}
    if rng.random() < 0.7:
        chosen["protocol"] = rng.choice(PROTOCOLS)
    kind = rng.random()
    if names and kind < 0.2:
        chosen["port"] = rng.choice(["web", "dns"])
    elif kind < 0.7:
        chosen["port"] = rng.choice(NUMBERS)
    elif kind < 0.9:
        first = rng.choice(NUMBERS)
        chosen["port"] = first
        chosen["endPort"] = rng.choice([n for n in NUMBERS if n >= first])
    return chosen


def rules(rng, field, names):
    """Up to three rules. A named egress port never stands beside addresses: docs/decisions/0013 says why."""
    listed = []
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        rule = {}
        named = names and rng.random() < 0.3
        if rng.random() < 0.8 or (named and field == "to"):
            blocks = field == "from" or not named
            rule[field] = [peer(rng, blocks) for _ in range(rng.randint(1, 3))]
        if rng.random() < 0.7 or named:
            rule["ports"] = [port(rng, named) for _ in range(rng.randint(1, 3))]
        listed.append(rule)
    return listed


def policy(rng, at):
    spec = {"podSelector": pod_selector(rng), "policyTypes": rng.choice([["Ingress"], ["Egress"], ["Ingress", "Egress"]])}
    if "Ingress" in spec["policyTypes"]:
        spec["ingress"] = rules(rng, "from", True)
    if "Egress" in spec["policyTypes"]:
        spec["egress"] = rules(rng, "to", True)
    return {"namespace": rng.choice(["n0", "n1", "n2"]), "name": f"p{at}", "spec": spec}


def cluster(seed):
    rng = random.Random(seed)
    namespaces = {}
    for name in ["n0", "n1", "n2"]:
        namespaces[name] = {"kubernetes.io/metadata.name": name, **labels(rng, ["t", "u"], ["x", "y"])}
    pods = []
    for at in range(rng.randint(3, 6)):
        ports = []
        if rng.random() < 0.7:
            ports.append({"name": "web", "protocol": "TCP", "port": rng.choice([80, 443])})
        if rng.random() < 0.4:
            ports.append({"name": "dns", "protocol": "UDP", "port": 7777})
        pods.append({
            "namespace": rng.choice(["n0", "n1", "n2"]),
            "name": f"pod{at}",
            "labels": labels(rng, ["a", "b"], ["x", "y", "z"]),
            "address": rng.choice(ADDRESSES).format(at + 1),
            "ports": ports,
        })
    return {
        "name": f"seed {seed}",
        "namespaces": namespaces,
        "pods": pods,
        "policies": [policy(rng, at) for at in range(rng.randint(1, 6))],
        "outside": OUTSIDE,
        "ports": [{"protocol": protocol, "port": number} for protocol in PROTOCOLS for number in NUMBERS],
    }


def shape(count):
    """Five pods and four policies a namespace, none of them open to everybody."""
    rng = random.Random(count)
    namespaces, pods, policies = {}, [], []
    for n in range(count):
        name = f"n{n}"
        namespaces[name] = {"kubernetes.io/metadata.name": name, "team": f"t{n % 10}"}
        for p in range(5):
            address = str(ipaddress.ip_address("10.0.0.1") + len(pods))
            ports = [{"name": "web", "protocol": "TCP", "port": 8080}]
            pods.append({"namespace": name, "name": f"p{p}", "labels": {"app": f"a{p}"}, "address": address, "ports": ports})
        other = {"matchLabels": {"kubernetes.io/metadata.name": f"n{rng.randrange(count)}"}}
        team = {"matchLabels": {"team": f"t{rng.randrange(10)}"}}
        specs = [
            {"podSelector": {}, "policyTypes": ["Ingress"]},
            {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}]}]},
            {"podSelector": {"matchLabels": {"app": "a0"}}, "policyTypes": ["Ingress"],
             "ingress": [{"from": [{"namespaceSelector": other}, {"ipBlock": {"cidr": "172.16.0.0/12"}}], "ports": [{"port": 8080}]}]},
            {"podSelector": {"matchLabels": {"app": "a1"}}, "policyTypes": ["Egress"],
             "egress": [{"to": [{"namespaceSelector": team}], "ports": [{"port": 8080}, {"protocol": "UDP", "port": 53}]}]},
        ]
        policies += [{"namespace": name, "name": f"p{at}", "spec": spec} for at, spec in enumerate(specs)]
    return {"name": f"{len(pods)} pods", "namespaces": namespaces, "pods": pods, "policies": policies, "outside": [],
            "ports": [{"protocol": "TCP", "port": 8080}, {"protocol": "UDP", "port": 53}]}


def main():
    if sys.argv[1] == "--shape":
        print(json.dumps(shape(int(sys.argv[2]))))
        return
    first, count = int(sys.argv[1]), int(sys.argv[2])
    for seed in range(first, first + count):
        print(json.dumps(cluster(seed)))


if __name__ == "__main__":
    main()
