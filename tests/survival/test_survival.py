"""Data outlives what happens to a platform. Run on a lab that has its storage and its database."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from lab.settings import CHECKOUT, INVENTORY, WORKER_1, WORKER_2
from tests.platform.reality import get, kubectl, on, wait_for

SENTINEL = "/mnt/airflow-data/sentinel"
SCRATCH = "/mnt/scratch"

Play = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Run a playbook on the lab, with one more disk for k8s-worker-02 in the inventory."""
    inventory = tmp_path / "inventory"
    shutil.copytree(INVENTORY, inventory)
    host_vars = inventory / "host_vars" / f"{WORKER_2.name}.yml"
    variables = yaml.safe_load(host_vars.read_text())
    volume = {"name": "cache", "claim": "default/cache", "size": "512Mi", "owner": 1000}
    disk = {"name": "scratch", "storage": "local-lvm", "size": "1G", "mount": SCRATCH, "fstype": "ext4", "volumes": [volume]}
    host_vars.write_text(yaml.safe_dump({**variables, "data_disks": [disk]}))

    def run(playbook: str, *options: str, kill_at: int = 0) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1"}
        if kill_at:
            plugins = {"ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent), "ANSIBLE_CALLBACKS_ENABLED": "kill_at"}
            environment.update(plugins, KILL_AT=str(kill_at))
        command = [sys.executable, "-m", "ansible", "playbook", "-i", str(inventory), playbook, *options]
        return subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False, start_new_session=True)

    return run


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


def changed(result: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """The number of changes on each host, of a run that ended well."""
    assert result.returncode == 0, result.stdout + result.stderr
    return dict(re.findall(r"^(\S+) +: ok=\d+ +changed=(\d+)", result.stdout, re.MULTILINE))


def test_a_run_that_is_killed_before_any_task_is_finished_by_the_next(play: Play, data: Callable[[], None]) -> None:
    killed = 0
    for number in range(1, 100):
        result = play("playbooks/storage.yml", kill_at=number)
        if result.returncode != -signal.SIGKILL:
            break
        killed += 1
        data()
    assert killed >= 8, result.stdout + result.stderr
    assert changed(play("playbooks/storage.yml")) == {WORKER_1.name: "0", WORKER_2.name: "0"}
    assert "ext4" in on(WORKER_2, f"findmnt --noheadings --output FSTYPE {SCRATCH}")
    assert get("pv", "scratch-cache")["spec"]["claimRef"]["name"] == "cache"
    data()


def test_a_claim_that_was_deleted_gets_its_volume_back(play: Play, data: Callable[[], None]) -> None:
    kubectl("scale", "--namespace", "airflow", "statefulset", "postgresql", "--replicas=0")
    kubectl("delete", "--namespace", "airflow", "pvc", "postgresql", "--wait", "--timeout=120s")
    wait_for("the release of the volume", lambda: get("pv", "airflow-data-postgresql")["status"]["phase"] == "Released", 60)
    assert changed(play("playbooks/storage.yml"))[WORKER_1.name] == "1"
    changed(play("playbooks/postgresql.yml"))
    data()


def test_a_drained_node_gives_the_database_back(data: Callable[[], None]) -> None:
    kubectl("drain", WORKER_1.name, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=120s")
    kubectl("uncordon", WORKER_1.name)
    data()
