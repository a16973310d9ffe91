"""A lab's virtual machine as its owner handles it by hand, through Proxmox's API."""

from __future__ import annotations

import re
from typing import Any

from proxmoxer import ProxmoxAPI

from lab import pki, secret_store
from lab.settings import PROXMOX, PROXMOX_PORT, PROXMOX_TOKEN_ID, PROXMOX_USER, Node


class VirtualMachine:
    """A node's virtual machine."""

    def __init__(self, node: Node) -> None:
        api = ProxmoxAPI(
            PROXMOX.address,
            port=PROXMOX_PORT,
            user=PROXMOX_USER,
            token_name=PROXMOX_TOKEN_ID,
            token_value=secret_store.token("proxmox-token"),
            verify_ssl=str(pki.authority().certificate),
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
        return sorted(row["volid"] for row in listed if row["volid"] != self.volume("scsi0"))

    def add(self, slot: str, gib: int) -> None:
        """Add a disk as the web page does, without a serial."""
        self._vm.config.put(**{slot: f"local-lvm:{gib}"})

    def detach(self, slot: str) -> None:
        """Detach a disk; its volume stays."""
        self._vm.unlink.put(idlist=slot)
