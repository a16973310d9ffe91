"""The playbook itself on the converged lab: it finds nothing to change, and shows nobody's keys."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lab import control_plane
from lab.settings import STATE
from tests.platform.reality import secret

CHECKOUT = Path(__file__).parents[2]

SECRETS = {
    ("airflow", "postgresql"): ["password"],
    ("airflow", "airflow-admin"): ["password"],
    ("airflow", "airflow-object-store"): ["secret-key"],
    ("spark-jobs", "spark-object-store"): ["secret-key"],
}


@pytest.fixture(scope="module")
def shown() -> str:
    """All that Ansible can be made to tell of a run that only looks."""
    command = [sys.executable, "-m", "ansible", "playbook", "-i", "inventory/lab", "site.yml", "--check", "--diff", "-vvv"]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_check_mode_finds_nothing_to_change(shown: str) -> None:
    changed = dict(re.findall(r"^(\S+) +: ok=\d+ +changed=(\d+)", shown, re.MULTILINE))
    assert changed == {"vm-bastion": "0", "k8s-worker-01": "0", "k8s-worker-02": "0"}


def test_no_key_is_shown(shown: str) -> None:
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
