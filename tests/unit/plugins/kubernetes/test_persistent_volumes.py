"""Volumes of a declaration as objects of Kubernetes."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.data_platform.plugins.filter.persistent_volumes import persistent_volumes


def disk(*volumes: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {"name": "airflow-data", "size": "50G", "mount": "/mnt/airflow-data", "volumes": list(volumes), **options}


POSTGRESQL = {"name": "postgresql", "claim": "airflow/postgresql", "size": "20Gi", "owner": 999}


def test_a_volume_becomes_namespace_class_volume_and_claim() -> None:
    namespace, storage_class, volume, claim = persistent_volumes([disk(POSTGRESQL)], "k8s-worker-01")
    assert (namespace["kind"], namespace["metadata"]["name"]) == ("Namespace", "airflow")
    assert storage_class["provisioner"] == "kubernetes.io/no-provisioner"
    assert storage_class["volumeBindingMode"] == "WaitForFirstConsumer"
    assert volume["metadata"]["name"] == "airflow-data-postgresql"
    assert volume["spec"]["local"]["path"] == "/mnt/airflow-data/postgresql"
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    term = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0]
    assert term == {"key": "kubernetes.io/hostname", "operator": "In", "values": ["k8s-worker-01"]}
    assert (claim["metadata"]["namespace"], claim["metadata"]["name"]) == ("airflow", "postgresql")
    assert claim["spec"]["volumeName"] == volume["metadata"]["name"]
    assert volume["spec"]["claimRef"] == {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "airflow", "name": "postgresql"}
    for spec in (volume["spec"], claim["spec"]):
        assert (spec["accessModes"], spec["storageClassName"]) == (["ReadWriteOnce"], "static-local")


def test_options_of_a_volume_and_of_the_call() -> None:
    shared = {"name": "dags", "claim": "airflow/dags", "size": "1Gi", "access_modes": ["ReadOnlyMany"], "path": "."}
    objects = persistent_volumes([disk(shared)], "node", "airflow-storage")
    assert objects[2]["spec"]["local"]["path"] == "/mnt/airflow-data"
    assert objects[3]["spec"]["accessModes"] == ["ReadOnlyMany"]
    assert objects[1]["metadata"]["name"] == objects[3]["spec"]["storageClassName"] == "airflow-storage"


def test_labels_are_the_volume_s_and_the_claim_selects_by_them() -> None:
    volume, claim = persistent_volumes([disk({**POSTGRESQL, "labels": {"volume": "db"}})], "node")[2:]
    assert volume["metadata"]["labels"] == {
        "volume": "db",
        "app.kubernetes.io/managed-by": "homelab.data_platform",
        "homelab.data-platform/disk": "airflow-data",
    }
    assert claim["spec"]["selector"] == {"matchLabels": {"volume": "db"}}
    assert "selector" not in persistent_volumes([disk(POSTGRESQL)], "node")[3]["spec"]


def test_nothing_for_disks_without_volumes() -> None:
    assert persistent_volumes([], "node") == []
    assert persistent_volumes([disk()], "node") == []


def test_each_namespace_once() -> None:
    objects = persistent_volumes([disk(POSTGRESQL, {**POSTGRESQL, "name": "logs", "claim": "airflow/logs"})], "node")
    assert [item["kind"] for item in objects].count("Namespace") == 1


@pytest.mark.parametrize(
    ("disks", "message"),
    [
        ([disk({**POSTGRESQL, "size": "51Gi"})], "node: data_disks airflow-data: its volumes want 51 GiB together, the disk has 50G"),
        ([disk(POSTGRESQL, {**POSTGRESQL, "name": "b", "claim": "a/b", "size": "31Gi"})], "want 51 GiB together"),
        ([disk({**POSTGRESQL, "claim": "postgresql"})], "claim postgresql has no namespace; write it as namespace/name"),
        ([disk({**POSTGRESQL, "claim": "Airflow/x"})], "'Airflow' is no name for Kubernetes"),
        ([disk({**POSTGRESQL, "size": "lots"})], "volume postgresql: size lots is no size; accepted is a Kubernetes quantity"),
        ([disk({"name": "x", "claim": "a/b"})], "volume x: size is missing"),
        ([disk(POSTGRESQL, {**POSTGRESQL, "name": "other"})], "two volumes are declared for the claim airflow/postgresql"),
        ([disk(POSTGRESQL, {**POSTGRESQL, "claim": "a/b"})], "two volumes would have the name airflow-data-postgresql"),
    ],
)
def test_refusals(disks: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(AnsibleFilterError, match=message):
        persistent_volumes(disks, "node")


def test_a_disk_may_be_filled_to_the_brim() -> None:
    assert persistent_volumes([disk({**POSTGRESQL, "size": "50Gi"})], "node")
