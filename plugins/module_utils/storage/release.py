# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let go of the disks that are to be absent, before the layer below takes them away. Pure: nothing here reads or writes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from ansible_collections.homelab.data_platform.plugins.module_utils.storage import fstab
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.current import Current, DiskState
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.devices import KUBELET_MOUNT, Device, mounted_at
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.disks import Disk
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.steps import Unmount


def release(current: Current, disks: Sequence[Disk], taken: Collection[str]) -> tuple[list[Unmount], Current, list[str]]:
    """Return the steps, the state after them, and what speaks against them.

    ``taken`` holds the mount points of the disks that stay: a disk may take the place of one that goes.
    """
    steps: list[Unmount] = []
    problems: list[str] = []
    text = current.fstab
    for disk in disks:
        state = current.disks[disk.name]
        problems += [f"Disk {disk.name}: {problem}" for problem in (*_in_use(disk, state.device), *_not_seen(disk, state, taken))]
        if state.device and state.place.mount and state.device.carries(state.place.mount):
            steps.append(Unmount(disk.name, disk.mount))
        lines = [entry for entry in fstab.entries(text) if _means(entry, disk, state.device, current, taken)]
        text = fstab.drop(text, lines)
    free = {step.place for step in steps}
    states = {
        name: _freed(state) if state.place.mount and state.place.mount.place in free else state for name, state in current.disks.items()
    }
    return steps, replace(current, fstab=text, disks=states), problems


def _in_use(disk: Disk, device: Device | None) -> Iterator[str]:
    """What keeps a disk from going, but for its own mount."""
    if device is None:
        return
    own = mounted_at(device.name, disk.mount)
    others = [use for use in device.in_use if use != own]
    if any(KUBELET_MOUNT.search(use) for use in others):
        yield (
            f"it is to be absent, but pods use {device.path}: {', '.join(others)}. Stop what uses its claims "
            "('kubectl get pods --all-namespaces --output=wide' shows the pods of this node), then run again."
        )
    elif others:
        yield (
            f"it is to be absent, but {device.path} is in use: {', '.join(others)}. "
            "Declare the mount that is to be given up, or free the disk by hand, then run again."
        )


def _not_seen(disk: Disk, state: DiskState, taken: Collection[str]) -> Iterator[str]:
    """A disk without a serial that is still mounted must not pass for one that is gone."""
    if state.device is None and state.place.mount and disk.mount not in taken:
        known = f"UUID {disk.uuid}" if disk.uuid else f"serial {disk.name}"
        yield (
            f"it is to be absent, and {state.place.mount.source} is mounted at {disk.mount}, but does not have the {known}. "
            "Declare the uuid of what is mounted there, or unmount it by hand, then run again."
        )


def _means(line: fstab.Entry, disk: Disk, device: Device | None, current: Current, taken: Collection[str]) -> bool:
    """Whether a line of fstab is the disk's. Without the disk, it is the one of its place, unless another disk has that now."""
    if disk.uuid and line.uuid == disk.uuid.lower():
        return True
    if device is None:
        return line.place == disk.mount and disk.mount not in taken
    if device.filesystem and line.uuid:
        return line.uuid == device.filesystem.uuid.lower()
    return line.place == disk.mount and (disk.mount not in taken or current.paths.get(line.spec) == device.number)


def _freed(state: DiskState) -> DiskState:
    """What a disk that takes the place finds: the bare mount point, taken for the one that we made."""
    return replace(state, place=replace(state.place, mount=None, entries=(), immutable=True))
