#!/usr/bin/python
# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make, mount and grow the filesystems of a host's data disks."""

from __future__ import annotations

DOCUMENTATION = r"""
module: disk_filesystem
short_description: Make, mount and grow the filesystems of data disks
version_added: 0.1.0
description:
  - From a blank disk to directories that pods can write into, for all data disks of a host in one call.
    It makes the filesystem, the mount point and the line in fstab, mounts, grows a filesystem whose disk has grown
    (while it is mounted), and creates the directories of the volumes.
  - A disk is found by the value of its serial, which is its name. A disk with a UUID is adopted - it is found by that UUID, never
    formatted, and keeps what the inventory does not write down.
  - Only a blank disk is formatted. Blank means that there is no signature of any kind, no partition, no holder, and that the first and
    the last MiB are zero. Anything else is refused, with what was found and with the way out.
  - A missing disk never looks like an empty one. The directories exist on the disk only, the bare mount point is immutable,
    and kubelet is ordered after the mounts (C(After=), so a node without its disk still starts).
  - The plan for all disks is made before the first step; if any of them is refused, nothing is touched.
    A run that was killed anywhere is finished by the next one.
author:
  - The homelab.data_platform contributors (@homelab)
extends_documentation_fragment:
  - homelab.data_platform.attributes
attributes:
  check_mode:
    support: full
    details:
      - A disk that is not there yet is taken for the blank one that the disk layer is going to make.
      - What lies on a filesystem that has to be mounted first is not predicted.
  diff_mode:
    support: full
    details:
      - Shows fstab, the drop-in of kubelet and the steps. The UUID of a filesystem that is yet to be made is not known in check mode.
  idempotent:
    support: full
requirements:
  - C(blkid), C(wipefs) and C(mount) on the host (packages C(util-linux), C(mount))
  - C(e2fsprogs) for ext4, C(xfsprogs) for xfs
  - root
options:
  disks:
    description: The data disks of this host.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the disk, and the serial by which it is found.
        type: str
        required: true
      uuid:
        description: UUID of a filesystem that is already there, to adopt it. It may lie on a disk or on a partition.
        type: str
      state:
        description:
          - V(absent) makes the host let go of the disk, before the layer below takes it away. It is unmounted and its line in fstab goes;
            what is on it stays as it is, and so does the bare mount point.
          - A disk that pods or other programs use is not unmounted. That is an error which names them.
        type: str
        choices: [present, absent]
        default: present
      mount:
        description: Mount point, an absolute path. Required unless the disk is absent; then it is the mount that is given up.
        type: str
      fstype:
        description: Type of the filesystem. Default is V(ext4); for an adopted disk, what is there.
        type: str
        choices: [ext4, xfs]
      options:
        description:
          - Mount options in fstab. Default is V(nofail,noatime); an adopted disk keeps those of its line.
          - Options that were added take effect at once (remount), options that were removed with the next mount.
        type: list
        elements: str
      label:
        description: Label for a filesystem that is made. Default is the name of the disk, cut to 16 characters for ext4 and 12 for xfs.
        type: str
      immutable:
        description:
          - Whether the bare mount point is made immutable before anything is mounted there.
          - Default is V(true), for an adopted disk V(false).
        type: bool
      grow:
        description: Whether the filesystem grows to the size of its device. Default is V(true), for an adopted disk V(false).
        type: bool
      size:
        description:
          - Size that the disk layer gives to the disk, such as V(50G), which is 50 GiB.
          - A run waits some seconds for the device to show it and warns if it does not; check mode predicts from it.
        type: str
      volumes:
        description: Directories on the disk, each the place of one volume.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Name of the volume.
            type: str
            required: true
          path:
            description: Path of the directory on the disk. Default is the name. V(.), the mount point itself, is for adopted disks only.
            type: str
          size:
            description:
              - What Kubernetes is told that the volume holds, such as V(20Gi). Nothing limits the directory to it.
              - The sizes of a disk's volumes together must not exceed its filesystem.
            type: str
          owner:
            description:
              - Owner at creation, a number or the name of a user of this host. Default is root.
              - A directory with another owner is corrected while it is empty; with files in it, it is an error.
            type: str
          group:
            description: Group at creation, a number or a name. Default is root. What kubelet's fsGroup makes of it later is left alone.
            type: str
          mode:
            description: Mode at creation, an octal number in quotes. Default is V('0750'). What is made of it later is left alone.
            type: raw
  wipe:
    description:
      - Names of disks that may be wiped and formatted although they are not blank.
      - It allows, and does not force. A disk that already has the wanted filesystem keeps it, one that is in use is never wiped.
      - It also allows a disk to take the place of another one that fstab still names.
    type: list
    elements: str
    default: []
  device_timeout:
    description: Seconds to wait for disks that are not there.
    type: int
    default: 60
  fstab:
    description: The file with the mounts.
    type: path
    default: /etc/fstab
  kubelet_unit:
    description: Unit that is ordered after the mounts (V(k3s.service) for K3s). Empty for none.
    type: str
    default: kubelet.service
seealso:
  - module: homelab.data_platform.block_device_info
  - module: homelab.data_platform.proxmox_vm_disk
"""

EXAMPLES = r"""
- name: Make a disk ready for PostgreSQL
  homelab.data_platform.disk_filesystem:
    disks:
      - name: airflow-data
        mount: /mnt/airflow-data
        volumes:
          - {name: postgresql, owner: "999", group: "999", mode: "0700"}
  become: true

- name: Adopt a disk that was mounted by hand, as it is
  homelab.data_platform.disk_filesystem:
    disks:
      - name: airflow-data
        uuid: 6f1c2a0e-6d3b-4a53-9c1e-6b3f0f6f9a55
        mount: /mnt/airflow-data
        volumes:
          - {name: everything, path: .}
  become: true

- name: Let go of a disk that is going to be detached
  homelab.data_platform.disk_filesystem:
    disks:
      - {name: scratch, mount: /mnt/scratch, state: absent}
  become: true

- name: Destroy what is on a second-hand disk
  homelab.data_platform.disk_filesystem:
    disks:
      - {name: scratch, mount: /mnt/scratch, fstype: xfs}
    wipe: [scratch]
  become: true
"""

RETURN = r"""
actions:
  description: The steps that were done, in their order; in check mode, those that would be.
  returned: always
  type: list
  elements: str
  sample: ["make ext4 on /dev/sdb (label airflow-data)", "create mount point /mnt/airflow-data"]
disks:
  description: The disks as they are now; in check mode, as they were found.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the disk.
      type: str
    device:
      description: Node in C(/dev), null where the disk is not there yet.
      type: str
      sample: /dev/sdb
    device_size:
      description: Size of the device in bytes.
      type: int
    uuid:
      description: UUID of the filesystem.
      type: str
    fstype:
      description: Type of the filesystem.
      type: str
    size:
      description: Size of the filesystem in bytes.
      type: int
    mount:
      description: Mount point, null for an absent disk that names none.
      type: str
    mounted:
      description: Whether it is mounted there.
      type: bool
    actions:
      description: The steps that concern this disk alone.
      type: list
      elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.converge import Outcome, converge, diff, predict, results
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.disks import parse_disks
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.system import Paths, StorageError

VOLUME = {
    "name": {"type": "str", "required": True},
    "path": {"type": "str"},
    "size": {"type": "str"},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "mode": {"type": "raw"},
}
DISK = {
    "name": {"type": "str", "required": True},
    "uuid": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "mount": {"type": "str"},
    "fstype": {"type": "str", "choices": ["ext4", "xfs"]},
    "options": {"type": "list", "elements": "str"},
    "label": {"type": "str"},
    "immutable": {"type": "bool"},
    "grow": {"type": "bool"},
    "size": {"type": "str"},
    "volumes": {"type": "list", "elements": "dict", "default": [], "options": VOLUME},
}
ARGUMENTS = {
    "disks": {"type": "list", "elements": "dict", "required": True, "options": DISK, "required_if": [("state", "present", ["mount"])]},
    "wipe": {"type": "list", "elements": "str", "default": []},
    "device_timeout": {"type": "int", "default": 60},
    "fstab": {"type": "path", "default": "/etc/fstab"},
    "kubelet_unit": {"type": "str", "default": "kubelet.service"},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    outcome, paths, failure = Outcome(), Paths(fstab=params["fstab"]), ""
    disks = []
    try:
        disks = parse_disks(params["disks"], params["wipe"])
        if module.check_mode:
            predict(disks, paths, params["kubelet_unit"], outcome)
        else:
            converge(disks, paths, params["kubelet_unit"], params["device_timeout"], outcome)
    except (StorageError, OSError) as error:
        failure = str(error)
    for warning in outcome.warnings:
        module.warn(warning)
    result = {
        "changed": bool(outcome.steps),
        "actions": [str(step) for step in outcome.steps],
        "disks": results(disks, outcome),
        "diff": diff(outcome),
    }
    if failure:
        module.fail_json(msg=failure, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
