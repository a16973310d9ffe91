"""One variable is edited, twice: what Airflow knew is kept, and there is a way back. The tests follow one another."""

from __future__ import annotations

import json
import math
import re
import signal
import subprocess
import time
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.upgrade import STOPPED

from lab.settings import CHECKOUT, WORKER_1
from tests.platform.pipeline import airflow
from tests.platform.reality import get, kubectl, on, wait_for
from tests.playbook import changed
from tests.upgrade.conftest import DAG, Known, UpgradedSite, backups, run_dag, sql

PLAYBOOK = "playbooks/airflow.yml"
KILL_AT = {"ANSIBLE_CALLBACK_PLUGINS": str(CHECKOUT / "tests/survival"), "ANSIBLE_CALLBACKS_ENABLED": "kill_at"}
KEPT = ("connection", "variable", "dag_run", "task_instance", "ab_user")
HEADS = {"2.10.4": "5f2621c13b39", "2.11.2": "5f2621c13b39", "3.2.2": "1d6611b6ab7c"}

rows: dict[str, dict[str, str]] = {}
"""What the tables held when each version was left."""


def words(done: subprocess.CompletedProcess[str]) -> str:
    """What a run said, on one line: Ansible breaks its lines."""
    return re.sub(r"\s+", " ", done.stdout + done.stderr)


def state() -> dict[str, tuple[Any, float]]:
    """What a refused run must not touch, each with the moment when it goes by itself: a finished Job's time to live is bounded."""
    items = get("deployments,services,jobs,configmaps,secrets", "--namespace", "airflow")["items"]
    return {
        f"{item['kind']}/{item['metadata']['name']}": (item["metadata"].get("generation", item.get("data")), end_of_life(item))
        for item in items
    }


def end_of_life(item: dict[str, Any]) -> float:
    """When Kubernetes removes an object unasked, in seconds since 1970; infinite for all but finished Jobs with a time to live."""
    life, conditions = item.get("spec", {}).get("ttlSecondsAfterFinished"), item.get("status", {}).get("conditions", [])
    ended = [condition["lastTransitionTime"] for condition in conditions if condition["type"] in ("Complete", "Failed")]
    if life is None or not ended:
        return math.inf
    return datetime.fromisoformat(ended[0].replace("Z", "+00:00")).timestamp() + float(life)


def touched(before: dict[str, tuple[Any, float]]) -> list[str]:
    """What is not as it was, but for what went at the end of its own life."""
    found, now = state(), time.time()
    after = {name: content for name, (content, _end) in found.items()}
    expected = {name: content for name, (content, end) in before.items() if name in after or end > now}
    return sorted(name for name in after.keys() | expected.keys() if after.get(name, ...) != expected.get(name, ...))


def counts(database: str = "airflow") -> dict[str, str]:
    """The number of rows of each table that has to be kept."""
    return {table: sql(f'select count(*) from "{table}"', database)[0] for table in KEPT}


def versions() -> set[str]:
    """What the running pods say of themselves."""
    pods = get("pods", "--namespace", "airflow", "--selector=tier=airflow", "--field-selector=status.phase=Running")["items"]
    by_component = {pod["metadata"]["labels"]["component"]: pod["metadata"]["name"] for pod in pods}
    web = "webserver" if "webserver" in by_component else "api-server"
    asked = {name: by_component[name] for name in ("scheduler", web)}
    return {
        kubectl("exec", "--namespace", "airflow", pod, "--container", component, "--", "airflow", "version").split()[-1]
        for component, pod in asked.items()
    }


REFUSALS = [("3.2.2", "Set platform_versions_airflow to 2.11.2 and run the playbook, then to 3.2.2"), ("2.9.3", "does not go back")]


@pytest.mark.parametrize(("wanted", "said"), REFUSALS)
def test_a_step_that_cannot_be_taken_is_refused(site: UpgradedSite, known: Known, wanted: str, said: str) -> None:
    before = state()
    site.wants(wanted)
    for options in ([], ["--check"]):
        refused = site.play(PLAYBOOK, *options)
        assert refused.returncode != 0
        assert said in words(refused)
    assert touched(before) == []
    assert backups() == []


def test_what_would_be_done_is_said_and_not_done(site: UpgradedSite, known: Known) -> None:
    before = state()
    site.wants("2.11.2")
    foretold = site.play(PLAYBOOK, "--check")
    assert foretold.returncode == 0, foretold.stdout + foretold.stderr
    assert "Airflow 2.10.4 -> 2.11.2" in words(foretold)
    assert "backup of the database into the claim airflow-backups" in words(foretold)
    assert touched(before) == []


def test_a_backup_that_fails_leaves_the_old_airflow_running(site: UpgradedSite, known: Known) -> None:
    site.wants("2.11.2")
    option = site.inventory / "group_vars/all/no-tools.yml"
    option.write_text("airflow_backup_image_tag: there-is-none\n")
    failed = site.play(PLAYBOOK)
    option.unlink()
    assert failed.returncode != 0
    assert "The database was not migrated, and Airflow runs as before." in words(failed)
    assert "there-is-none of container backup cannot be pulled" in words(failed)
    kubectl("rollout", "status", "--namespace", "airflow", "deployment/airflow-scheduler", "--timeout=240s")
    kubectl("rollout", "status", "--namespace", "airflow", "deployment/airflow-webserver", "--timeout=240s")
    assert versions() == {"2.10.4"}
    assert backups() == []
    annotations = [item["metadata"]["annotations"] for item in get("deployments", "--namespace", "airflow")["items"]]
    assert not any(STOPPED in noted for noted in annotations)


@pytest.mark.parametrize(("found", "wanted"), [("2.10.4", "2.11.2"), ("2.11.2", "3.2.2")])
def test_an_upgrade_keeps_what_airflow_knew(site: UpgradedSite, known: Known, airflow_store: Any, found: str, wanted: str) -> None:
    assert versions() == {found}
    rows[found] = counts()
    site.wants(wanted)
    # A power cut between the backup and the migration.
    killed = site.play(PLAYBOOK, **KILL_AT, KILL_AT="Deploy the chart")
    assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
    assert [name for name in backups() if name.startswith(f"airflow-{found}-")]
    assert sql("select version_num from alembic_version") == [HEADS[found]]
    done = site.play(PLAYBOOK)
    assert changed(done)["vm-bastion"] > 0
    report = "old_report.py will not import with Airflow 3.2.2: TypeError: DAG.__init__() got an unexpected keyword argument"
    assert (report in words(done)) is (wanted == "3.2.2")
    assert "example_hello.py will not import" not in words(done)
    assert changed(site.play(PLAYBOOK))["vm-bastion"] == 0

    assert versions() == {wanted}
    assert sql("select version_num from alembic_version") == [HEADS[wanted]]
    assert counts() == rows[found]
    connection = json.loads(airflow("connections", "get", known.connection, "--output", "json").splitlines()[-1])[0]
    assert known.password in json.dumps(connection), "the key that encrypted it is still the one that decrypts it"
    assert airflow("variables", "get", "colour").splitlines()[-1] == "green"
    assert sql(f"select state from dag_run where run_id = '{known.dag_run}'") == ["success"]
    assert "admin" in sql("select username from ab_user")

    dag_run = run_dag()
    for each in (known.dag_run, dag_run):
        assert b"Hello from" in log_of(airflow_store, each)


def log_of(store: Any, dag_run: str) -> bytes:
    """The log of a run as it lies in the object store. A task puts it there when it has told how it ended."""
    prefix = f"logs/airflow-logs/dag_id={DAG}/run_id={dag_run}/"
    listed = partial(store.list_objects_v2, Bucket="datalake", Prefix=prefix)
    objects = wait_for(f"a log below {prefix}", lambda: listed().get("Contents", []), 60)
    return b"".join(store.get_object(Bucket="datalake", Key=entry["Key"])["Body"].read() for entry in objects)


def restore(name: str, end: str) -> str:
    """Run the Job of the example on a database of its own until it has ended so; return what it said."""
    job = yaml.safe_load((CHECKOUT / "examples/airflow-restore.yaml").read_text())
    variables = {variable["name"]: variable for variable in job["spec"]["template"]["spec"]["containers"][0]["env"]}
    variables["BACKUP"]["value"], variables["PGDATABASE"]["value"] = name, "scratch"
    kubectl("delete", "job", "--namespace", "airflow", "airflow-restore", "--ignore-not-found", "--wait")
    kubectl("create", "--filename=-", stdin=yaml.safe_dump(job))
    kubectl("wait", "--namespace", "airflow", f"--for=condition={end}", "job/airflow-restore", "--timeout=180s")
    return kubectl("logs", "--namespace", "airflow", "job/airflow-restore")


@pytest.mark.parametrize("version", ["2.10.4", "2.11.2"])
def test_each_backup_restores(version: str) -> None:
    (name, *_) = sorted((name for name in backups() if name.startswith(f"airflow-{version}-")), reverse=True)
    sql("drop database if exists scratch")
    sql("create database scratch")
    assert f"{name} is restored into scratch." in restore(name, "complete")
    assert counts("scratch") == rows[version]
    assert sql("select version_num from alembic_version", "scratch") == [HEADS[version]]


def test_a_restore_that_fails_changes_nothing() -> None:
    before = counts("scratch")
    cut = "airflow-2.11.2-cut.dump"
    (name, *_) = (name for name in backups() if name.startswith("airflow-2.11.2-"))
    on(WORKER_1, f"sh -c 'cd /mnt/airflow-data/airflow-backups && head --bytes=-2000 {name} > {cut} && chown --reference={name} {cut}'")
    try:
        for broken in ("airflow-there-is-none.dump", cut):
            assert "is restored" not in restore(broken, "failed")
            assert counts("scratch") == before
    finally:
        on(WORKER_1, f"rm /mnt/airflow-data/airflow-backups/{cut}")


@pytest.mark.parametrize("wanted", ["2.10.4", "2.11.2"])
def test_the_way_back_is_refused_and_nothing_is_touched(site: UpgradedSite, wanted: str) -> None:
    before, kept = state(), (counts(), backups())
    site.wants(wanted)
    refused = site.play(PLAYBOOK)
    assert refused.returncode != 0
    assert f"Airflow 3.2.2 runs here, and platform_versions_airflow is {wanted}: Airflow does not go back" in words(refused)
    assert touched(before) == []
    assert (counts(), backups()) == kept


def test_a_database_that_was_kept_without_its_release_is_not_given_to_an_older_airflow(site: UpgradedSite, tmp_path: Path) -> None:
    # As after `helm uninstall`: no record, and a database of Airflow 3.
    selector = "--selector=owner=helm,name=airflow"
    records = get("secrets", "--namespace", "airflow", selector)
    kubectl("delete", "secrets", "--namespace", "airflow", selector)
    try:
        site.wants("2.11.2")
        refused = site.play(PLAYBOOK)
        assert refused.returncode != 0
        assert f"at revision {HEADS['3.2.2']}, which Airflow 2.11.2 does not know" in words(refused)
        assert sql("select version_num from alembic_version") == [HEADS["3.2.2"]]
    finally:
        for record in records["items"]:
            record["metadata"].pop("resourceVersion")
            kubectl("create", "--filename=-", stdin=json.dumps(record))
    site.wants("3.2.2")
    assert changed(site.play(PLAYBOOK))["vm-bastion"] == 0
