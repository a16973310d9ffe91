# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what decides the plan of a host's disks. Nothing here writes."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Callable

from ansible_collections.homelab.data_platform.plugins.module_utils.storage import fstab
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.current import Current, Directory, DiskState, Files, Place
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.devices import Device, Devices, Mount, device_number
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.disks import Disk, Volume
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.system import (
    Paths,
    StorageError,
    binary_size,
    is_immutable,
    read_text,
)

POLL = 0.5
# How long a disk that is there may take to show a size that was just given to it.
RESIZE_TIMEOUT = 10.0


def find(devices: Devices, disk: Disk) -> Device | None:
    """Find the device of a disk: by its UUID where it is adopted, else by the value of its serial."""
    return devices.by_uuid(disk.uuid) if disk.uuid else devices.by_serial(disk.name)


def wait_for_devices(
    disks: Sequence[Disk],
    paths: Paths,
    timeout: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Wait until every disk is there and has its declared size.

    A disk that stays away is an error that says which ones are there. One that stays too small is a warning: its
    filesystem works, and grows in the first run that sees the size.
    """
    started = clock()
    while True:
        devices = Devices(paths)
        found = {disk.name: find(devices, disk) for disk in disks}
        missing = [disk for disk in disks if not disk.absent and not found[disk.name]]
        small = [warning for disk in disks for warning in _too_small(disk, found[disk.name])]
        waited = clock() - started
        if not missing and (not small or waited >= min(timeout, RESIZE_TIMEOUT)):
            return small
        if missing and waited >= timeout:
            raise StorageError("\n".join(absent(disk, devices, timeout) for disk in missing))
        sleep(POLL)


def absent(disk: Disk, devices: Devices, waited: float) -> str:
    """Say that a disk is not there, and what is."""
    wanted = f"filesystem has the UUID {disk.uuid}" if disk.uuid else f"block device has the serial {disk.name}"
    there = [
        f"{node.serial or 'no serial'} ({node.path or node.name + ', which has no device node'})" for node in devices.disks() if node.serial
    ]
    listed = "Disks with a serial on this host: " + (", ".join(there) or "none")
    return (
        f"Disk {disk.name}: no {wanted}, after {waited:g} seconds. {listed}. "
        "The disk layer comes first (role virtual_disk, tag virtual_disk); a disk that was added by hand is declared with its uuid."
    )


def _too_small(disk: Disk, device: Device | None) -> list[str]:
    if not device or not disk.size or device.disk_size >= disk.size:
        return []
    warning = (
        f"Disk {disk.name}: {device.path} has {binary_size(device.disk_size)}, declared are {binary_size(disk.size)}. "
        "The disk layer grows it (role virtual_disk); on ide and sata the guest sees the size after a restart."
    )
    return [warning]


def read(disks: Sequence[Disk], paths: Paths, files: Files, predict: bool = False) -> Current:
    """Read the state of the declared disks, their places, fstab and systemd.

    With ``predict`` (check mode), a disk shows the size that the layer below is going to give it.
    """
    devices = Devices(paths)
    states = {disk.name: _state(disk, devices, predict) for disk in disks}
    text = read_file(files.fstab)
    specs = [entry.spec for entry in fstab.entries(text) if entry.spec.startswith("/")]
    numbers = {spec: device_number(spec) for spec in specs}
    return Current(
        disks=states,
        fstab=text,
        paths={spec: number for spec, number in numbers.items() if number},
        order=read_text(files.order),
        systemd=Path(f"{paths.systemd}/system").is_dir(),
        reload_due=_newer((files.fstab, files.order), f"{paths.systemd}/systemd-units-load"),
    )


def read_file(path: str) -> str:
    """Read a file to be changed, byte for byte; one that is absent is empty, one that cannot be read is an error."""
    try:
        with Path(path).open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _newer(files: Sequence[str], mark: str) -> bool:
    """Whether a file is newer than systemd's last look at its units, as after a run that was killed before the reload."""
    try:
        loaded = Path(mark).stat().st_mtime_ns
    except FileNotFoundError:
        return False
    return any(path.exists() and path.stat().st_mtime_ns > loaded for path in map(Path, files))


def _state(disk: Disk, devices: Devices, predict: bool) -> DiskState:
    device = find(devices, disk)
    place = read_place(disk.mount, devices.mounts) if disk.mount else Place()
    if not device or disk.absent:
        return DiskState(device, place)
    directories: dict[str, Directory | str] = {}
    free = 1
    if place.mount and device.carries(place.mount):
        status = os.statvfs(disk.mount)
        # Filesystems that make inodes as they need them count none at all.
        free = min(status.f_bavail, status.f_favail) if status.f_files else status.f_bavail
        directories = read_directories(disk.mount, disk.volumes)
    if predict and disk.size and disk.size > device.disk_size == device.size:
        device = replace(device, size=disk.size, disk_size=disk.size)
    return DiskState(device, place, directories, free)


def read_place(path: str, mounted: Sequence[Mount]) -> Place:
    """Look at a mount point without going through it."""
    place = Path(path)
    if place.is_symlink():
        return Place("link")
    if not place.exists():
        return Place("absent", immutable=False if _knows_immutable(place.parent) else None)
    if not place.is_dir():
        return Place("other")
    real = place.resolve()
    covering = [mount for mount in mounted if mount.place == str(real)]
    if covering:
        return Place("directory", covering[-1])
    return Place("directory", None, tuple(sorted(entry.name for entry in place.iterdir())), is_immutable(path))


def _knows_immutable(path: Path) -> bool:
    while not path.is_dir():
        path = path.parent
    return is_immutable(str(path)) is not None


def read_directories(mount: str, volumes: Sequence[Volume]) -> dict[str, Directory | str]:
    """Look at the directories of the volumes, following no link: a link made by a pod must not lead off the disk."""
    states = {volume.path: _below(mount, volume.path) for volume in volumes}
    return {path: state for path, state in states.items() if state is not None}


def _below(path: str, below: str) -> Directory | str | None:
    state: Directory | str | None = None
    for part in below.split("/"):
        path = f"{path}/{part}"
        state = _directory(path)
        if not isinstance(state, Directory):
            break
    return state


def _directory(path: str) -> Directory | str | None:
    try:
        status = Path(path).lstat()
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(status.st_mode):
        return "is a symbolic link"
    if not stat.S_ISDIR(status.st_mode):
        return "is not a directory"
    empty = not {entry.name for entry in Path(path).iterdir()} - {"lost+found"}
    return Directory(status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode), empty)


def mount_at(place: str, paths: Paths) -> Mount | None:
    """What is mounted at a place now."""
    return read_place(place, Devices(paths).mounts).mount
