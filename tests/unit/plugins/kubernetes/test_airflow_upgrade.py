"""Upgrades of Airflow against a real apiserver, with releases that a real helm made of the lab's chart."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow import upgrade as subject

from lab import charts, components
from lab.settings import CHECKOUT

from .conftest import Api


def declaration(namespace: str, version: str) -> dict[str, Any]:
    """What of the role's declaration the Jobs of an upgrade take."""
    return {
        "release": "airflow",
        "namespace": namespace,
        "version": version,
        "image": {"repository": "docker.io/apache/airflow", "tag": f"{version}-python3.12"},
        "secrets": {"database": "airflow-database"},
        "database": {"host": "postgresql", "port": 5432, "name": "airflow", "user": "airflow", "secret": "postgresql", "sslmode": ""},
        "given": [],
        "ca_config_map": "",
        "pull_secret": "",
        "resources": {"migration": {"requests": {"cpu": "50m"}}},
        "node_selector": {"workload": "orchestration"},
        "tolerations": [],
    }


BACKUP = {"claim": "airflow-backups", "keep": 5, "image": "docker.io/library/postgres:15-bookworm", "uid": 999, "gid": 999}


def deploy(api: Api, directory: Path, namespace: str, chart: str, version: str) -> None:
    """Install or upgrade the release, as the role does."""
    kubeconfig, values = directory / "kubeconfig", directory / "values.yaml"
    kubeconfig.write_text(yaml.safe_dump(api.kubeconfig))
    values.write_text(json.dumps({"airflowVersion": version, "dags": {"gitSync": {"enabled": True}}}))
    # As the role does: a Job cannot be changed.
    job = api.client.path("batch/v1", "Job", namespace, "airflow-run-airflow-migrations")
    api.client.delete(f"{job}?propagationPolicy=Background")
    place = charts.write(chart, directory / f"{chart}-{version}")
    words: list[str | Path] = ["upgrade", "--install", "airflow", place, f"--namespace={namespace}"]
    helm: Path = components.ensure(["helm"])["helm"] / "helm"
    subprocess.run([helm, *words, "--values", values, "--kubeconfig", kubeconfig], check=True, capture_output=True)


def records(api: Api, namespace: str) -> list[dict[str, Any]]:
    found = api.client.get(api.client.path("v1", "Secret", namespace), labelSelector="owner=helm,name=airflow,status in (deployed,failed)")
    return list((found or {})["items"])


def workloads(api: Api, namespace: str) -> list[dict[str, Any]]:
    found = api.client.get(api.client.path("apps/v1", "Deployment", namespace), labelSelector="release=airflow") or {}
    # A list has the kind, its items have not.
    return [{**item, "kind": "Deployment"} for item in found["items"]]


def test_the_running_version_is_in_helms_newest_record(api: Api, tmp_path: Path) -> None:
    namespace = api.namespace()
    assert subject.running(records(api, namespace)) is None
    for chart, version in (("1.16.0", "2.10.4"), ("1.22.0", "2.11.2")):
        deploy(api, tmp_path, namespace, chart, version)
        assert subject.running(records(api, namespace)) == version


@pytest.mark.parametrize(
    ("chart", "version", "wanted", "executor"),
    [
        ("1.16.0", "2.10.4", "2.11.2", "SequentialExecutor"),
        ("1.22.0", "2.11.2", "3.2.2", "LocalExecutor"),
        ("1.22.0", "3.2.0", "3.2.2", "LocalExecutor"),
    ],
)
def test_dags_are_imported_where_they_are_read_now(api: Api, tmp_path: Path, chart: str, version: str, wanted: str, executor: str) -> None:
    namespace = api.namespace()
    deploy(api, tmp_path, namespace, chart, version)
    job = subject.imports_job(declaration(namespace, wanted), workloads(api, namespace), "print()")
    assert job is not None
    made = api.client.create(api.client.path("batch/v1", "Job", namespace), {"apiVersion": "batch/v1", "kind": "Job", **job})
    pod = made["spec"]["template"]["spec"]
    assert [found["name"] for found in pod["initContainers"]] == ["git-sync-init"]
    (container,) = pod["containers"]
    assert container["image"] == f"docker.io/apache/airflow:{wanted}-python3.12"
    assert "/opt/airflow/dags" in [mount["mountPath"] for mount in container["volumeMounts"]]
    variables = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert variables["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == subject.SQLITE
    assert variables["AIRFLOW__CORE__EXECUTOR"] == executor
    assert "airflow-metadata" not in json.dumps(made), "Airflow's own database is none of its business"


def test_the_other_jobs_are_jobs_and_no_password_is_in_them(api: Api) -> None:
    namespace = api.namespace()
    declared = declaration(namespace, "3.2.2")
    for job in (subject.state_job(declared, "print()"), subject.backup_job(declared, BACKUP, "2.11.2", "true")):
        made = api.client.create(api.client.path("batch/v1", "Job", namespace), {"apiVersion": "batch/v1", "kind": "Job", **job})
        assert "PGPASSWORD" not in json.dumps(made)


def test_nothing_reads_dags_where_nothing_runs() -> None:
    assert subject.imports_job(declaration("airflow", "3.2.2"), [], "print()") is None


def test_a_patch_stops_and_another_one_starts(api: Api, tmp_path: Path) -> None:
    namespace, client = api.namespace(), api.client
    deploy(api, tmp_path, namespace, "1.16.0", "2.10.4")
    replicas = {found["metadata"]["name"]: found["spec"]["replicas"] for found in workloads(api, namespace)}

    def patched(patches: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        for patch in patches:
            client.patch(client.path("apps/v1", "Deployment", namespace, patch["metadata"]["name"]), patch)
        return workloads(api, namespace)

    found = patched([patch for step in subject.stop(workloads(api, namespace)) for patch in step["patches"]])
    assert {item["spec"]["replicas"] for item in found} == {0}
    found = patched(subject.start(found))
    assert {item["metadata"]["name"]: item["spec"]["replicas"] for item in found} == replicas
    assert not any(subject.STOPPED in item["metadata"].get("annotations", {}) for item in found)


def test_a_database_that_is_verified_is_verified_by_each_job_too(api: Api) -> None:
    namespace = api.namespace()
    declared = {**declaration(namespace, "3.2.2"), "ca_config_map": "data-platform-ca", "given": ["database_password"]}
    declared["database"] = {**declared["database"], "sslmode": "verify-full"}
    state, backup = subject.state_job(declared, "print()"), subject.backup_job(declared, BACKUP, "2.11.2", "true")
    for job in (state, backup):
        api.client.create(api.client.path("batch/v1", "Job", namespace), {"apiVersion": "batch/v1", "kind": "Job", **job})
        pod = job["spec"]["template"]["spec"]
        assert {"name": "data-platform-ca", "configMap": {"name": "data-platform-ca"}} in pod["volumes"]
        assert "/etc/data-platform/ca" in [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]
    variables = {entry["name"]: entry["value"] for entry in backup["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert variables["PGSSLMODE"] == "verify-full"
    assert variables["PGSSLROOTCERT"] == "/etc/data-platform/ca/ca-bundle.crt"
    secrets = [volume["secret"]["secretName"] for volume in backup["spec"]["template"]["spec"]["volumes"] if "secret" in volume]
    assert secrets == ["airflow-database"], "the password that the inventory gives lies with the connection"


def play(api: Api, directory: Path, tasks: str, **variables: Any) -> tuple[int, str]:
    """Run a task list of the role; return its status and what was shown, on one line."""
    common = {"airflow_namespace": "", "airflow_release": "airflow", "ansible_python_interpreter": sys.executable}
    defaults = {"group/homelab.data_platform.kubernetes": {"kubeconfig": api.kubeconfig}}
    included = {"ansible.builtin.include_tasks": str(CHECKOUT / f"roles/airflow/tasks/{tasks}.yml")}
    start = {"hosts": "localhost", "gather_facts": False, "vars": {**common, **variables}, "module_defaults": defaults, "tasks": [included]}
    (directory / "play.yml").write_text(yaml.safe_dump([start]))
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", str(directory / "play.yml")],
        env={**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, re.sub(r"\s+", " ", done.stdout + done.stderr)


def test_tasks_that_do_not_end_are_named(api: Api, tmp_path: Path) -> None:
    namespace = api.namespace()
    labels = {"tier": "airflow", "release": "airflow", "component": "worker"}
    pod = {"metadata": {"name": "nightly-load-x1", "labels": labels}, "spec": {"containers": [{"name": "base", "image": "airflow"}]}}
    api.client.create(api.client.path("v1", "Pod", namespace), {"apiVersion": "v1", "kind": "Pod", **pod})
    step = {"components": ["scheduler", "worker"], "patches": []}
    status, shown = play(api, tmp_path, "stop", airflow_namespace=namespace, airflow_upgrade_tasks_timeout=5, __airflow_stop=step)
    assert status == 2, shown
    assert "After 5 seconds these pods of Airflow still run: nightly-load-x1. Let them end, or delete them" in shown, shown


def test_a_migration_that_failed_is_deployed_by_the_next_run(api: Api, tmp_path: Path) -> None:
    namespace, client = api.namespace(), api.client
    deploy(api, tmp_path, namespace, "1.16.0", "2.10.4")
    record = client.path("v1", "Secret", namespace, "sh.helm.release.v1.airflow.v1")
    assert client.get(record)
    api.end_job(namespace, "airflow-run-airflow-migrations", "Failed")
    deployed = {"status": {"revision": 1}}
    told = {"airflow_version": "2.10.4", "airflow_timeout": 30, "__airflow_deployed": deployed}
    status, shown = play(api, tmp_path, "migration", airflow_namespace=namespace, **told)
    assert status == 2, shown
    assert "The next run of the playbook deploys Airflow 2.10.4 and migrates the database once more." in shown
    assert client.get(record) is None, "helm would see nothing to do"


def test_an_administrator_who_is_made_is_left_alone_and_one_who_is_not_is_waited_for(api: Api, tmp_path: Path) -> None:
    namespace, client = api.namespace(), api.client
    labels = {"release": "airflow", "component": "admin-user", "checksum": "abc"}
    container = {"name": "admin-user", "image": "airflow"}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "airflow-admin-user-abc", "namespace": namespace, "labels": labels},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    }
    path = client.path("batch/v1", "Job", namespace)
    before = {**job, "metadata": {"name": "airflow-admin-user-xyz", "labels": {**labels, "checksum": "xyz"}}}
    client.create(path, before)
    # As a run that was killed has left it: the Job is there, and has not ended.
    client.create(path, job)
    admin = {"airflow_namespace": namespace, "airflow_timeout": 5, "__airflow_admin_job": job}
    admin["__airflow_admin_is_made"] = yaml.safe_load((CHECKOUT / "roles/airflow/vars/main.yml").read_text())["__airflow_admin_is_made"]
    status, shown = play(api, tmp_path, "admin", **admin)
    assert status == 2, shown
    assert "airflow-admin-user-abc" in shown
    assert client.get(f"{path}/airflow-admin-user-xyz") is None
    api.end_job(namespace, "airflow-admin-user-abc", "Complete")
    status, shown = play(api, tmp_path, "admin", **admin)
    assert status == 0, shown
    assert "changed=0" in shown
