"""The action helm against a real apiserver."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lab import components

from .conftest import Api

CHECKOUT = Path(__file__).parents[4]


@pytest.mark.parametrize(
    ("chart", "named"),
    [
        ({"chart_ref": "/no/such/chart"}, 'path "/no/such/chart" not found. The chart /no/such/chart 1.2.3 cannot be fetched'),
        (
            {"chart_ref": "airflow", "chart_repo_url": "https://127.0.0.1:1"},
            "connection refused. The chart airflow 1.2.3 of https://127.0.0.1:1 cannot be fetched",
        ),
    ],
)
def test_a_chart_that_cannot_be_fetched(api: Api, tmp_path: Path, chart: dict[str, str], named: str) -> None:
    helm = components.ensure(["helm"])["helm"] / "helm"
    release = {"name": "platform", "release_namespace": "default", "chart_version": "1.2.3", "binary_path": str(helm)}
    task = {"homelab.data_platform.helm": {**release, **chart, "kubeconfig": api.kubeconfig}}
    play = {"hosts": "localhost", "gather_facts": False, "vars": {"ansible_python_interpreter": sys.executable}, "tasks": [task]}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", str(tmp_path / "play.yml")],
        env={**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    shown = re.sub(r"\s+", " ", done.stdout + done.stderr)
    assert "Release platform: " in shown
    assert named in shown
    assert "Failure when executing" not in shown
