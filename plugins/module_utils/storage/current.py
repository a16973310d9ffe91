# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What decides the plan of a host's disks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.homelab.data_platform.plugins.module_utils.storage.devices import Device, Mount


@dataclass(frozen=True)
class Directory:
    """A directory that is there; ``empty`` does not count lost+found."""

    owner: int
    group: int
    mode: int
    empty: bool


@dataclass(frozen=True)
class Place:
    """A mount point: what is there, what is mounted on it, and, where nothing is, what lies in it."""

    kind: str = "absent"  # absent, directory, link or other
    mount: Mount | None = None
    entries: tuple[str, ...] = ()
    immutable: bool | None = False  # None: the filesystem below does not know the flag


@dataclass(frozen=True)
class DiskState:
    """One disk and its place. ``device`` is None for one that is gone, and, in a prediction, where the layer below has not made it yet."""

    device: Device | None = None
    place: Place = Place()
    # Directories of the volumes on the mounted disk by path; a text says what is wrong with what is there instead.
    directories: Mapping[str, Directory | str] = field(default_factory=dict)
    free: int = 1


@dataclass(frozen=True)
class Current:
    """Everything that decides the plan."""

    disks: Mapping[str, DiskState]
    fstab: str = ""
    # Device numbers of those lines of fstab that name a device by its path.
    paths: Mapping[str, str] = field(default_factory=dict)
    order: str = ""
    systemd: bool = True
    reload_due: bool = False


@dataclass(frozen=True)
class Files:
    """Files that the plan writes, and the unit that is ordered after the mounts (empty: none)."""

    fstab: str = "/etc/fstab"
    order: str = "/etc/systemd/system/kubelet.service.d/10-data-platform-mounts.conf"
    kubelet_unit: str = "kubelet.service"
