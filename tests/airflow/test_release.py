"""A release that changes again and again, is removed and comes back; keys and passwords outlive all of it."""

from __future__ import annotations

import json
import secrets
import subprocess
from pathlib import Path

from lab import components
from lab.settings import STATE, WORKER_1
from tests.airflow.release import PLAYBOOK, QUIET, SITE, declare, deploy
from tests.platform.pipeline import airflow
from tests.platform.reality import get, kubectl, on, secret
from tests.playbook import changed

CHECK_PASSWORD = """
import sys
from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
from werkzeug.security import check_password_hash
with get_application_builder() as builder:
    print(check_password_hash(builder.sm.find_user(username="admin").password, sys.stdin.read()))
"""


def takes(password: str) -> bool:
    """Whether the administrator has this password."""
    words = ("exec", "--stdin", "--namespace", "airflow", "deployment/airflow-scheduler", "--container", "scheduler", "--", "python", "-c")
    return kubectl(*words, CHECK_PASSWORD, stdin=password).splitlines()[-1] == "True"


def test_second_and_third_upgrade() -> None:
    for workers in (1, 3):
        deploy(airflow_webserver_workers=workers)
        settings = get("configmap", "--namespace", "airflow", "airflow-config")["data"]["airflow.cfg"]
        assert f"workers = {workers}" in settings


def test_check_mode_foretells_and_touches_nothing() -> None:
    before = get("configmap", "--namespace", "airflow", "airflow-config")["metadata"]["resourceVersion"]
    done = SITE.play(PLAYBOOK, "--check", "--extra-vars", json.dumps({"airflow_webserver_workers": 2}))
    assert changed(done)["vm-bastion"] > 0
    assert get("configmap", "--namespace", "airflow", "airflow-config")["metadata"]["resourceVersion"] == before


def test_connection_is_still_readable_after_a_release_is_removed_and_comes_back() -> None:
    word = secrets.token_hex(8)
    airflow("connections", "add", "kept", "--conn-type", "http", "--conn-host", "api.lab.test", "--conn-password", word)
    before = {name: secret("airflow", name) for name in ("airflow-keys", "airflow-database", "airflow-admin")}
    helm = components.path("helm") / "helm"
    argv: list[str | Path] = [
        helm,
        "--kubeconfig",
        STATE / "control-plane/admin.conf",
        "uninstall",
        "airflow",
        "--namespace",
        "airflow",
        "--wait",
    ]
    subprocess.run(argv, check=True, timeout=300)
    deploy()
    assert {name: secret("airflow", name) for name in before} == before
    assert word in airflow("connections", "get", "kept", "--output", "json")
    airflow("connections", "delete", "kept")


def test_password_of_the_administrator_is_rotated_by_its_secret() -> None:
    old = secret("airflow", "airflow-admin")["password"]
    assert takes(old)
    kubectl("delete", "secret", "--namespace", "airflow", "airflow-admin")
    changed(declare())
    new = secret("airflow", "airflow-admin")["password"]
    assert (takes(new), takes(old)) == (True, False)
    given = secrets.token_hex(12)
    done = declare(airflow_admin_password=given)
    assert changed(done) != QUIET
    assert given not in done.stdout + done.stderr
    assert takes(given)
    assert given not in json.dumps(get("jobs", "--namespace", "airflow")["items"])
    assert given not in on(WORKER_1, "ps -eo args")
