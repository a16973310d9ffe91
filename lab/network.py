"""The LAN: a switch (bridge) in a namespace of its own, and one namespace with `eth0` a host. Nothing on the machine's own network."""

from __future__ import annotations

import json
from pathlib import Path

from lab.settings import HOSTS, LAN, NODES, SWITCH, Host
from lab.shell import in_namespace, run

_PREFIX = LAN.split("/")[1]


def up() -> None:
    """Bring every namespace, link, address and route into being; what is there already is left alone."""
    _switch()
    for host in HOSTS:
        _host(host)


def down() -> None:
    """Remove the lab's namespaces; their links go with them."""
    for line in run(["ip", "netns", "list"]).splitlines():
        name = line.split()[0]
        if name in {host.namespace for host in (SWITCH, *HOSTS)}:
            run(["ip", "netns", "delete", name])


def _namespace(host: Host) -> None:
    if not Path("/var/run/netns", host.namespace).exists():
        run(["ip", "netns", "add", host.namespace])
    _ip(host, "link", "set", "lo", "up")


def _switch() -> None:
    _namespace(SWITCH)
    if "br0" not in _links(SWITCH):
        _ip(SWITCH, "link", "add", "br0", "type", "bridge")
    _ip(SWITCH, "address", "replace", f"{SWITCH.address}/{_PREFIX}", "dev", "br0")
    _ip(SWITCH, "link", "set", "br0", "up")


def _host(host: Host) -> None:
    _namespace(host)
    port = f"port{host.address.rsplit('.', 1)[1]}"
    if "eth0" not in _links(host):
        _ip(SWITCH, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host.namespace)
    _ip(SWITCH, "link", "set", port, "master", "br0", "up")
    _ip(host, "address", "replace", f"{host.address}/{_PREFIX}", "dev", "eth0")
    _ip(host, "link", "set", "eth0", "up")
    # kubelet and kube-proxy want a default route; nothing in the lab leads out.
    _ip(host, "route", "replace", "default", "via", SWITCH.address)
    for node in NODES:
        if node != host:
            _ip(host, "route", "replace", node.pod_network, "via", node.address)
    run([*in_namespace(host), "sysctl", "-qw", "net.ipv4.ip_forward=1"])


def _ip(host: Host, *words: str) -> str:
    return run(["ip", "-n", host.namespace, *words])


def _links(host: Host) -> set[str]:
    return {link["ifname"] for link in json.loads(run(["ip", "-n", host.namespace, "-json", "link"]))}
