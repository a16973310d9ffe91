"""Which steps from one Airflow to another are taken, and what a database's state means for them."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow import database
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow import upgrade as subject
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.errors import AirflowError

from .declared import declaration


@pytest.mark.parametrize(
    ("found", "wanted", "action"),
    [
        (None, "2.10.4", "install"),
        (None, "3.2.2", "install"),
        ("2.10.4", "2.10.4", "keep"),
        ("2.10.4", "2.10.5", "upgrade"),
        ("2.9.3", "2.11.2", "upgrade"),
        ("2.11.2", "3.2.2", "upgrade"),
        ("3.0.2", "3.2.2", "upgrade"),
        ("3.9.0", "3.10.0", "upgrade"),
    ],
)
def test_steps_that_are_taken(found: str | None, wanted: str, action: str) -> None:
    assert subject.between(found, wanted) == {"action": action, "found": found, "wanted": wanted}


@pytest.mark.parametrize(("found", "wanted"), [("3.2.2", "2.10.4"), ("2.11.2", "2.10.5"), ("2.10.5", "2.10.4"), ("3.10.0", "3.9.0")])
def test_the_way_back_is_refused_and_named(found: str, wanted: str) -> None:
    with pytest.raises(AirflowError) as refused:
        subject.between(found, wanted)
    assert f"Airflow {found} runs here, and platform_versions_airflow is {wanted}" in str(refused.value)
    assert f"Set platform_versions_airflow to {found} or a newer one" in str(refused.value)
    assert "restore the backup" in str(refused.value)


@pytest.mark.parametrize("found", ["2.7.0", "2.10.4", "2.10.5"])
def test_airflow_3_is_reached_by_the_last_airflow_2(found: str) -> None:
    with pytest.raises(AirflowError, match=r"Set platform_versions_airflow to 2\.11\.2 and run the playbook, then to 3\.2\.2"):
        subject.between(found, "3.2.2")
    assert subject.between(found, subject.NEWEST_BRIDGE)["action"] == "upgrade"
    assert subject.between(subject.NEWEST_BRIDGE, "3.2.2")["action"] == "upgrade"


@pytest.mark.parametrize(
    ("found", "state", "data"),
    [
        (None, "empty", False),
        # A release was removed and its database kept: nothing to lose by the same version, all of it by a newer one.
        (None, "current", False),
        (None, "older", True),
        ("2.11.2", "older", True),
        # 2.10.4 and 2.11 have the same tables. The way back is wanted all the same.
        ("2.10.4", "current", True),
        ("2.10.4", "empty", False),
    ],
)
def test_what_is_backed_up(found: str | None, state: str, data: bool) -> None:
    planned = {"action": "upgrade" if found else "install", "found": found, "wanted": "3.2.2"}
    assert subject.judge(planned, {"state": state, "found": ["1"], "wanted": ["2"]}) is data


def test_a_database_of_a_newer_airflow_is_refused() -> None:
    planned = subject.between(None, "2.10.4")
    with pytest.raises(AirflowError, match=r"revision 1d6611b6ab7c, which Airflow 2\.10\.4 does not know: a newer Airflow"):
        subject.judge(planned, {"state": "unknown", "found": ["1d6611b6ab7c"], "wanted": ["5f2621c13b39"]})


BACKUP = {"claim": "airflow-backups", "keep": 5, "image": "docker.io/library/postgres:15-bookworm", "uid": 999, "gid": 999}


def workload(component: str, replicas: int, annotations: dict[str, str] | None = None) -> dict[str, Any]:
    metadata = {"name": f"airflow-{component}", "namespace": "airflow", "labels": {"component": component}, "annotations": annotations}
    return {"kind": "Deployment", "metadata": metadata, "spec": {"replicas": replicas}}


def test_only_what_speaks_to_the_database_is_stopped_and_nothing_twice() -> None:
    stopped_before = workload("webserver", 0, {subject.STOPPED: "2"})
    first, last = subject.stop([workload("api-server", 1), workload("scheduler", 2), stopped_before, workload("redis", 1)])
    (patch,) = first["patches"]
    assert (patch["metadata"]["name"], patch["spec"]["replicas"]) == ("airflow-scheduler", 0)
    assert patch["metadata"]["annotations"] == {subject.STOPPED: "2"}
    # The tasks of Airflow 3 end well only while it is there.
    assert [patch["metadata"]["name"] for patch in last["patches"]] == ["airflow-api-server"]


def test_the_import_job_is_who_reads_the_dags() -> None:
    container = {"name": "scheduler", "env": [], "volumeMounts": []}
    reader = workload("scheduler", 1)
    reader["spec"]["template"] = {"spec": {"serviceAccountName": "airflow-sa", "containers": [container]}}
    job = subject.imports_job(declaration(), [reader], "print()")
    assert job
    assert job["spec"]["template"]["spec"]["serviceAccountName"] == "airflow-sa"


@pytest.mark.parametrize("keep", [0, -1])
def test_a_backup_that_would_not_be_kept_is_refused(keep: int) -> None:
    with pytest.raises(AirflowError, match=rf"airflow_backup_keep is {keep}; wanted how many backups to keep, at least 1"):
        subject.backup_job(declaration(), {**BACKUP, "keep": keep}, "2.10.4", "true")


def test_what_was_stopped_is_started_unless_something_else_did() -> None:
    stopped, started = workload("scheduler", 0, {subject.STOPPED: "2"}), workload("webserver", 3, {subject.STOPPED: "1"})
    patches = subject.start([stopped, started, workload("redis", 1)])
    assert {patch["metadata"]["name"]: patch["spec"]["replicas"] for patch in patches} == {"airflow-scheduler": 2, "airflow-webserver": 3}
    assert all(patch["metadata"]["annotations"] == {subject.STOPPED: None} for patch in patches)


@pytest.mark.parametrize("sslmode", ["", "require", "verify-ca"])
def test_the_backup_reaches_the_database_as_airflow_does(sslmode: str) -> None:
    plain = declaration()
    declared = {**plain, "database": {**plain["database"], "sslmode": sslmode}}
    (container,) = subject.backup_job(declared, BACKUP, "2.11.2", "true")["spec"]["template"]["spec"]["containers"]
    tls = {entry["name"].removeprefix("PG").lower(): entry["value"] for entry in container["env"] if entry["name"].startswith("PGSSL")}
    assert tls == dict(parse_qsl(urlsplit(database.connection(declared)).query))


def test_public_roots_are_lent_to_the_backup() -> None:
    plain = declaration(ca_config_map="")
    declared = {**plain, "database": {**plain["database"], "sslmode": "verify-full"}}
    pod = subject.backup_job(declared, BACKUP, "2.11.2", "true")["spec"]["template"]["spec"]
    (lender,) = pod["initContainers"]
    assert (lender["image"], lender["command"][1]) == ("docker.io/apache/airflow:2.10.4-python3.12", "/etc/ssl/certs/ca-certificates.crt")
    assert {"name": "roots", "mountPath": "/etc/ssl/certs"} in pod["containers"][0]["volumeMounts"]
    assert {"name": "roots", "emptyDir": {}} in pod["volumes"]
    assert "initContainers" not in subject.backup_job(declaration(), BACKUP, "2.11.2", "true")["spec"]["template"]["spec"]
