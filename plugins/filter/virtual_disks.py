# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The virtual disk's part of a host's declared disks."""

from __future__ import annotations

DOCUMENTATION = r"""
name: virtual_disks
short_description: The virtual disk's part of a host's declared disks
version_added: 0.1.0
author: The homelab.data_platform contributors (@homelab)
description:
  - Takes the declaration C(data_disks) of a host and keeps what M(homelab.data_platform.proxmox_vm_disk) knows, so that other layers
    (filesystem, volumes) can keep their part in the same place.
  - The C(name) of a disk becomes its serial.
options:
  _input:
    description: The declared disks.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: The disks of this machine
  homelab.data_platform.proxmox_vm_disk:
    vmid: 301
    disks: "{{ data_disks | homelab.data_platform.virtual_disks }}"
"""

RETURN = r"""
_value:
  description: The disks as the module takes them.
  type: list
  elements: dict
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.data_platform.plugins.module_utils.proxmox.drive import OPTIONS

KEYS = ("storage", "size", "bus", "slot", "format", "volume", "state", "destroy", *OPTIONS)


def virtual_disks(declared: Any) -> list[dict[str, Any]]:
    """Keep the keys of the virtual disk, and use the name as the serial."""
    if isinstance(declared, str) or not isinstance(declared, Sequence):
        raise AnsibleFilterError(f"virtual_disks takes a list of disks, not {declared!r}")
    return [_virtual_disk(disk) for disk in declared]


def _virtual_disk(disk: Any) -> dict[str, Any]:
    if not isinstance(disk, Mapping) or not disk.get("name"):
        raise AnsibleFilterError(f"a declared disk is a mapping with a name, which becomes its serial, not {disk!r}")
    return {"serial": disk["name"], **{key: disk[key] for key in KEYS if key in disk}}


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """The filters of this file."""
        return {"virtual_disks": virtual_disks}
