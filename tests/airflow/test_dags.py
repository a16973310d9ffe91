"""DAGs come by SSH with a deploy key, from a bucket, from a volume and in the image."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import object_store, secret_store, ssh
from lab.node import machine as node_machine
from lab.settings import BASTION, DOMAIN, WORKER_1
from tests.airflow.release import SITE, dag_ids, declare, deploy, run_dag, source_of
from tests.platform.reality import get, kubectl, on, s3, wait_for
from tests.playbook import changed
from tests.repository import pushed

HOST = f"{BASTION.name}.{DOMAIN}"


@pytest.fixture(scope="module", autouse=True)
def _as_declared() -> Iterator[None]:
    yield
    changed(declare())


def on_bastion(command: str, stdin: str | None = None) -> str:
    """What a command prints on the bastion, as root."""
    argv = ["ssh", "-F", str(ssh.CONFIG), BASTION.name, f"sudo {command}"]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60, input=stdin).stdout


@pytest.fixture(name="deploy_key", scope="module")
def fixture_deploy_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A git server over sshd: an account on the bastion with a repository, whose only key may do no more than git."""
    folder = tmp_path_factory.mktemp("ssh")
    key = folder / "deploy"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    on_bastion("useradd --create-home --shell /usr/bin/git-shell git")
    on_bastion("install --directory --owner=git --group=git --mode=700 /home/git/.ssh")
    on_bastion("tee /home/git/.ssh/authorized_keys", f"restrict {key.with_suffix('.pub').read_text()}")
    on_bastion("git init --quiet --bare --initial-branch=main /home/git/dags.git")
    on_bastion("chown --recursive git:git /home/git")
    yield key
    on_bastion("userdel --remove git")


def test_deploy_key(deploy_key: Path) -> None:
    repository = f"ssh://git@{HOST}/home/git/dags.git"
    host_key = f"{HOST} {' '.join(ssh.host_key(BASTION).with_suffix('.pub').read_text().split()[:2])}"
    proxy = f"ssh -F {ssh.CONFIG} -o IdentitiesOnly=yes -i {deploy_key} -o HostName={BASTION.address} -o StrictHostKeyChecking=no"
    with pushed(repository, GIT_SSH_COMMAND=f"{proxy} -o UserKnownHostsFile=/dev/null") as clone:
        (clone / "team").mkdir()
        (clone / "team/by_ssh.py").write_text(source_of("by_ssh"))
    dags = {"source": "git", "repository": repository, "path": "team", "period": 5}
    refused = declare(airflow_dags=dags, airflow_git_ssh_key=deploy_key.read_text())
    assert refused.returncode
    assert "airflow_dags.known_hosts is empty" in refused.stdout
    assert "PRIVATE KEY" not in refused.stdout
    deploy(airflow_dags={**dags, "known_hosts": host_key}, airflow_git_ssh_key=deploy_key.read_text())
    assert dag_ids() == {"by_ssh"}
    assert "by-ssh" in run_dag("by_ssh")


IDENTITY = {
    "name": "airflow-dags",
    "grants": [{"bucket": "datalake", "access": "list"}, {"bucket": "datalake", "prefix": "dags/", "access": "read"}],
    "secret": {"name": "airflow-dags-keys", "namespace": "airflow"},
    "environment": [{"secret": "airflow-dags-s3", "namespaces": ["airflow"]}],
}


def test_bucket() -> None:
    store = s3(object_store.ROOT_USER, secret_store.password("minio-root-password"))
    changed(SITE.play("playbooks/object_store.yml", "--extra-vars", json.dumps({"object_store_identities": [IDENTITY]})))
    store.put_object(Bucket="datalake", Key="dags/by_s3.py", Body=source_of("by_s3").encode())
    deploy(airflow_dags={"source": "s3", "bucket": "datalake", "prefix": "dags", "secret": "airflow-dags-s3", "period": 5})
    assert dag_ids() == {"by_s3"}
    assert "by-s3" in run_dag("by_s3")
    store.put_object(Bucket="datalake", Key="dags/second.py", Body=source_of("second").encode())
    store.delete_object(Bucket="datalake", Key="dags/by_s3.py")
    wait_for("the new state of the bucket", lambda: dag_ids() == {"second"}, 90)
    store.delete_object(Bucket="datalake", Key="dags/second.py")


@pytest.fixture(name="claim")
def fixture_claim() -> Iterator[str]:
    """A volume that holds a DAG, and a claim for it."""
    on(WORKER_1, "mkdir -p /srv/dags/team")
    node_machine(WORKER_1).execute("tee", "/srv/dags/team/by_volume.py", stdin=source_of("by_volume"))
    common = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "check-dags"},
        "spec": {**common, "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/srv/dags"}},
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "check-dags", "namespace": "airflow"},
        "spec": {**common, "volumeName": "check-dags", "resources": {"requests": {"storage": "1Gi"}}},
    }
    kubectl("create", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": [volume, claim]}))
    yield "check-dags"
    kubectl("delete", "--wait=false", "pvc", "--namespace", "airflow", "check-dags")
    kubectl("delete", "--wait=false", "pv", "check-dags")


def test_volume(claim: str) -> None:
    deploy(airflow_dags={"source": "volume", "claim": claim, "path": "team"})
    assert dag_ids() == {"by_volume"}
    assert "by-volume" in run_dag("by_volume")


def test_image() -> None:
    place = "/home/airflow/.local/lib/python3.11/site-packages/airflow/example_dags/tutorial_taskflow_api.py"
    deploy(airflow_dags={"source": "image", "path": place.rpartition("/")[0]})
    assert "tutorial_taskflow_api" in dag_ids()
    (scheduler,) = get("pods", "--namespace", "airflow", "--selector", "component=scheduler")["items"]
    assert [container["name"] for container in scheduler["spec"]["containers"]] == ["scheduler"]
