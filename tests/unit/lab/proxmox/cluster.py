# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A running stand-in of Proxmox's API for tests: TLS by a CA of its own, one node, two machines, two storages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests

from lab.certificates import Authority
from lab.proxmox.access_log import AccessLog
from lab.proxmox.app import create_app
from lab.proxmox.faults import Faults
from lab.proxmox.guest import GuestDisk, GuestError
from lab.proxmox.server import in_background
from lab.proxmox.state import Store, VmConfig, seed

USER, TOKEN_ID, SECRET = "ansible@pve", "platform", "0b5ecre7-1111-2222-3333-444455556666"
LEAST = {"/vms": ["VM.Audit", "VM.Config.Disk"], "/storage": ["Datastore.AllocateSpace"]}
SERVICE = {"/vms": ["VM.Audit", "VM.Config.Disk", "VM.Config.Options", "VM.PowerMgmt"], "/storage": ["Datastore.AllocateSpace"]}


@dataclass
class MemoryGuest:
    """A guest that keeps what it is given; disks in ``held`` are in use and cannot be taken away; ``broken`` says why it does not start."""

    disks: dict[tuple[int, str], GuestDisk] = field(default_factory=dict)
    sizes: dict[tuple[int, str], int] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    broken: str = ""

    def start(self, vmid: int, disks: Mapping[str, GuestDisk]) -> None:
        if self.broken:
            raise GuestError(self.broken)
        for slot, disk in disks.items():
            self.plug(vmid, slot, disk)

    def stop(self, vmid: int) -> None:
        for key in [key for key in self.disks if key[0] == vmid]:
            del self.disks[key]

    def plug(self, vmid: int, slot: str, disk: GuestDisk) -> None:
        self.disks[vmid, slot] = disk
        self.sizes[vmid, slot] = disk.size_bytes

    def unplug(self, vmid: int, slot: str) -> None:
        if slot in self.held:
            raise GuestError(f"error unplugging device '{slot}'")
        self.disks.pop((vmid, slot), None)

    def resize(self, vmid: int, slot: str, size_bytes: int) -> None:
        self.sizes[vmid, slot] = size_bytes


@dataclass
class Cluster:
    """What a test needs to talk to the API and to look behind it."""

    state: Path
    ca: Path
    guest: MemoryGuest
    faults: Faults
    port: int = 0
    calls: list[str] = field(default_factory=list)
    """Every call so far."""

    @property
    def store(self) -> Store:
        return Store(self.state)

    def config(self, vmid: int = 301) -> VmConfig:
        return self.store.load(vmid)

    def edit(self, vmid: int = 301, **values: str | None) -> None:
        """Change a configuration behind everybody's back, as an administrator on the node would."""
        config = self.config(vmid)
        for key, value in values.items():
            config.current.pop(key, None)
            if value is not None:
                config.current[key] = value
        self.store.save(vmid, config)

    def volumes(self) -> list[str]:
        return sorted(path.stem for path in self.state.glob("images/*/*/*.raw"))

    def call(self, method: str, path: str, token: str = "service", secret: str = SECRET, **values: object) -> requests.Response:
        headers = {"Authorization": f"PVEAPIToken={USER}!{token}={secret}"} if secret else {}
        where = {"params": values} if method == "GET" else {"data": values}
        url = f"https://127.0.0.1:{self.port}/api2/json{path}"
        return requests.request(method, url, headers=headers, verify=str(self.ca), timeout=10, **where)  # type: ignore[arg-type]

    def task(self, upid: str) -> str:
        """The exit status of a task, once it has one."""
        while (status := self.call("GET", f"/nodes/pve/tasks/{upid}/status").json()["data"])["status"] == "running":
            pass
        return str(status["exitstatus"])

    def done(self, method: str, path: str, **values: str) -> str:
        """Start a task and wait for its exit status."""
        answer = self.call(method, path, **values)
        assert answer.status_code == 200, (answer.status_code, answer.reason, answer.text)
        return self.task(answer.json()["data"])


def populate(state: Path) -> None:
    """The machines, storages and tokens of the test cluster."""
    seed(
        state,
        vms=[
            {
                "vmid": 301,
                "name": "k8s-worker-01",
                "config": {"boot": "order=scsi0", "scsi0": "local-lvm:vm-301-disk-0,size=20G", "scsihw": "virtio-scsi-single"},
            },
            {"vmid": 302, "name": "k8s-worker-02", "status": "stopped"},
        ],
        storages=[
            {"storage": "local-lvm", "capacity": "200G"},
            {"storage": "thick", "type": "lvm", "capacity": "10G"},
            {"storage": "iso", "type": "dir", "content": "iso"},
        ],
        tokens=[
            {"userid": USER, "tokenid": TOKEN_ID, "secret": SECRET, "acl": LEAST},
            {"userid": USER, "tokenid": "service", "secret": SECRET, "acl": SERVICE},
            {"userid": USER, "tokenid": "reader", "secret": SECRET, "acl": {"/": ["VM.Audit", "Datastore.Audit"]}, "user_acl": SERVICE},
            {"userid": USER, "tokenid": "blind", "secret": SECRET, "acl": {}, "user_acl": SERVICE},
        ],
    )


@contextmanager
def running(state: Path, ca: Path, guest: MemoryGuest | None = None, lock_timeout: float = 0.3) -> Iterator[Cluster]:
    """Serve a state directory for as long as the context lasts."""
    pair = Authority(ca, "test-ca").create().issue("server", "127.0.0.1", addresses=["127.0.0.1"])
    cluster = Cluster(state, ca / "ca.crt", guest or MemoryGuest(), Faults())
    app = AccessLog(create_app(state, cluster.guest, faults=cluster.faults, auth_delay=0.0, lock_timeout=lock_timeout))
    cluster.calls = app.calls
    with in_background(app, "127.0.0.1", str(pair.certificate), str(pair.key)) as cluster.port:
        yield cluster
