# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter with which the role `static_volume` derives Kubernetes objects from the declaration of a node's disks."""

from __future__ import annotations

DOCUMENTATION = r"""
name: persistent_volumes
author: The homelab.data_platform contributors (@homelab)
version_added: 0.1.0
short_description: Namespaces, StorageClass, PersistentVolumes and claims for the disks of a node
description:
  - Derives from C(data_disks) what Kubernetes needs to know of their volumes, ready for M(homelab.data_platform.static_volume).
  - Each volume becomes a local PersistentVolume on its node, reserved for one claim, and that claim. C(labels) are given to the volume, and
    the claim selects by them. Nothing is returned for disks without volumes, nor for those that are to be absent.
  - Refuses volumes that together want more than their disk has, and names that Kubernetes would refuse.
positional: node, storage_class
options:
  _input:
    description: The disks, as the host declares them.
    type: list
    elements: dict
    required: true
  node:
    description: Name of the node, as its label C(kubernetes.io/hostname) has it.
    type: str
    required: true
  storage_class:
    description: Name of the StorageClass.
    type: str
    default: static-local
"""

EXAMPLES = r"""
- name: Show the objects
  ansible.builtin.debug:
    msg: "{{ data_disks | homelab.data_platform.persistent_volumes('k8s-worker-01') }}"
  vars:
    data_disks:
      - name: airflow-data
        size: 50G
        mount: /mnt/airflow-data
        volumes:
          - {name: postgresql, claim: airflow/postgresql, size: 20Gi}
"""

RETURN = r"""
_value:
  description: The objects, in the order in which they are created.
  type: list
  elements: dict
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from posixpath import join, normpath
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.volume_objects import DISK_LABEL, Object, Volume, objects
from ansible_collections.homelab.data_platform.plugins.module_utils.sizes import disk_size, gib, quantity


def persistent_volumes(disks: Sequence[Mapping[str, Any]], node: str, storage_class: str = "static-local") -> list[Object]:
    """Return the objects for the volumes of a node's disks."""
    disks = [disk for disk in disks if disk.get("state") != "absent"]
    volumes = [(disk, volume) for disk in disks for volume in disk.get("volumes") or []]
    for disk in disks:
        _check_room(disk, node)
    _check_unique([f"{disk['name']}-{volume['name']}" for disk, volume in volumes], f"{node}: two volumes would have the name")
    _check_unique([str(volume["claim"]) for _disk, volume in volumes], f"{node}: two volumes are declared for the claim")
    return objects([_volume(disk, volume, node) for disk, volume in volumes], storage_class)


def _volume(disk: Mapping[str, Any], volume: Mapping[str, Any], node: str) -> Volume:
    namespace, claim = _claim(disk, volume, node)
    here = [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]
    return Volume(
        name=_name(f"{disk['name']}-{volume['name']}", f"{node}: a PersistentVolume"),
        namespace=namespace,
        claim=claim,
        size=str(volume["size"]),
        access_modes=volume.get("access_modes") or ["ReadWriteOnce"],
        mark={DISK_LABEL: disk["name"]},
        labels=volume.get("labels") or {},
        carrier={
            "local": {"path": normpath(join(disk["mount"], volume.get("path") or volume["name"]))},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": here}]}},
        },
    )


def _check_room(disk: Mapping[str, Any], node: str) -> None:
    """Volumes are directories: Kubernetes does not keep them from filling the disk, so at least their sum has to fit."""
    where = f"{node}: data_disks {disk.get('name')}"
    sizes = [_size(volume, f"{where}, volume {volume.get('name')}") for volume in disk.get("volumes") or []]
    if not sizes or "size" not in disk:
        return
    room = disk_size(disk["size"])
    if room is None:
        raise AnsibleFilterError(f"{where}: size {disk['size']} is no size; accepted is a number with K, M, G or T, such as 50G.")
    if sum(sizes) > room:
        raise AnsibleFilterError(
            f"{where}: its volumes want {gib(sum(sizes))} together, the disk has {disk['size']} (binary): "
            "make the disk larger or the volumes smaller."
        )


def _size(volume: Mapping[str, Any], where: str) -> int:
    for key in ("name", "claim", "size"):
        if not volume.get(key):
            raise AnsibleFilterError(f"{where}: {key} is missing; a volume has a name, a claim (namespace/name) and a size.")
    size = quantity(volume["size"])
    if size is None:
        raise AnsibleFilterError(f"{where}: size {volume['size']} is no size; accepted is a Kubernetes quantity such as 20Gi.")
    return size


def _claim(disk: Mapping[str, Any], volume: Mapping[str, Any], node: str) -> tuple[str, str]:
    where = f"{node}: data_disks {disk['name']}, volume {volume['name']}: claim {volume['claim']}"
    namespace, slash, name = str(volume["claim"]).partition("/")
    if not slash:
        raise AnsibleFilterError(f"{where} has no namespace; write it as namespace/name.")
    return _name(namespace, where), _name(name, where)


def _name(name: str, where: str) -> str:
    if len(name) > 253 or not re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", name):
        raise AnsibleFilterError(f"{where}: {name!r} is no name for Kubernetes; accepted are small letters, digits, dashes and dots.")
    return name


def _check_unique(names: Sequence[str], what: str) -> None:
    for name in _twice(names):
        raise AnsibleFilterError(f"{what} {name}: each one needs its own.")


def _twice(names: Sequence[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield name
        seen.add(name)


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., list[Object]]]:
        """Filters by name."""
        return {"persistent_volumes": persistent_volumes}
