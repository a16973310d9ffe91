"""From the virtual disk to the bound claim."""

from __future__ import annotations

import json

from lab.settings import STATE, WORKER_1
from tests.platform.reality import get, kubectl, on, wait_for

DISK, MOUNT = "airflow-data", "/mnt/airflow-data"


def _device() -> str:
    listing = json.loads(on(WORKER_1, "lsblk --json --nodeps --paths --output NAME,SERIAL"))
    (device,) = [device["name"] for device in listing["blockdevices"] if device["serial"] == DISK]
    return str(device)


def test_proxmox_knows_the_disk_by_its_serial() -> None:
    configuration = (STATE / "proxmox/qemu-server/301.conf").read_text()
    (line,) = [line for line in configuration.splitlines() if f"serial={DISK}" in line]
    assert line.startswith("scsi1:")
    assert "size=8G" in line


def test_disk_is_ext4_and_mounted_by_its_uuid() -> None:
    signature = dict(line.split("=", 1) for line in on(WORKER_1, f"blkid -p -o export {_device()}").splitlines() if "=" in line)
    mounted = json.loads(on(WORKER_1, f"findmnt --json --output SOURCE,FSTYPE,UUID,OPTIONS {MOUNT}"))["filesystems"][0]
    assert signature["TYPE"] == mounted["fstype"] == "ext4"
    assert signature["UUID"] == mounted["uuid"]
    assert "noatime" in mounted["options"]
    lines = [line.split() for line in on(WORKER_1, "cat /etc/fstab").splitlines() if MOUNT in line]
    assert [(line[0], line[2], line[3]) for line in lines] == [(f"UUID={signature['UUID']}", "ext4", "nofail,noatime")]


def test_claim_is_bound_to_the_volume_on_the_node() -> None:
    claim = get("pvc", "--namespace", "airflow", "postgresql")
    volume = get("pv", claim["spec"]["volumeName"])
    assert claim["status"]["phase"] == volume["status"]["phase"] == "Bound"
    assert volume["spec"]["local"]["path"] == f"{MOUNT}/postgresql"
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"


def test_the_database_lies_on_the_disk() -> None:
    version = on(WORKER_1, f"find {MOUNT}/postgresql -maxdepth 2 -name PG_VERSION")
    assert version.strip().startswith(f"{MOUNT}/postgresql/")
    assert on(WORKER_1, f"stat --format=%u:%a {MOUNT}/postgresql").strip() == "999:700"


def test_nothing_but_airflow_lands_on_the_orchestration_node() -> None:
    pods = [pod for pod in get("pods", "--all-namespaces")["items"] if pod["spec"].get("nodeName") == WORKER_1.name]
    assert {pod["metadata"]["namespace"] for pod in pods} == {"airflow"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "stranger", "namespace": "default"},
        "spec": {
            "nodeSelector": {"workload": "orchestration"},
            "containers": [{"name": "pause", "image": "registry.k8s.io/pause:3.10"}],
            "terminationGracePeriodSeconds": 0,
        },
    }
    kubectl("create", "--filename=-", stdin=json.dumps(pod))
    try:

        def verdict() -> str:
            conditions = get("pod", "--namespace", "default", "stranger")["status"].get("conditions", [])
            return "".join(entry.get("message", "") for entry in conditions if entry["type"] == "PodScheduled")

        assert "1 node(s) had untolerated taint" in wait_for("the scheduler's verdict", verdict, 30)
    finally:
        kubectl("delete", "--namespace=default", "pod", "stranger")


def test_orchestration_node_is_set_aside() -> None:
    node = get("node", WORKER_1.name)
    assert node["metadata"]["labels"]["workload"] == "orchestration"
    assert {"key": "dedicated", "value": "orchestration", "effect": "NoSchedule"} in node["spec"]["taints"]
