"""Data outlives what happens to a platform. Run on a lab that has its storage and its database."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.node import machine, ready
from lab.settings import WORKER_1, WORKER_2
from tests.platform.reality import get, kubectl, on, wait_for
from tests.playbook import Site, changed
from tests.proxmox import VirtualMachine

MOUNT = "/mnt/airflow-data"
SENTINEL = f"{MOUNT}/sentinel"
SCRATCH = "/mnt/scratch"
POD = ("pod", "--namespace", "airflow", "postgresql-0")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """The lab, with one more disk for k8s-worker-02."""
    site = Site.copy(tmp_path)
    volume = {"name": "cache", "claim": "default/cache", "size": "512Mi", "owner": 1000}
    disk = {"name": "scratch", "storage": "local-lvm", "size": "1G", "mount": SCRATCH, "fstype": "ext4", "volumes": [volume]}
    site.declare(WORKER_2, data_disks=[disk])
    return site


@pytest.fixture(autouse=True)
def data() -> Callable[[], None]:
    """Write a file and a row; what is returned checks that both are there, byte for byte."""
    on(WORKER_1, f"sh -c 'test -e {SENTINEL} || head -c 1048576 /dev/urandom > {SENTINEL}'")
    digest = on(WORKER_1, f"sha256sum {SENTINEL}")
    sql("create table if not exists sentinel (word text)", "insert into sentinel select 'kept' where not exists (select from sentinel)")

    def check() -> None:
        assert on(WORKER_1, f"sha256sum {SENTINEL}") == digest
        assert wait_for("the database", lambda: row(), 180) == "kept"

    return check


def sql(*statements: str) -> str:
    """Run statements in the database."""
    commands = [part for statement in statements for part in ("--command", statement)]
    words = ["exec", "--namespace", "airflow", "postgresql-0", "--", "psql", "--username", "airflow", "--dbname", "airflow"]
    return kubectl(*words, "--tuples-only", "--no-align", *commands)


def row() -> str:
    """The word in the table; nothing while the server cannot be asked."""
    status = get("statefulset", "--namespace", "airflow", "postgresql")["status"]
    return sql("select word from sentinel").strip() if status.get("readyReplicas") else ""


def test_a_run_that_is_killed_before_any_task_is_finished_by_the_next(site: Site, data: Callable[[], None]) -> None:
    killed = 0
    for number in range(1, 100):
        plugins = {"ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent), "ANSIBLE_CALLBACKS_ENABLED": "kill_at"}
        result = site.play("playbooks/storage.yml", **plugins, KILL_AT=str(number))
        if result.returncode != -signal.SIGKILL:
            break
        killed += 1
        data()
    assert killed >= 8, result.stdout + result.stderr
    assert not any(changed(site.play("playbooks/storage.yml")).values())
    assert "ext4" in on(WORKER_2, f"findmnt --noheadings --output FSTYPE {SCRATCH}")
    assert get("pv", "scratch-cache")["spec"]["claimRef"]["name"] == "cache"
    data()


def test_a_claim_that_was_deleted_gets_its_volume_back(site: Site, data: Callable[[], None]) -> None:
    kubectl("scale", "--namespace", "airflow", "statefulset", "postgresql", "--replicas=0")
    kubectl("delete", "--namespace", "airflow", "pvc", "postgresql", "--wait", "--timeout=120s")
    wait_for("the release of the volume", lambda: get("pv", "airflow-data-postgresql")["status"]["phase"] == "Released", 60)
    assert changed(site.play("playbooks/storage.yml"))[WORKER_1.name] == 1
    changed(site.play("playbooks/postgresql.yml"))
    data()


def test_a_drained_node_gives_the_database_back(data: Callable[[], None]) -> None:
    kubectl("drain", WORKER_1.name, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=120s")
    kubectl("uncordon", WORKER_1.name)
    data()


def test_a_node_without_its_disk_starts_and_the_database_waits_for_it(site: Site, data: Callable[[], None]) -> None:
    machine(WORKER_1).stop()
    virtual = VirtualMachine(WORKER_1)
    slot = virtual.slot("airflow-data")
    volume = virtual.volume(slot)
    virtual.detach(slot)
    machine(WORKER_1).start()
    # systemd gives the disk 90 seconds to appear.
    machine(WORKER_1).wait(240)
    wait_for("the node", lambda: ready(WORKER_1), 120)
    wait_for("the end of the database", lambda: not runs(), 120)
    wait_for("kubelet's word on the missing directory", lambda: "does not exist" in events(), 120)
    assert not runs()
    assert on(WORKER_1, f"ls -A {MOUNT}") == ""
    assert "Operation not permitted" in on(WORKER_1, f"sh -c 'touch {MOUNT}/file 2>&1; true'")

    refused = site.play("playbooks/storage.yml")
    assert refused.returncode != 0
    assert f"({volume}) is a detached volume of its size, 8G" in refused.stdout
    assert virtual.volumes() == [volume]

    disk = {**site.variables(WORKER_1)["data_disks"][0], "volume": volume}
    site.declare(WORKER_1, data_disks=[disk])
    assert changed(site.play("playbooks/storage.yml"))[WORKER_1.name] > 0
    data()
    assert changed(site.play("playbooks/storage.yml"))[WORKER_1.name] == 0


def runs() -> bool:
    """Whether the database's container runs, as the node tells it."""
    statuses = get(*POD)["status"].get("containerStatuses", [])
    return any("running" in status["state"] for status in statuses)


def events() -> str:
    """What kubelet says of the database's pod."""
    return kubectl(
        "get", "events", "--namespace", "airflow", "--field-selector=involvedObject.name=postgresql-0", "--output=jsonpath={..message}"
    )
