"""The playbook itself on the converged lab: it finds nothing to change, and shows nobody's keys."""

from __future__ import annotations

import base64
import subprocess
import sys

import pytest
import yaml

from lab import control_plane
from lab.settings import CHECKOUT, INVENTORY, STATE
from tests.platform.reality import secret
from tests.playbook import Site, changed

SECRETS = {
    ("airflow", "postgresql"): ["password"],
    ("airflow", "airflow-admin"): ["password"],
    ("airflow", "airflow-object-store"): ["secret-key"],
    ("spark-jobs", "spark-object-store-keys"): ["secret-key"],
    ("spark-history", "spark-history-object-store-keys"): ["secret-key"],
}


@pytest.fixture(scope="module")
def looked() -> subprocess.CompletedProcess[str]:
    """A run that only looks, and tells all that Ansible can be made to tell."""
    return Site(INVENTORY).play("site.yml", "--check", "--diff", "-vvv")


def test_check_mode_finds_nothing_to_change(looked: subprocess.CompletedProcess[str]) -> None:
    assert changed(looked) == {"vm-bastion": 0, "k8s-worker-01": 0, "k8s-worker-02": 0}


def test_no_key_is_shown(looked: subprocess.CompletedProcess[str]) -> None:
    shown = looked.stdout + looked.stderr
    user = yaml.safe_load(control_plane.KUBECONFIG.read_text())["users"][0]["user"]
    keys = {f"{namespace}/{name} {key}": secret(namespace, name)[key] for (namespace, name), names in SECRETS.items() for key in names}
    keys["the kubeconfig"] = user["client-key-data"]
    for file in (STATE / "secrets").iterdir():
        keys[file.name] = file.read_text().strip()
    assert all(len(value) >= 12 for value in keys.values())
    assert [name for name, value in keys.items() if value in shown] == []
    assert "kubernetes_secret" in shown, "nothing was shown at all"
    assert str(STATE) in shown


def test_the_command_that_the_summary_gives_prints_the_password() -> None:
    words = ["-n", "airflow", "get", "secret", "airflow-admin", "-o", "jsonpath={.data.password}"]
    done = subprocess.run([sys.executable, "-m", "lab", "kubectl", *words], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert base64.b64decode(done.stdout).decode() == secret("airflow", "airflow-admin")["password"]
