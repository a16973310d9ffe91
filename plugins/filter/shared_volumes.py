# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter with which the role `static_volume` derives Kubernetes objects from the volumes that no node's disk carries."""

from __future__ import annotations

DOCUMENTATION = r"""
name: shared_volumes
author: The homelab.data_platform contributors (@homelab)
version_added: 0.1.0
short_description: Namespaces, StorageClass, PersistentVolumes and claims for volumes that no node's disk carries
description:
  - Derives from C(shared_volumes) what Kubernetes needs to know of them, ready for M(homelab.data_platform.static_volume).
  - Each one becomes a PersistentVolume with C(nfs) or C(csi), reserved for one claim, and that claim. C(labels) are given to the volume,
    and the claim selects by them. Nothing is returned where none is declared.
  - Refuses what M(homelab.data_platform.validate_declaration) refuses, all problems at once.
positional: storage_class
options:
  _input:
    description: The volumes, as the inventory declares them.
    type: list
    elements: dict
    required: true
  storage_class:
    description: Name of the StorageClass.
    type: str
    default: static-local
"""

EXAMPLES = r"""
- name: Show the objects
  ansible.builtin.debug:
    msg: "{{ shared_volumes | homelab.data_platform.shared_volumes }}"
  vars:
    shared_volumes:
      - name: airflow-logs
        claim: airflow/logs
        size: 20Gi
        mount_options: [nfsvers=4.1, hard]
        nfs: {server: nas.home.arpa, path: /export/airflow-logs}
"""

RETURN = r"""
_value:
  description: The objects, in the order in which they are created.
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.data_platform.plugins.module_utils.declaration import check_shared_volumes, described
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.volume_objects import (
    SHARED_LABEL,
    SOURCES,
    Object,
    Volume,
    objects,
)


def shared_volumes(volumes: Sequence[Mapping[str, Any]], storage_class: str = "static-local") -> list[Object]:
    """Return the objects for the volumes that no node's disk carries."""
    problems = [described(*finding) for finding in check_shared_volumes(volumes)]
    if problems:
        raise AnsibleFilterError("\n".join(problems))
    return objects([_volume(volume) for volume in volumes], storage_class)


def _volume(volume: Mapping[str, Any]) -> Volume:
    namespace, _slash, claim = volume["claim"].partition("/")
    # None leaves the options that a volume has, an empty list takes them off.
    options = volume.get("mount_options")
    return Volume(
        name=volume["name"],
        namespace=namespace,
        claim=claim,
        size=str(volume["size"]),
        access_modes=volume.get("access_modes") or ["ReadWriteMany"],
        mark={SHARED_LABEL: "true"},
        labels=volume.get("labels") or {},
        carrier={
            **{kind: _source(volume[kind], names) for kind, names in SOURCES.items() if volume.get(kind)},
            **({} if options is None else {"mountOptions": list(options)}),
        },
    )


def _source(declared: Mapping[str, Any], names: Mapping[str, str]) -> Object:
    """Say it in Kubernetes' words, without the empty values, which Kubernetes does not keep."""
    return {
        theirs: _reference(declared[ours]) if theirs.endswith("SecretRef") else declared[ours]
        for ours, theirs in names.items()
        if declared.get(ours)
    }


def _reference(secret: str) -> Object:
    namespace, _slash, name = secret.partition("/")
    return {"name": name, "namespace": namespace}


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., list[Object]]]:
        """Filters by name."""
        return {"shared_volumes": shared_volumes}
