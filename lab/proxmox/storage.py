# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storages: volumes are sparse raw files, and their sizes together never exceed the pool."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

from lab.proxmox.drives import parse_size
from lab.proxmox.errors import failure
from lab.proxmox.state import StorageSeed, Store, make_sparse, volume_file


class Storages:
    """Allocates, grows and frees volumes under ``<state>/images/<storage>/<vmid>/``."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()

    def get(self, storage: str) -> StorageSeed:
        """A storage's settings."""
        found = self._store.storages.get(storage)
        if found is None:
            raise failure(f"storage '{storage}' does not exist")
        return found

    def path(self, volume: str) -> Path:
        """The file behind ``local-lvm:vm-301-disk-0``."""
        self.get(volume.partition(":")[0])
        path = volume_file(self._store.root, volume)
        if not path.exists():
            raise failure(f"volume '{volume}' does not exist")
        return path

    def volumes(self, storage: str) -> Iterator[tuple[str, int, int]]:
        """Volume, machine and size of everything on a storage."""
        for path in sorted((self._store.root / "images" / storage).glob("*/vm-*-disk-*.raw")):
            yield f"{storage}:{path.stem}", int(path.parent.name), path.stat().st_size

    def used(self, storage: str) -> int:
        """The sizes of all its volumes together."""
        return sum(size for _, _, size in self.volumes(storage))

    def free(self, storage: str) -> int:
        """What is left of its capacity."""
        return parse_size(self.get(storage).capacity) - self.used(storage)

    def status(self, storage: str) -> dict[str, object]:
        """The answer of ``/storage/{storage}/status``."""
        entry = self.get(storage)
        total, used = parse_size(entry.capacity), self.used(storage)
        return {
            "active": 1,
            "avail": max(total - used, 0),
            "content": entry.content,
            "enabled": 1,
            "shared": 0,
            "total": total,
            "type": entry.type,
            "used": used,
        }

    def allocate(self, storage: str, vmid: int, size: int, kind: str) -> str:
        """A new volume under the first free name of the machine."""
        with self._lock:
            entry = self.get(storage)
            if "images" not in entry.content.split(","):
                raise failure(f"storage '{storage}' does not support content-type 'images'")
            if entry.type == "lvmthin" and kind != "raw":
                raise failure(f"unsupported format '{kind}'")
            self._check(storage, size)
            taken = {volume for volume, _, _ in self.volumes(storage)}
            names = (f"vm-{vmid}-disk-{number}" for number in itertools.count())
            name = next(name for name in names if f"{storage}:{name}" not in taken)
            volume = f"{storage}:{name}"
            make_sparse(volume_file(self._store.root, volume), size)
            return volume

    def grow(self, volume: str, size: int) -> None:
        """Make a volume larger."""
        path = self.path(volume)
        with self._lock:
            self._check(volume.partition(":")[0], size - path.stat().st_size)
            with path.open("r+b") as stream:
                stream.truncate(size)

    def free_volume(self, volume: str) -> None:
        """Destroy a volume."""
        self.path(volume).unlink()

    def _check(self, storage: str, more: int) -> None:
        if more > self.free(storage):
            # A thin pool may be promised more than it holds; the lab refuses at once, in the words of a pool that is full.
            raise failure(
                f"lvcreate 'pve/{storage}' error: Cannot create new thin volume, free space in thin pool pve/{storage} reached threshold."
            )
