"""What the lab consists of: hosts, addresses and places. One file, no logic."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

NAME = os.environ.get("LAB_NAME", "lab")
"""Labs of different names live side by side: each has its own namespaces and state."""

STATE = Path(os.environ.get("LAB_STATE", f"/var/lib/homelab-data-platform/{NAME}"))
CHECKOUT = Path(__file__).resolve().parent.parent
INVENTORY = CHECKOUT / "inventory" / "lab"

DOMAIN = "lab.test"
LAN = "10.31.0.0/24"
POD_NETWORK = "10.244.0.0/16"
SERVICE_NETWORK = "10.96.0.0/16"
KUBERNETES_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"
ADMIN_USER = "debian"
"""The ordinary user (with sudo) on the bastion and the nodes."""


@dataclass(frozen=True)
class Host:
    """A host on the lab's LAN, in a network namespace of its own."""

    name: str
    address: str
    alias: str = ""
    """A second name below DOMAIN, as clients use it."""

    @property
    def namespace(self) -> str:
        """Name of the network namespace, as `ip netns` shows it."""
        return f"{NAME}-{self.name}"

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that resolves to the host."""
        return (self.name, f"{self.name}.{DOMAIN}", *((f"{self.alias}.{DOMAIN}",) if self.alias else ()))


@dataclass(frozen=True)
class Node(Host):
    """A Kubernetes node: a machine with a VM number in Proxmox and a range of pod addresses."""

    vmid: int = 0
    pod_network: str = ""


SWITCH = Host("switch", "10.31.0.1")
BASTION = Host("vm-bastion", "10.31.0.10")
PROXMOX = Host("pve", "10.31.0.20")
CONTROL_PLANE = Host("control-plane", "10.31.0.30")
WORKER_1 = Node("k8s-worker-01", "10.31.0.31", vmid=301, pod_network="10.244.1.0/24")
WORKER_2 = Node("k8s-worker-02", "10.31.0.32", vmid=302, pod_network="10.244.2.0/24")
MINIO = Host("minio", "10.31.0.40")
GIT = Host("git", "10.31.0.50")

NODES = (WORKER_1, WORKER_2)
HOSTS: tuple[Host, ...] = (BASTION, PROXMOX, CONTROL_PLANE, *NODES, MINIO, GIT)

PROXMOX_PORT = 8006
APISERVER_PORT = 6443
MINIO_PORT = 9000
INGRESS_PORT = 30998
"""The ingress controller's NodePort, by the platform's default."""

PROXMOX_USER = "ansible@pve"
PROXMOX_TOKEN_ID = "data-platform"  # noqa: S105 - its name, not its secret
GIT_REPOSITORY = "data-platform-core"

IMAGES = {
    WORKER_1.name: ("image-pause", "image-postgres", "image-airflow", "image-git-sync"),
    WORKER_2.name: ("image-pause", "image-spark", "image-spark-s3a", "image-spark-operator", "image-traefik"),
}
"""The images that each node holds; there is no image registry in the lab."""
MORE_COMPONENTS = tuple(os.environ.get("LAB_COMPONENTS", "").split())
"""Components that a scenario needs as well, such as a browser. The node of Airflow holds those that are images."""
