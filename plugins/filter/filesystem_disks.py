# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filesystem's part of a host's declared disks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: filesystem_disks
short_description: The filesystem's part of a host's declared disks
version_added: 0.1.0
author: The homelab.data_platform contributors (@homelab)
description:
  - Takes the declaration C(data_disks) of a host and keeps what M(homelab.data_platform.disk_filesystem) knows, so that other layers
    (virtual disk, volumes) can keep their part in the same place.
  - Disks without C(mount) have no filesystem of ours and are passed over, unless they are to be absent.
  - A disk with C(uuid) is adopted and takes no defaults. It grows if its C(size) is written down.
positional: defaults
options:
  _input:
    description: The declared disks.
    type: list
    elements: dict
    required: true
  defaults:
    description: What holds for each disk that is not adopted, such as C(fstype) and C(options), unless the disk says otherwise.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: The filesystems of this host
  homelab.data_platform.disk_filesystem:
    disks: "{{ data_disks | homelab.data_platform.filesystem_disks({'fstype': 'xfs'}) }}"
"""

RETURN = r"""
_value:
  description: The disks as the module takes them.
  type: list
  elements: dict
"""

DISK_KEYS = ("name", "state", "uuid", "mount", "fstype", "options", "label", "immutable", "grow", "size", "volumes")
VOLUME_KEYS = ("name", "path", "size", "owner", "group", "mode")
DEFAULT_KEYS = ("fstype", "options", "immutable", "grow")


def filesystem_disks(declared: Any, defaults: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Keep the keys of the filesystem, and fill in the defaults."""
    if isinstance(declared, str) or not isinstance(declared, Sequence):
        raise AnsibleFilterError(f"filesystem_disks takes a list of disks, not {declared!r}")
    unknown = sorted(set(defaults or {}) - set(DEFAULT_KEYS))
    if unknown:
        raise AnsibleFilterError(f"filesystem_disks has no default for {', '.join(unknown)}; there are {', '.join(DEFAULT_KEYS)}")
    for disk in declared:
        if not isinstance(disk, Mapping) or not disk.get("name"):
            raise AnsibleFilterError(f"a declared disk is a mapping with a name, which is its serial, not {disk!r}")
    return [_disk(disk, defaults or {}) for disk in declared if disk.get("mount") or disk.get("state") == "absent"]


def _disk(disk: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    filled: dict[str, Any] = {"grow": bool(disk.get("size"))} if disk.get("uuid") else dict(defaults)
    filled.update({key: disk[key] for key in DISK_KEYS if key in disk})
    filled["volumes"] = [{key: volume[key] for key in VOLUME_KEYS if key in volume} for volume in disk.get("volumes") or []]
    return filled


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """The filters of this file."""
        return {"filesystem_disks": filesystem_disks}
