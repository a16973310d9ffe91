# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Static volumes as objects of Kubernetes: each one a PersistentVolume that is reserved for one claim, and that claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]

MANAGED = {"app.kubernetes.io/managed-by": "homelab.data_platform"}

OWN_PREFIX = "homelab.data-platform/"

DISK_LABEL = f"{OWN_PREFIX}disk"
"""Every PersistentVolume of ours on a node's disk carries it."""

SHARED_LABEL = f"{OWN_PREFIX}shared"
"""Every PersistentVolume of ours that no node's disk carries has it."""

SOURCES = {
    "nfs": {"server": "server", "path": "path", "read_only": "readOnly"},
    "csi": {
        "driver": "driver",
        "volume_handle": "volumeHandle",
        "fs_type": "fsType",
        "read_only": "readOnly",
        "attributes": "volumeAttributes",
        "node_stage_secret": "nodeStageSecretRef",
        "node_publish_secret": "nodePublishSecretRef",
    },
}
"""What carries a shared volume: the inventory's words for it, and Kubernetes' own."""


@dataclass(frozen=True)
class Volume:
    """A volume as it is declared, whatever carries it."""

    name: str
    namespace: str
    claim: str
    size: str
    access_modes: Sequence[str]
    mark: Mapping[str, str]
    """The label by which it is known as one of ours."""
    labels: Mapping[str, str]
    """Declared ones, by which the claim selects it."""
    carrier: Mapping[str, Any]
    """Fields of the PersistentVolume's spec that say where the data lies."""


def objects(volumes: Sequence[Volume], storage_class: str) -> list[Object]:
    """Return namespaces, StorageClass, volumes and claims in the order of their creation; nothing where there are no volumes."""
    if not volumes:
        return []
    namespaces = dict.fromkeys(volume.namespace for volume in volumes)
    found: list[Object] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in namespaces]
    found.append(_storage_class(storage_class))
    for volume in volumes:
        found += [_persistent_volume(volume, storage_class), _claim(volume, storage_class)]
    return found


def _storage_class(name: str) -> Object:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "labels": MANAGED},
        "provisioner": "kubernetes.io/no-provisioner",
        # The scheduler then picks the node that has the volume.
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Retain",
    }


def _persistent_volume(volume: Volume, storage_class: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": volume.name, "labels": {**volume.labels, **MANAGED, **volume.mark}},
        "spec": {
            "accessModes": list(volume.access_modes),
            "capacity": {"storage": volume.size},
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": volume.namespace, "name": volume.claim},
            **volume.carrier,
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": storage_class,
            "volumeMode": "Filesystem",
        },
    }


def _claim(volume: Volume, storage_class: str) -> Object:
    selector = {"selector": {"matchLabels": dict(volume.labels)}} if volume.labels else {}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": volume.claim, "namespace": volume.namespace, "labels": {**MANAGED, **volume.mark}},
        "spec": {
            "accessModes": list(volume.access_modes),
            "resources": {"requests": {"storage": volume.size}},
            **selector,
            "storageClassName": storage_class,
            "volumeMode": "Filesystem",
            "volumeName": volume.name,
        },
    }
