# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory wants of the disks of one host, checked before anything is read or touched."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable

from ansible_collections.homelab.data_platform.plugins.module_utils.sizes import disk_size, quantity
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.fstab import normal
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.system import StorageError

LABEL_LIMITS = {"ext4": 16, "xfs": 12}

DEFAULT_FSTYPE = "ext4"
DEFAULT_OPTIONS = ("nofail", "noatime")
DEFAULT_MODE = 0o750


@dataclass(frozen=True)
class Volume:
    """A directory on a disk. None means: not written down, so decided at creation and not compared later."""

    path: str
    owner: int | None = None
    group: int | None = None
    mode: int | None = None
    size: int | None = None
    """What Kubernetes is told that it holds, in bytes."""


@dataclass(frozen=True)
class Disk:
    """One disk. None means: not written down; only an adopted disk has any, for it takes no defaults of ours."""

    name: str
    mount: str
    uuid: str | None = None
    fstype: str | None = None
    options: tuple[str, ...] | None = None
    label: str | None = None
    immutable: bool = True
    grow: bool = True
    size: int | None = None
    volumes: tuple[Volume, ...] = ()
    wipe: bool = False
    absent: bool = False
    """Whether the host is to let go of it; then ``mount`` may be empty."""

    @property
    def adopted(self) -> bool:
        """Whether the filesystem was made by somebody else: it is known by its UUID and never formatted."""
        return self.uuid is not None


def parse_disks(disks: Sequence[Mapping[str, Any]], wipe: Sequence[str]) -> list[Disk]:
    """Turn the module's parameters into disks; every problem of every disk is said at once."""
    problems: list[str] = []
    parsed: list[Disk] = []
    for number, declared in enumerate(disks):
        where = f"disks[{number}] ({declared.get('name')})"
        try:
            parsed.append(_disk(declared, wipe))
        except StorageError as error:
            problems.append(f"{where}: {error}")
    problems += _clashes(parsed)
    if problems:
        raise StorageError("\n".join(problems))
    return parsed


def _disk(declared: Mapping[str, Any], wipe: Sequence[str]) -> Disk:
    name = str(declared["name"])
    uuid = declared.get("uuid") or None
    if declared.get("state") == "absent":
        if name in wipe:
            raise StorageError("wipe names a disk that is to be absent. Remove one of the two.")
        return Disk(name, normal(declared["mount"]) if declared.get("mount") else "", uuid, absent=True)
    adopted = uuid is not None
    mount = normal(declared["mount"])
    if not declared["mount"].startswith("/") or mount == "/" or {".", ".."} & set(mount.split("/")):
        raise StorageError(f"mount is {declared['mount']!r}; wanted an absolute path below /, without . and ..")
    fstype = declared.get("fstype") or (None if adopted else DEFAULT_FSTYPE)
    label = declared.get("label")
    if label is None and not adopted:
        label = name[: LABEL_LIMITS[str(fstype)]]
    elif label and fstype and len(label) > LABEL_LIMITS[fstype]:
        raise StorageError(f"label {label!r} has {len(label)} characters; {fstype} takes at most {LABEL_LIMITS[fstype]}")
    if adopted and name in wipe:
        raise StorageError("wipe names a disk that is adopted by its uuid; an adopted disk is never formatted. Remove one of the two.")
    options = declared.get("options")
    immutable, grow = declared.get("immutable"), declared.get("grow")
    return Disk(
        name=name,
        mount=mount,
        uuid=uuid,
        fstype=fstype,
        options=tuple(options) if options else (None if adopted else DEFAULT_OPTIONS),
        label=label,
        immutable=not adopted if immutable is None else immutable,
        grow=not adopted if grow is None else grow,
        size=parse_size(declared["size"]) if declared.get("size") else None,
        volumes=_volumes(declared.get("volumes") or [], adopted),
        wipe=name in wipe,
    )


def _volumes(declared: Sequence[Mapping[str, Any]], adopted: bool) -> tuple[Volume, ...]:
    volumes: dict[str, Volume] = {}
    for volume in declared:
        path = str(volume.get("path") or volume["name"])
        parts = path.rstrip("/").split("/")
        if path == "." and not adopted:
            raise StorageError(
                "a volume has the path '.', the mount point itself, which is for adopted disks (uuid) only; give it a sub-directory"
            )
        if path != "." and (path.startswith("/") or not all(parts) or {".", ".."} & set(parts)):
            raise StorageError(f"volume path {path!r}; wanted a sub-directory of the mount, without . and ..")
        path = "/".join(parts)
        if path in volumes:
            raise StorageError(f"two volumes have the path {path!r}; each needs its own")
        volumes[path] = Volume(
            path=path,
            owner=parse_id(volume.get("owner"), "owner", lambda name: pwd.getpwnam(name).pw_uid),
            group=parse_id(volume.get("group"), "group", lambda name: grp.getgrnam(name).gr_gid),
            mode=parse_mode(volume.get("mode")),
            size=parse_capacity(volume["size"]) if volume.get("size") else None,
        )
    return tuple(volumes.values())


def _clashes(disks: Sequence[Disk]) -> list[str]:
    problems = []
    for number, disk in enumerate(disks):
        for other in disks[:number]:
            if disk.name == other.name:
                problems.append(f"two disks have the name {disk.name}; a name is the serial of one disk")
            if disk.uuid and other.uuid and disk.uuid.lower() == other.uuid.lower():
                problems.append(f"the disks {other.name} and {disk.name} have the same uuid {disk.uuid}")
            inner, outer = sorted((f"{disk.mount}/", f"{other.mount}/"), key=len, reverse=True)
            # A disk may take the place of one that goes.
            if inner.startswith(outer) and not disk.absent and not other.absent:
                problems.append(
                    f"the disks {other.name} and {disk.name} are mounted at {other.mount} and {disk.mount}; "
                    "mount points may neither be the same nor lie inside one another"
                )
    return problems


def parse_id(value: str | None, what: str, lookup: Callable[[str], int]) -> int | None:
    """Turn a numeric id or a name into a number."""
    if value is None or value == "":
        return None
    if str(value).isdigit():
        return int(value)
    try:
        return lookup(str(value))
    except KeyError as error:
        raise StorageError(f"{what} {value!r} does not exist on this host; give the number that the container runs as") from error


def parse_mode(value: Any) -> int | None:
    """Turn ``'0750'`` (text, octal) or ``0o750`` (a number) into a mode."""
    if value is None or value == "":
        return None
    try:
        mode = value if isinstance(value, int) else int(str(value), 8)
    except ValueError as error:
        raise StorageError(f"mode {value!r}; wanted an octal number in quotes, such as '0750'") from error
    if not 0 <= mode <= 0o7777:
        raise StorageError(f"mode {value!r}; wanted an octal number in quotes, such as '0750'")
    return mode


def parse_size(value: str) -> int:
    """Turn a size as Proxmox writes it (``50G`` is 50 GiB) into bytes."""
    size = disk_size(str(value))
    if size is None:
        raise StorageError(f"size {value!r}; wanted a number with K, M, G or T, such as 50G")
    return size


def parse_capacity(value: str) -> int:
    """Turn a quantity as Kubernetes writes it (``20Gi``) into bytes."""
    size = quantity(str(value))
    if size is None:
        raise StorageError(f"volume size {value!r}; wanted a quantity of Kubernetes, such as 20Gi")
    return size
