"""The Proxmox host: its API on TLS, the machines that it knows, and the token that the platform uses."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from lab import node, pki, secret_store
from lab.nspawn_guest import NspawnGuest
from lab.proxmox.guest import Guest
from lab.proxmox.state import Store, seed, volume_file
from lab.qemu_guest import QemuGuest
from lab.service import Service
from lab.settings import CHECKOUT, NODES, PROXMOX, PROXMOX_PORT, PROXMOX_TOKEN_ID, PROXMOX_USER, STATE, WORKER_1, Node
from lab.shell import in_namespace, run
from lab.virtual_machine import VirtualMachine

_DIRECTORY = STATE / "proxmox"
_PRIVILEGES = {
    "/vms": ["VM.Audit", "VM.Config.Disk"],
    "/storage/local-lvm": ["Datastore.AllocateSpace"],
}
"""The least that `proxmox_vm_disk` needs; the README names the same."""


def guest() -> NspawnGuest:
    """What the disks of the virtual machines are plugged into."""
    return NspawnGuest({worker.vmid: node.machine(worker) for worker in NODES})


def virtual_guest() -> QemuGuest:
    """The same for a lab whose first node is a real virtual machine, and the only one that there is."""
    return QemuGuest({WORKER_1.vmid: VirtualMachine(WORKER_1)})


def boot_volume(worker: Node) -> Path:
    """The file behind a machine's boot disk, once the service has been described."""
    return volume_file(_DIRECTORY, _boot_disk(worker))


def switch_on(worker: Node) -> None:
    """Let the machine be on from the service's next start."""
    Store(_DIRECTORY).set_status(worker.vmid, "running")


def service(guest: Callable[[], Guest] = guest, config: Mapping[str, str] | None = None) -> Service:
    """The API; what it knows already stays as it is.

    Disks are plugged into what the factory `guest` makes; `config` is what differs in the virtual machines' configuration.
    """
    common = {"boot": "order=scsi0", "scsihw": "virtio-scsi-single", "cores": "2", "memory": "8192", "ostype": "l26", **(config or {})}
    seed(
        _DIRECTORY,
        vms=[
            {
                "vmid": worker.vmid,
                "name": worker.name,
                "node": PROXMOX.name,
                "config": {**common, "scsi0": f"{_boot_disk(worker)},size=20G"},
            }
            for worker in NODES
        ],
        storages=[{"storage": "local-lvm", "type": "lvmthin", "capacity": "200G"}],
        tokens=[{"userid": PROXMOX_USER, "tokenid": PROXMOX_TOKEN_ID, "secret": secret_store.token("proxmox-token"), "acl": _PRIVILEGES}],
    )
    pair = pki.server(PROXMOX)
    return Service(
        "proxmox",
        [
            *(sys.executable, "-m", "lab.proxmox", "--state", _DIRECTORY, "--host", PROXMOX.address, "--port", str(PROXMOX_PORT)),
            *("--cert", pair.certificate, "--key", pair.key, "--guest", f"{__name__}:{guest.__name__}"),
        ],
        PROXMOX,
        _answers,
        {"PYTHONPATH": str(CHECKOUT)},
    )


def _boot_disk(worker: Node) -> str:
    return f"local-lvm:vm-{worker.vmid}-disk-0"


def _answers() -> bool:
    """Whether the API asks for a token: that is an answer too."""
    url = f"https://{PROXMOX.address}:{PROXMOX_PORT}/"
    argv = [
        "curl",
        "--silent",
        "--max-time",
        "5",
        "--output",
        "/dev/null",
        "--cacert",
        str(pki.authority().certificate),
        "--write-out",
        "%{http_code}",
        url,
    ]
    return run([*in_namespace(PROXMOX), *argv], check=False).strip() not in ("", "000")
