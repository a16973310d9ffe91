# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps that a plan is made of."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import Union

from ansible_collections.homelab.data_platform.plugins.module_utils.storage.system import binary_size


@dataclass(frozen=True)
class Unmount:
    """Let go of a disk that is to be absent."""

    disk: str
    place: str

    def __str__(self) -> str:
        return f"unmount {self.place}"


@dataclass(frozen=True)
class Wipe:
    """Destroy what is on a device that the inventory names for it."""

    disk: str
    device: str
    contents: tuple[str, ...]

    def __str__(self) -> str:
        return f"wipe {self.device}: {', '.join(self.contents)}"


@dataclass(frozen=True)
class Format:
    """Make a filesystem on a blank device."""

    disk: str
    device: str
    fstype: str
    label: str
    uuid: str

    def __str__(self) -> str:
        return f"make {self.fstype} on {self.device} (label {self.label})"


@dataclass(frozen=True)
class MakeMountPoint:
    """Make the bare directory to mount on."""

    disk: str
    place: str

    def __str__(self) -> str:
        return f"create mount point {self.place}"


@dataclass(frozen=True)
class MakeImmutable:
    """Let nothing be written below a disk that is not mounted."""

    disk: str
    place: str

    def __str__(self) -> str:
        return f"make the bare mount point {self.place} immutable"


@dataclass(frozen=True)
class WriteFile:
    """Replace a file."""

    disk: str
    path: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"write {self.path}"


@dataclass(frozen=True)
class DaemonReload:
    """Let systemd read fstab and its drop-ins."""

    disk: str = ""

    def __str__(self) -> str:
        return "systemctl daemon-reload"


@dataclass(frozen=True)
class MountDisk:
    """Mount by the line in fstab."""

    disk: str
    place: str
    uuid: str

    def __str__(self) -> str:
        return f"mount {self.place}"


@dataclass(frozen=True)
class Remount:
    """Apply options that were added to a mount."""

    disk: str
    place: str
    options: tuple[str, ...]

    def __str__(self) -> str:
        return f"remount {self.place} with {','.join(self.options)}"


@dataclass(frozen=True)
class Grow:
    """Grow a filesystem to the size of its device."""

    disk: str
    device: str
    place: str
    fstype: str
    size: int
    to: int

    def __str__(self) -> str:
        return f"grow {self.fstype} on {self.device} from {binary_size(self.size)} to {binary_size(self.to)}"


@dataclass(frozen=True)
class MakeDirectory:
    """Make the directory of a volume."""

    disk: str
    place: str
    path: str
    owner: int
    group: int
    mode: int

    def __str__(self) -> str:
        return f"create {self.place}/{self.path} ({self.owner}:{self.group}, mode {self.mode:04o})"


@dataclass(frozen=True)
class SetDirectory(MakeDirectory):
    """Correct the owner, group and mode of a directory that is still empty."""

    def __str__(self) -> str:
        return f"set {posixpath.normpath(f'{self.place}/{self.path}')} to {self.owner}:{self.group}, mode {self.mode:04o}"


Step = Union[Unmount, Wipe, Format, MakeMountPoint, MakeImmutable, WriteFile, DaemonReload, MountDisk, Remount, Grow, MakeDirectory]
