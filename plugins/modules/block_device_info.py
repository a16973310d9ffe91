#!/usr/bin/python
# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say what is on block devices."""

from __future__ import annotations

DOCUMENTATION = r"""
module: block_device_info
short_description: Say what is on block devices
version_added: 0.1.0
description:
  - Finds disks by the value of their serial, the UUID of their filesystem or their path, and says what is on them.
  - The serial is read where the kernel and udev keep it (C(ID_SCSI_SERIAL), C(vpd_pg80), C(serial) in sysfs), never out of
    a link in C(/dev/disk/by-id), whose name depends on the version of the hypervisor.
  - It writes nothing. M(homelab.data_platform.disk_filesystem) decides on the same findings.
author:
  - The homelab.data_platform contributors (@homelab)
extends_documentation_fragment:
  - homelab.data_platform.attributes.info_module
requirements:
  - C(blkid) and C(wipefs) on the host (package C(util-linux))
  - root
options:
  serials:
    description: Find disks by the exact value of their serial.
    type: list
    elements: str
    default: []
  uuids:
    description: Find disks and partitions by the UUID of the filesystem on them.
    type: list
    elements: str
    default: []
  paths:
    description:
      - Find devices by a node or link in C(/dev).
      - Without O(serials), O(uuids) and O(paths), every whole disk is described.
    type: list
    elements: str
    default: []
seealso:
  - module: homelab.data_platform.disk_filesystem
"""

EXAMPLES = r"""
- name: See whether the new disk is blank
  homelab.data_platform.block_device_info:
    serials: [airflow-data]
  become: true
  register: probe

- name: Show what every disk of the host holds
  homelab.data_platform.block_device_info:
  become: true
"""

RETURN = r"""
devices:
  description: The devices that were found, in the order in which they were asked for (all disks - by name).
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Node in C(/dev).
      type: str
      sample: /dev/sdb
    name:
      description: The kernel's name.
      type: str
      sample: sdb
    number:
      description: Major and minor number.
      type: str
      sample: "8:16"
    serial:
      description: Value of the serial, empty where the device has none.
      type: str
      sample: airflow-data
    size:
      description: Size in bytes.
      type: int
      sample: 53687091200
    blank:
      description: No signature of any kind, no holders, no partitions, and the first and the last MiB are zero.
      type: bool
    contents:
      description: Why the device is not blank, in words.
      type: list
      elements: str
      sample: ["ext4 (filesystem, UUID 6f1c2a0e-6d3b-4a53-9c1e-6b3f0f6f9a55)"]
    in_use:
      description: Mounts, swap and holders of the device and of its partitions, in words.
      type: list
      elements: str
      sample: ["sdb is mounted at /mnt/airflow-data"]
    signatures:
      description: Everything that libblkid recognises on it.
      type: list
      elements: dict
      contains:
        kind:
          description: One of V(filesystem), V(partition_table), V(lvm), V(raid), V(luks), V(zfs), V(swap).
          type: str
        type:
          description: libblkid's name of it.
          type: str
        offset:
          description: Where it lies, in bytes.
          type: int
        uuid:
          description: Its UUID, where it has one.
          type: str
        label:
          description: Its label, where it has one.
          type: str
    filesystem:
      description: The one filesystem that fills the device, null where there is none.
      type: dict
      contains:
        type:
          description: Type.
          type: str
          sample: ext4
        uuid:
          description: UUID.
          type: str
        label:
          description: Label.
          type: str
        size:
          description: Size in bytes (ext4 and xfs; null for others).
          type: int
    partitions:
      description: Names of its partitions.
      type: list
      elements: str
    holders:
      description: Names of the devices that are built on it (LVM, RAID, LUKS).
      type: list
      elements: str
    mounts:
      description: Where it is mounted.
      type: list
      elements: dict
      contains:
        place:
          description: Mount point.
          type: str
        root:
          description: Directory of the filesystem that is seen there.
          type: str
        fstype:
          description: Type of the filesystem.
          type: str
        options:
          description: Options in effect.
          type: list
          elements: str
    swap:
      description: Whether it is in use as swap.
      type: bool
missing:
  description: Serials, UUIDs and paths for which there is no device.
  returned: success
  type: list
  elements: str
"""

from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.devices import Device, Devices
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.system import Paths, StorageError


def describe(device: Device) -> dict[str, Any]:
    """Return a device as the module's result shows it."""
    shown = asdict(device)
    shown.pop("disk_size")
    shown["blank"] = device.blank
    shown["mounts"] = [{key: mount[key] for key in ("place", "root", "fstype", "options")} for mount in shown["mounts"]]
    return shown


def look(serials: list[str], uuids: list[str], paths: list[str], where: Paths) -> tuple[dict[str, Any], list[str]]:
    """Find what was asked for; all whole disks, if nothing was. Return the result and warnings."""
    devices = Devices(where)
    asked: list[str] = [*serials, *uuids, *paths]
    found: list[Device | None] = [devices.by_serial(serial) for serial in serials]
    found += [devices.by_uuid(uuid) for uuid in uuids]
    found += [devices.by_path(path) for path in paths]
    missing = [name for name, device in zip(asked, found) if device is None]
    warnings = []
    for node in [] if asked else devices.disks():
        path = node.path or node.name
        try:
            found.append(devices.device(node))
        except (StorageError, OSError) as error:
            # Asked for by nobody in particular, a device that cannot be read hides no other.
            warnings.append(f"{path} is left out: {error}")
    return {"devices": [describe(device) for device in found if device], "missing": missing}, warnings


def main() -> None:
    """Run the module."""
    names = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(argument_spec={"serials": names, "uuids": names, "paths": names}, supports_check_mode=True)
    try:
        result, warnings = look(module.params["serials"], module.params["uuids"], module.params["paths"], Paths())
    except (StorageError, OSError) as error:
        module.fail_json(msg=str(error))
    for warning in warnings:
        module.warn(warning)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
