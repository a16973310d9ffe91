"""A database that is not ours to run: reached over TLS, which Airflow verifies, with a password from a vault."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator

import pytest

from lab import pki
from lab.settings import WORKER_1
from tests.airflow.release import QUIET, declare, run_dag
from tests.platform.pipeline import HELLO
from tests.platform.reality import kubectl
from tests.playbook import changed

NAMESPACE = "elsewhere"
HOST = f"db.{NAMESPACE}"
PASSWORD = secrets.token_hex(12)
HBA = "local all all trust\nhostssl all all all scram-sha-256\n"
"""Nobody comes in without TLS."""
SETTINGS = {"ssl": "on", "ssl_cert_file": "/tls/tls.crt", "ssl_key_file": "/tls/tls.key", "hba_file": "/tls/pg_hba.conf"}
USERS = {"POSTGRES_USER": "af", "POSTGRES_DB": "pipelines", "POSTGRES_PASSWORD": PASSWORD, "PGDATA": "/tmp/pgdata"}

SESSIONS = """
select ssl, count(*) from pg_stat_ssl join pg_stat_activity using (pid) where usename = 'af' and client_addr is not null group by 1
"""


@pytest.fixture(name="database", scope="module")
def fixture_database() -> Iterator[dict[str, str]]:
    """A PostgreSQL server with a certificate of the lab's authority; what is yielded declares it."""
    pair = pki.authority().issue("database", HOST, names=[HOST])
    files = {"tls.crt": pair.certificate.read_bytes(), "tls.key": pair.key.read_bytes(), "pg_hba.conf": HBA.encode()}
    data = {name: base64.b64encode(content).decode() for name, content in files.items()}
    labels = {"app": "db"}
    place = {"name": "db", "namespace": NAMESPACE}
    container = {
        "name": "postgresql",
        "image": "docker.io/library/postgres:15-bookworm",
        "args": ["postgres", *(word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}"))],
        "env": [{"name": name, "value": value} for name, value in USERS.items()],
        "readinessProbe": {"exec": {"command": ["pg_isready", "-h", "127.0.0.1"]}, "periodSeconds": 2},
        "volumeMounts": [{"name": "tls", "mountPath": "/tls"}],
    }
    pod = {
        "nodeName": WORKER_1.name,
        "securityContext": {"runAsUser": 999, "runAsGroup": 999, "fsGroup": 999},
        "containers": [container],
        "volumes": [{"name": "tls", "secret": {"secretName": "db", "defaultMode": 0o440}}],
    }
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    items = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": place, "data": data},
        {"apiVersion": "v1", "kind": "Service", "metadata": place, "spec": {"selector": labels, "ports": [{"port": 5432}]}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": place, "spec": spec},
    ]
    kubectl("apply", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    kubectl("rollout", "status", "--namespace", NAMESPACE, "deployment/db", "--timeout=120s")
    yield {
        "airflow_database_host": HOST,
        "airflow_database_name": USERS["POSTGRES_DB"],
        "airflow_database_user": USERS["POSTGRES_USER"],
        "airflow_database_password": PASSWORD,
        "airflow_database_sslmode": "verify-full",
    }
    changed(declare())
    kubectl("delete", "--wait=false", "namespace", NAMESPACE)


def test_a_database_elsewhere(database: dict[str, str]) -> None:
    done = declare(**database)
    assert changed(done) != QUIET
    assert PASSWORD not in done.stdout + done.stderr
    assert changed(declare(**database)) == QUIET
    # Asked as the administrator, whom that database has to know.
    assert "Hello from" in run_dag(*HELLO)
    psql = ("psql", "--username=af", "--dbname=pipelines", "--tuples-only", "--no-align", f"--command={SESSIONS}")
    (counted,) = kubectl("exec", "--namespace", NAMESPACE, "deployment/db", "--", *psql).split()
    assert counted.startswith("t|"), counted
