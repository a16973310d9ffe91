#!/usr/bin/python
# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks of a virtual machine on Proxmox VE."""

from __future__ import annotations

DOCUMENTATION = r"""
module: proxmox_vm_disk
short_description: Disks of a virtual machine on Proxmox VE
version_added: 0.1.0
author:
  - The homelab.data_platform contributors (@homelab)
description:
  - Creates, grows and reconfigures the disks of one virtual machine, all of them in one call.
  - A disk is found by its serial. A disk that has none, because it was added by hand, is adopted by its slot and keeps every setting
    that the declaration does not name.
  - Options that are not named stay as they are; only differences are written.
  - Nothing is ever shrunk or moved. A disk is detached only where O(disks[].state=absent) names it, and its volume is kept; it is
    destroyed only where O(disks[].destroy) repeats its name.
notes:
  - Disks are created by one write, all of them, and configured by another; each that grows takes a write of its own.
  - Every write carries the digest of the configuration that it was planned on. Where somebody else was quicker, the module looks and
    plans again; where an answer is lost, it looks before it writes again, so that a volume is never allocated twice.
  - Sizes are binary, as Proxmox counts, so V(50G) is 50 GiB and equal to V(51200M).
  - The token needs C(VM.Audit) and C(VM.Config.Disk) on the machine (C(/vms/VMID)), and C(Datastore.AllocateSpace) on the storages
    (C(/storage/NAME)).
extends_documentation_fragment:
  - homelab.data_platform.attributes.full
  - homelab.data_platform.proxmox
options:
  vmid:
    description:
      - Number of the virtual machine.
      - Exactly one of O(vmid) and O(name) is required.
    type: int
  name:
    description:
      - Name of the virtual machine, when it is the only one of that name.
      - Exactly one of O(vmid) and O(name) is required.
    type: str
  disks:
    description:
      - The disks that the machine shall have, or shall have no more. Other disks are left alone.
    type: list
    elements: dict
    required: true
    suboptions:
      serial:
        description:
          - Serial number by which the disk is known, to Proxmox as well as in the guest. It is set when the disk is created.
          - At most 20 characters out of letters, digits, V(-) and V(_).
          - Required, unless O(disks[].slot) names a disk to adopt.
        type: str
        aliases: [name]
      slot:
        description:
          - Slot of a disk that is there already, such as V(scsi1), to adopt one which has no serial.
          - An empty slot is an error, and so is one that holds a disk with another serial.
          - Leave it out for a disk that is to be created; it gets the first free slot of its bus.
        type: str
      storage:
        description:
          - Storage on which the disk is created. Required to create it.
          - For a disk that is there it must be the storage that holds it; a disk is not moved.
        type: str
      size:
        description:
          - Size with a unit, such as V(50G), V(50GiB) or V(51200M). Required to create the disk.
          - A disk that is smaller is grown. One that is larger is an error.
        type: str
      bus:
        description:
          - Bus on which the disk is created, V(scsi) where nothing is said.
          - For a disk that is there it must be the bus that it is on.
          - On V(sata) and V(ide), a new disk appears at the next restart of the machine.
        type: str
        choices: [scsi, virtio, sata, ide]
      format:
        description:
          - Format of the volume, for storages that know several. Only looked at when the disk is created.
        type: str
        choices: [raw, qcow2, vmdk]
      volume:
        description:
          - A volume that is there already, such as V(local-lvm:vm-301-disk-1), or the V(unused0) that holds a detached one.
          - The machine gets it with all that is on it, under the declared O(disks[].serial). Nothing is created.
          - No disk is created while the machine has a detached volume of the same size on the same storage, which may be that disk
            with its data. Name that volume, to attach it, or with O(disks[].state=absent), to leave it detached.
          - The size of the volume is not known beforehand, so that check mode cannot foretell whether it will be grown.
        type: str
      state:
        description:
          - V(absent) detaches the disk from the machine. Its volume is kept; it is C(unusedN) of the machine from then on.
          - A disk that the machine boots from is not detached.
          - Unmount it in the guest first.
        type: str
        choices: [present, absent]
        default: present
      destroy:
        description:
          - With O(disks[].state=absent), also destroys the volume and all that is on it, for ever.
          - Must repeat the name of this very disk, which is its O(disks[].serial), else its O(disks[].slot), else its O(disks[].volume).
        type: str
      aio:
        description: Kind of asynchronous input and output.
        type: str
        choices: [native, threads, io_uring]
      backup:
        description: Whether backups of the machine include the disk.
        type: bool
      cache:
        description: Cache mode.
        type: str
        choices: [none, writethrough, writeback, unsafe, directsync]
      detect_zeroes:
        description: Whether writes of zeroes are detected and optimized.
        type: bool
      discard:
        description: Whether the guest's discards (TRIM) reach the storage.
        type: str
        choices: [ignore, 'on']
      iops_rd:
        description: Limit of read operations a second.
        type: int
      iops_wr:
        description: Limit of write operations a second.
        type: int
      iothread:
        description: Whether the disk has a thread of its own, on V(virtio) or V(scsi) with the controller C(virtio-scsi-single).
        type: bool
      mbps_rd:
        description: Limit of megabytes read a second.
        type: float
      mbps_wr:
        description: Limit of megabytes written a second.
        type: float
      queues:
        description: Number of queues, on V(scsi) only.
        type: int
      replicate:
        description: Whether replication jobs include the disk.
        type: bool
      ro:
        description: Whether the disk is read-only, on V(scsi) and V(virtio) only.
        type: bool
      ssd:
        description: Whether the guest sees a solid-state drive, not on V(virtio).
        type: bool
      wwn:
        description: World-wide name, C(0x) and 16 hexadecimal digits, not on V(virtio).
        type: str
  lock_timeout:
    description:
      - Seconds to wait for a machine that another operation (a backup, a migration) has locked.
      - That it waited, and for what, is a warning of the result.
    type: int
    default: 120
  task_timeout:
    description: Seconds to wait for one task of Proxmox, such as the allocation of a volume.
    type: int
    default: 600
"""

EXAMPLES = r"""
- name: A disk for Airflow's data
  homelab.data_platform.proxmox_vm_disk:
    api_host: pve.example.org
    api_user: ansible@pve
    api_token_id: platform
    api_token_secret: "{{ proxmox_api_token_secret }}"
    ca_path: /opt/data-platform/ca.crt
    vmid: 301
    disks:
      - serial: airflow-data
        storage: local-lvm
        size: 50G
        discard: 'on'
        ssd: true

- name: Take a disk away, and keep what is on it
  homelab.data_platform.proxmox_vm_disk:
    vmid: 301
    disks:
      - {serial: airflow-data, state: absent}
  register: detached

- name: Give it to another slot of the same machine
  homelab.data_platform.proxmox_vm_disk:
    vmid: 301
    disks:
      - serial: airflow-data
        volume: "{{ detached.removed[0].volume }}"

- name: Destroy a disk and all that is on it
  homelab.data_platform.proxmox_vm_disk:
    vmid: 301
    disks:
      - {serial: scratch, state: absent, destroy: scratch}

- name: Adopt a disk that was added by hand, and grow it
  homelab.data_platform.proxmox_vm_disk:
    name: k8s-worker-01
    disks:
      - slot: scsi1
        size: 100G
  module_defaults:
    group/homelab.data_platform.proxmox: "{{ proxmox_connection }}"
"""

RETURN = r"""
vmid:
  description: Number of the machine.
  returned: when the machine was found
  type: int
  sample: 301
name:
  description: Name of the machine.
  returned: when the machine was found
  type: str
  sample: k8s-worker-01
node:
  description: Node of the cluster that the machine is on.
  returned: when the machine was found
  type: str
  sample: pve
disks:
  description: The declared disks in the order of their declaration, as they are, or in check mode as they would be.
  returned: when the machine was found
  type: list
  elements: dict
  contains:
    serial:
      description: Serial number, V(null) for a disk that has none.
      type: str
      sample: airflow-data
    slot:
      description: Slot of the disk.
      type: str
      sample: scsi1
    storage:
      description: Storage that holds the volume.
      type: str
      sample: local-lvm
    volume:
      description: The volume, V(null) in check mode for one that would be created.
      type: str
      sample: local-lvm:vm-301-disk-1
    size:
      description: Size in bytes.
      type: int
      sample: 53687091200
    by_id:
      description: Links under which the guest may show the disk, likeliest first. The serial itself is the surer way to find it.
      type: list
      elements: str
      sample: [/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_airflow-data, /dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-scsi1]
    pending:
      description:
        - Options whose value waits for the next restart of the machine, or in check mode would; V(null) for one that will go.
        - The C(volume) is among them for a disk that is attached at the next restart only; it is V(null) in check mode for one
          that would be created.
        - Check mode foretells them by what the cluster says of the machine, that it runs or is stopped, and by its C(hotplug).
      type: dict
      sample: {ssd: '1'}
    actions:
      description: What was done to the disk, or would be; out of V(created), V(attached), V(resized), V(configured).
      type: list
      elements: str
      sample: [created]
removed:
  description: The declared absent disks that were there.
  returned: when the machine was found
  type: list
  elements: dict
  contains:
    serial:
      description: Serial number, V(null) for a disk that has none.
      type: str
    slot:
      description: Slot that the disk was in.
      type: str
    volume:
      description: The volume.
      type: str
      sample: local-lvm:vm-301-disk-1
    unused:
      description: Key under which the machine keeps the detached volume; V(null) when it is destroyed, still attached, or in check mode.
      type: str
      sample: unused0
    pending:
      description: Whether it goes at the next restart of the machine only, or in check mode would.
      type: bool
    actions:
      description: What was done, or would be; V(detached) or V(destroyed), nothing for what waits already.
      type: list
      elements: str
restart_required:
  description: Whether values wait for the next restart of the machine, or in check mode would.
  returned: when the machine was found
  type: bool
  sample: false
api_calls:
  description: Number of calls that were made to the API. Two where nothing is to be done, however many the disks.
  returned: always
  type: int
  sample: 2
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.data_platform.plugins.module_utils.proxmox.client import Client, ProxmoxError
from ansible_collections.homelab.data_platform.plugins.module_utils.proxmox.disks import Converger, find_vm
from ansible_collections.homelab.data_platform.plugins.module_utils.proxmox.drive import BUSES, OPTIONS, DeclarationError
from ansible_collections.homelab.data_platform.plugins.module_utils.proxmox.module import connect, connection_argument_spec
from ansible_collections.homelab.data_platform.plugins.module_utils.proxmox.plan import Wanted


def argument_spec() -> dict[str, Any]:
    """What the module takes."""
    disk: dict[str, Any] = {
        "serial": {"type": "str", "aliases": ["name"]},
        "slot": {"type": "str"},
        "storage": {"type": "str"},
        "size": {"type": "str"},
        "bus": {"type": "str", "choices": list(BUSES)},
        "format": {"type": "str", "choices": ["raw", "qcow2", "vmdk"]},
        "volume": {"type": "str"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "destroy": {"type": "str"},
    }
    for key, option in OPTIONS.items():
        disk[key] = {"type": option.kind, "choices": list(option.choices)} if option.choices else {"type": option.kind}
    return {
        **connection_argument_spec(),
        "vmid": {"type": "int"},
        "name": {"type": "str"},
        "disks": {"type": "list", "elements": "dict", "required": True, "options": disk},
        "lock_timeout": {"type": "int", "default": 120},
        "task_timeout": {"type": "int", "default": 600},
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=argument_spec(),
        supports_check_mode=True,
        required_one_of=[("vmid", "name")],
        mutually_exclusive=[("vmid", "name")],
    )
    client = connect(module)
    result: dict[str, Any] = {"changed": False}
    failure = None
    try:
        _converge(module, client, result)
    except (DeclarationError, ProxmoxError) as error:
        failure = str(error)
    result["api_calls"] = client.calls
    if not module._diff:
        result.pop("diff", None)
    if failure:
        module.fail_json(msg=failure, **result)
    module.exit_json(**result)


def _converge(module: AnsibleModule, client: Client, result: dict[str, Any]) -> None:
    """Bring the disks about; the result tells how far it came, whatever happens."""
    options = module.params
    wanted = [Wanted.parse(disk) for disk in options["disks"]]
    vm = find_vm(client, options["vmid"], options["name"])
    timeouts = {key: options[key] for key in ("lock_timeout", "task_timeout")}
    converger = Converger(client, vm, wanted, check=module.check_mode, **timeouts)
    try:
        converger.run()
    finally:
        result.update(converger.result())
        for warning in converger.outcome.warnings:
            module.warn(warning)


if __name__ == "__main__":
    main()
