"""Volumes that no node's disk carries as objects of Kubernetes."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.data_platform.plugins.filter.shared_volumes import shared_volumes

LOGS: dict[str, Any] = {
    "name": "airflow-logs",
    "claim": "airflow/logs",
    "size": "20Gi",
    "mount_options": ["nfsvers=4.1", "hard"],
    "nfs": {"server": "nas.home.arpa", "path": "/export/airflow-logs", "read_only": False},
}
DAGS: dict[str, Any] = {
    "name": "airflow-dags",
    "claim": "airflow/dags",
    "size": "5Gi",
    "access_modes": ["ReadOnlyMany"],
    "labels": {"volume": "dags"},
    "csi": {"driver": "efs.csi.aws.com", "volume_handle": "fs-0123456789abcdef0", "fs_type": "", "attributes": {}},
}


def test_a_volume_of_an_nfs_server() -> None:
    namespace, storage_class, volume, claim = shared_volumes([LOGS])
    assert (namespace["kind"], namespace["metadata"]["name"]) == ("Namespace", "airflow")
    assert storage_class["provisioner"] == "kubernetes.io/no-provisioner"
    assert volume["metadata"]["name"] == claim["spec"]["volumeName"] == "airflow-logs"
    assert volume["metadata"]["labels"]["homelab.data-platform/shared"] == "true"
    assert volume["spec"] == {
        "accessModes": ["ReadWriteMany"],
        "capacity": {"storage": "20Gi"},
        "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "airflow", "name": "logs"},
        "nfs": {"server": "nas.home.arpa", "path": "/export/airflow-logs"},
        "mountOptions": ["nfsvers=4.1", "hard"],
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": "static-local",
        "volumeMode": "Filesystem",
    }
    assert "selector" not in claim["spec"]


def test_a_volume_of_a_csi_driver_is_selected_by_its_labels() -> None:
    _namespace, storage_class, volume, claim = shared_volumes([DAGS], "airflow-storage")
    assert storage_class["metadata"]["name"] == volume["spec"]["storageClassName"] == claim["spec"]["storageClassName"] == "airflow-storage"
    assert volume["spec"]["csi"] == {"driver": "efs.csi.aws.com", "volumeHandle": "fs-0123456789abcdef0"}
    assert volume["spec"]["accessModes"] == claim["spec"]["accessModes"] == ["ReadOnlyMany"]
    assert claim["spec"]["selector"]["matchLabels"].items() <= volume["metadata"]["labels"].items()
    assert "volume" not in claim["metadata"]["labels"]


def test_kubernetes_own_names() -> None:
    more = {"fs_type": "ext4", "read_only": True, "attributes": {"a": "b"}, "node_stage_secret": "s/a", "node_publish_secret": "s/b"}
    volume = shared_volumes([{**DAGS, "csi": {**DAGS["csi"], **more}}])[2]
    assert volume["spec"]["csi"] == {
        "driver": "efs.csi.aws.com",
        "volumeHandle": "fs-0123456789abcdef0",
        "fsType": "ext4",
        "readOnly": True,
        "volumeAttributes": {"a": "b"},
        "nodeStageSecretRef": {"namespace": "s", "name": "a"},
        "nodePublishSecretRef": {"namespace": "s", "name": "b"},
    }


def test_each_namespace_once_and_nothing_for_none() -> None:
    assert [entry["kind"] for entry in shared_volumes([LOGS, DAGS])].count("Namespace") == 1
    assert shared_volumes([]) == []


def test_all_problems_are_said_at_once() -> None:
    with pytest.raises(AnsibleFilterError) as refused:
        shared_volumes([{**LOGS, "size": "lots"}, {**DAGS, "nfs": LOGS["nfs"]}, {**LOGS, "name": "other"}])
    assert str(refused.value).splitlines() == [
        "shared_volumes[0].size is 'lots'; wanted a quantity of Kubernetes, such as 20Gi",
        "shared_volumes[1]: what carries it is 'nfs and csi'; wanted one of nfs, csi",
        "shared_volumes[2].claim is 'airflow/logs'; shared_volumes[0].claim has the same value; a claim is bound to one volume",
    ]
