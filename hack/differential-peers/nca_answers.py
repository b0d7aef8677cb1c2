"""What network-config-analyzer says about clusters: reads lines of JSON, writes them with answers.

`--time` measures how long it takes for all pairs of each cluster instead. It is used as a library, in this process:
one start for thousands of clusters.
"""

import ipaddress
import json
import os
import sys
import tempfile
import time

from nca.CoreDS.Peer import BasePeerSet, IpBlock
from nca.NetworkConfig.NetworkConfigQueryRunner import NetworkConfigQueryRunner  # noqa: F401 (import order)
from nca.NetworkConfig.ResourcesHandler import ResourcesHandler
from nca.Resources.PolicyResources.NetworkPolicy import PolicyConnectionsFilter
from nca.Utils.OutputConfiguration import OutputConfiguration  # noqa: F401
from nca.Utils.NcaLogger import NcaLogger

PROTOCOL_NUMBERS = {"TCP": 6, "UDP": 17, "SCTP": 132}


def manifests(case):
    for name, labels in case["namespaces"].items():
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    for pod in case["pods"]:
        ports = [{"name": p["name"], "protocol": p["protocol"], "containerPort": p["port"]} for p in pod["ports"]]
        yield {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": pod["name"], "namespace": pod["namespace"], "labels": pod["labels"]},
            "spec": {"containers": [{"name": "c", "image": "i", "ports": ports}]},
            "status": {"podIP": pod["address"], "hostIP": "192.0.2.1"},
        }
    for policy in case["policies"]:
        yield {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": policy["name"], "namespace": policy["namespace"]},
            "spec": policy["spec"],
        }


def load(case, folder):
    path = os.path.join(folder, "all.yaml")
    with open(path, "w", encoding="utf-8") as file:
        # JSON documents in a YAML stream: read by any YAML parser, and without surprises about quoting.
        file.write("\n---\n".join(json.dumps(manifest) for manifest in manifests(case)))
    BasePeerSet.reset()
    return ResourcesHandler().get_network_config([folder], [folder], [folder], None)


def cubes(config):
    allowed = config.allowed_connections(res_conns_filter=PolicyConnectionsFilter.only_all_allowed_connections())
    connections = allowed.all_allowed_conns
    for raw in connections:
        cube = connections.get_connectivity_cube(raw)
        yield cube["src_peers"], cube["dst_peers"], cube["protocols"], cube["dst_ports"]


def members(peers, case, pods):
    """The ends of a case that a set of peers holds."""
    blocks = [peer for peer in peers if isinstance(peer, IpBlock)]
    names = {peer.full_name() for peer in peers if not isinstance(peer, IpBlock)}
    found = [at for at, name in enumerate(pods) if name in names]
    for at, text in enumerate(case["outside"]):
        address = ipaddress.ip_address(text)
        if any(r.start.address <= address <= r.end.address
               for block in blocks for r in block if r.start.address.version == address.version):
            found.append(len(pods) + at)
    return found


def answers(case, config):
    pods = [f"{pod['namespace']}/{pod['name']}" for pod in case["pods"]]
    allowed = set()
    for sources, destinations, protocols, ports in cubes(config):
        wanted = []
        for port in case["ports"]:
            number = PROTOCOL_NUMBERS[port["protocol"]]
            if number in protocols and any(i.start <= port["port"] <= i.end for i in ports.port_set):
                wanted.append((port["protocol"], port["port"]))
        froms, tos = members(sources, case, pods), members(destinations, case, pods)
        allowed.update((f, t, *port) for f in froms for t in tos for port in wanted)
    ends = len(pods) + len(case["outside"])
    for source in range(ends):
        for destination in range(ends):
            if source == destination or (source >= len(pods) and destination >= len(pods)):
                continue
            for port in case["ports"]:
                key = (source, destination, port["protocol"], port["port"])
                yield dict(zip(("from", "to", "protocol", "port"), key), allowed=key in allowed)


def main():
    timed = "--time" in sys.argv
    NcaLogger().mute()
    stdout = sys.stdout
    with tempfile.TemporaryDirectory() as folder:
        for line in sys.stdin:
            case = json.loads(line)
            case["by"] = "network-config-analyzer"
            # It prints as it goes; only answers belong on standard output.
            sys.stdout = sys.stderr
            config = load(case, folder)
            start = time.monotonic()
            if timed:
                count = sum(1 for _ in cubes(config))
                sys.stdout = stdout
                print(f"{case['name']}\t{count}\t{time.monotonic() - start:.3f}", flush=True)
                continue
            case["answers"] = list(answers(case, config))
            sys.stdout = stdout
            print(json.dumps(case))


if __name__ == "__main__":
    main()
