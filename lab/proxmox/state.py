# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon's state: plain files under one directory, replaced whole, so that a restart finds what was there."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from lab.proxmox.drives import bus_of, format_size, parse_drive, parse_size
from lab.proxmox.errors import failure

_PENDING = "[PENDING]"


class Seed(BaseModel):
    """What a seed may say; a misspelt key is refused."""

    model_config = ConfigDict(extra="forbid")


class Vm(Seed):
    """A virtual machine to start with. ``config`` takes Proxmox's own keys and values."""

    vmid: int
    name: str
    node: str = "pve"
    status: str = "running"
    config: dict[str, str] = Field(default_factory=dict)


class StorageSeed(Seed):
    """A storage and its capacity (``100G``, binary)."""

    storage: str
    type: str = "lvmthin"
    content: str = "images,rootdir"
    capacity: str = "100G"


class Token(Seed):
    """An API token. With privilege separation a privilege counts when the token and its user both hold it."""

    userid: str
    tokenid: str
    secret: str
    privsep: bool = True
    acl: dict[str, list[str]] = Field(default_factory=dict)
    user_acl: dict[str, list[str]] | None = None

    @property
    def name(self) -> str:
        """The token's full name."""
        return f"{self.userid}!{self.tokenid}"


@dataclass
class VmConfig:
    """A machine's configuration file: the values that hold, and those that wait for a restart."""

    current: dict[str, str] = field(default_factory=dict)
    pending: dict[str, str] = field(default_factory=dict)
    doomed: dict[str, bool] = field(default_factory=dict)
    """Keys whose deletion waits, and whether it is forced."""

    @property
    def text(self) -> str:
        """The configuration file."""
        lines = [f"{key}: {value}" for key, value in sorted(self.current.items())]
        waiting = [f"{key}: {value}" for key, value in sorted(self.pending.items())]
        if self.doomed:
            waiting.insert(0, "delete: " + ",".join(f"{'!' if force else ''}{key}" for key, force in sorted(self.doomed.items())))
        return "\n".join([*lines, *([_PENDING, *waiting] if waiting else []), ""])

    @property
    def digest(self) -> str:
        """What a caller hands back to say which configuration it has looked at."""
        return hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    @classmethod
    def parse(cls, text: str) -> VmConfig:
        """Read a configuration file."""
        config = cls()
        section = config.current
        for line in filter(None, text.splitlines()):
            if line == _PENDING:
                section = config.pending
                continue
            key, _, value = line.partition(": ")
            section[key] = value
        marks = filter(None, config.pending.pop("delete", "").split(","))
        config.doomed = {mark.removeprefix("!"): mark.startswith("!") for mark in marks}
        return config

    def applied(self) -> dict[str, str]:
        """The values as they will be once the pending ones have been applied."""
        kept = {key: value for key, value in self.current.items() if key not in self.doomed}
        return {**kept, **self.pending}

    def tidy(self) -> None:
        """Drop pending entries which ask for what holds already."""
        self.pending = {key: value for key, value in self.pending.items() if self.current.get(key) != value}
        self.doomed = {key: force for key, force in self.doomed.items() if key in self.current}


class Store:
    """Reads and writes the state directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def _read(self, name: str) -> dict[str, Any]:
        path = self.root / name
        return dict(json.loads(path.read_text())) if path.exists() else {}

    def write(self, name: str, content: str) -> None:
        """Replace a file whole; a reader sees the old one or the new one."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)

    def _add(self, name: str, entries: dict[str, dict[str, Any]]) -> None:
        """Add entries; what is there already stays."""
        self.write(name, json.dumps({**entries, **self._read(name)}, indent=1, sort_keys=True))

    @property
    def tokens(self) -> dict[str, Token]:
        """Every API token by its full name."""
        return {name: Token(**entry) for name, entry in self._read("tokens.json").items()}

    @property
    def storages(self) -> dict[str, StorageSeed]:
        """Every storage by its name."""
        return {name: StorageSeed(**entry) for name, entry in self._read("storages.json").items()}

    @property
    def vms(self) -> dict[int, dict[str, str]]:
        """Node and status of every machine."""
        return {int(vmid): entry for vmid, entry in self._read("vms.json").items()}

    @property
    def nodes(self) -> list[str]:
        """The nodes that have machines."""
        return sorted({entry["node"] for entry in self.vms.values()})

    def set_status(self, vmid: int, status: str) -> None:
        """Note that a machine runs or is stopped."""
        vms = self._read("vms.json")
        vms[str(vmid)]["status"] = status
        self.write("vms.json", json.dumps(vms, indent=1, sort_keys=True))

    def load(self, vmid: int, node: str | None = None) -> VmConfig:
        """A machine's configuration, or Proxmox's error about the missing file."""
        entry = self.vms.get(vmid)
        if entry is None or (node is not None and entry["node"] != node):
            raise failure(f"Configuration file 'nodes/{node}/qemu-server/{vmid}.conf' does not exist")
        return VmConfig.parse((self.root / f"qemu-server/{vmid}.conf").read_text())

    def save(self, vmid: int, config: VmConfig) -> None:
        """Write a machine's configuration."""
        self.write(f"qemu-server/{vmid}.conf", config.text)


def volume_file(root: Path, volume: str) -> Path:
    """The file of ``local-lvm:vm-301-disk-0`` below a state directory."""
    storage, _, name = volume.partition(":")
    return root / "images" / storage / name.split("-")[1] / f"{name}.raw"


def make_sparse(path: Path, size: int) -> None:
    """A new file of that size which takes no space yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as stream:
        stream.truncate(size)


def seed(
    state_dir: Path | str,
    vms: Iterable[Vm | dict[str, Any]] = (),
    storages: Iterable[StorageSeed | dict[str, Any]] = (),
    tokens: Iterable[Token | dict[str, Any]] = (),
) -> None:
    """Put machines, storages and tokens into a state directory; those which are there already stay as they are.

    The volumes that a new machine's configuration names are made, empty and sparse.
    """
    store = Store(Path(state_dir))
    store.root.mkdir(parents=True, exist_ok=True)
    store.root.chmod(0o700)
    for vm in map(Vm.model_validate, vms):
        if vm.vmid not in store.vms:
            drives = [parse_drive(slot, value) for slot, value in vm.config.items() if bus_of(slot)]
            for drive in drives:
                if not drive.cdrom and not (path := volume_file(store.root, drive.file)).exists():
                    make_sparse(path, drive.size)
            store.save(vm.vmid, VmConfig({"name": vm.name, **vm.config}))
            store._add("vms.json", {str(vm.vmid): {"node": vm.node, "status": vm.status}})
    for storage in map(StorageSeed.model_validate, storages):
        capacity = format_size(parse_size(storage.capacity))
        store._add("storages.json", {storage.storage: {**storage.model_dump(), "capacity": capacity}})
    for token in map(Token.model_validate, tokens):
        store._add("tokens.json", {token.name: token.model_dump()})
