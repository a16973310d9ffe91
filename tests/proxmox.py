"""A lab's virtual machine as its owner handles it by hand, through Proxmox's API."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import Any

from proxmoxer import ProxmoxAPI

from lab import pki, secret_store
from lab.proxmox.state import seed
from lab.settings import PROXMOX, PROXMOX_PORT, PROXMOX_TOKEN_ID, PROXMOX_USER, STATE, Node
from tests.platform.reality import wait_for


class VirtualMachine:
    """A node's virtual machine."""

    def __init__(self, node: Node, privileges: Sequence[str] = ()) -> None:
        """Act with the platform's own token; `privileges` on machines that it lacks take one that is made for it."""
        if privileges:
            acl = {"/vms": list(privileges), "/storage": ["Datastore.AllocateSpace"]}
            secret = {"tokenid": f"by-hand-{uuid.uuid4().hex[:8]}", "secret": str(uuid.uuid4())}
            seed(STATE / "proxmox", tokens=[{"userid": PROXMOX_USER, "acl": acl, **secret}])
        else:
            secret = {"tokenid": PROXMOX_TOKEN_ID, "secret": secret_store.token("proxmox-token")}
        api = ProxmoxAPI(
            PROXMOX.address,
            port=PROXMOX_PORT,
            user=PROXMOX_USER,
            token_name=secret["tokenid"],
            token_value=secret["secret"],
            verify_ssl=str(pki.authority().certificate),
            timeout=120,
        )
        self._node = api.nodes(PROXMOX.name)
        self._vm = self._node.qemu(node.vmid)
        self._vmid = node.vmid

    @property
    def config(self) -> dict[str, Any]:
        """The values that hold."""
        found: dict[str, Any] = self._vm.config.get(current=1)
        return found

    def slot(self, serial: str) -> str:
        """The slot of the disk with this serial."""
        (slot,) = [key for key, value in self.config.items() if re.search(rf",serial={serial}(,|$)", str(value))]
        return slot

    def volume(self, slot: str) -> str:
        """The volume in a slot."""
        return str(self.config[slot]).partition(",")[0]

    def volumes(self) -> list[str]:
        """Every volume of the machine but the one that it boots from."""
        listed = self._node.storage("local-lvm").content.get(content="images", vmid=self._vmid)
        return sorted({row["volid"] for row in listed} - {self.volume("scsi0")})

    def add(self, slot: str, gib: int) -> None:
        """Add a disk as the web page does, without a serial."""
        self._vm.config.put(**{slot: f"local-lvm:{gib}"})

    def detach(self, slot: str) -> None:
        """Detach a disk; its volume stays."""
        self._vm.unlink.put(idlist=slot)

    def attach(self, slot: str, volume: str, **options: str) -> None:
        """Attach a volume that is there."""
        self._vm.config.put(**{slot: ",".join([volume, *(f"{key}={value}" for key, value in options.items())])})

    def set(self, **values: str) -> None:
        """Change options of the machine itself; most take effect at its next start."""
        self._vm.config.put(**values)

    def stop(self) -> None:
        """Pull the plug."""
        self._wait(self._vm.status.stop.post())

    def start(self) -> None:
        """Switch the machine on."""
        self._wait(self._vm.status.start.post())

    def _wait(self, task: str) -> None:
        status: dict[str, Any] = wait_for(task, lambda: self._ended(task), 120)
        assert status["exitstatus"] == "OK", status

    def _ended(self, task: str) -> dict[str, Any] | None:
        status: dict[str, Any] = self._node.tasks(task).status.get()
        return status if status["status"] == "stopped" else None
