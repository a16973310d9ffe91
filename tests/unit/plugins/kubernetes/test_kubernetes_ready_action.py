"""The action kubernetes_ready in real runs of ansible-playbook, against a real apiserver."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.settings import CHECKOUT

from .conftest import Api

READY = {"kind": "Namespace", "name": "default"}

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(api: Api, tmp_path: Path) -> Start:
    """Start a playbook with one wait."""

    def popen(resource: dict[str, Any], *options: str, task: dict[str, Any] | None = None, **environment: str) -> subprocess.Popen[str]:
        wait = {"kubeconfig": api.kubeconfig, "resources": [resource], "timeout": 120}
        tasks = [{"name": "Wait", "homelab.data_platform.kubernetes_ready": wait, **(task or {})}]
        play = {"hosts": "localhost", "gather_facts": False, "vars": {"ansible_python_interpreter": sys.executable}, "tasks": tasks}
        (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
        plain = {"ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "PYTHONUNBUFFERED": "1"}
        return subprocess.Popen(
            [sys.executable, "-m", "ansible", "playbook", str(tmp_path / "play.yml"), *options],
            env={**os.environ, **plain, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return popen


def test_what_is_ready_takes_one_round_trip_and_no_word(start: Start) -> None:
    process = start(READY, "-vvv")
    shown, errors = process.communicate(timeout=120)
    assert process.returncode == 0, shown + errors
    assert len(re.findall(r"Using module file \S+/kubernetes_ready\.py", shown)) == 1, shown
    assert "waiting:" not in shown + errors


def test_what_comes_late_is_shown_and_awaited(api: Api, start: Start) -> None:
    namespace, client = api.namespace(), api.client
    process = start({"kind": "ConfigMap", "api_version": "v1", "namespace": namespace, "name": "late"}, ANSIBLE_STDOUT_CALLBACK="json")
    assert process.stderr
    assert process.stdout
    line = next(line for line in process.stderr if line.startswith("waiting: "))
    assert re.fullmatch(rf"waiting: \[localhost\] ConfigMap {namespace}/late: it does not exist \(\d+ s\)\n", line)
    late = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}}
    client.create(client.path("v1", "ConfigMap", namespace), late)
    shown, _errors = process.communicate(timeout=120)
    assert process.returncode == 0, shown
    result = json.loads(shown)["plays"][0]["tasks"][0]["hosts"]["localhost"]
    assert [entry["ready"] for entry in result["resources"]] == [True]
    assert not {"round", "progress"} & result.keys()
    assert result["invocation"]["module_args"]["timeout"] == 120
    assert "round" not in result["invocation"]["module_args"]


def test_an_interrupt_ends_it_without_a_traceback(api: Api, start: Start, tmp_path: Path) -> None:
    never = {"kind": "ConfigMap", "api_version": "v1", "namespace": api.namespace(), "name": "never"}
    process = start(never, ANSIBLE_REMOTE_TEMP=str(tmp_path / "remote"))
    assert process.stderr
    first = next(line for line in process.stderr if line.startswith("waiting: "))
    # A worker that is interrupted while it hands a line to the display can leave ansible-core with a lock that nobody gives back.
    while not subprocess.run(["pgrep", "-f", f"{tmp_path}/remote/.*/AnsiballZ_kubernetes_ready"], capture_output=True, check=False).stdout:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    shown, errors = process.communicate(timeout=120)
    assert process.returncode not in (0, None)
    assert "interrupt" in (shown + errors).lower()
    assert "Traceback" not in first + shown + errors


@pytest.mark.parametrize(
    ("options", "task"), [(["--check"], {}), ([], {"async": 60, "poll": 1}), ([], {"run_once": True, "delegate_to": "localhost"})]
)
def test_keywords_of_the_task(start: Start, options: list[str], task: dict[str, Any]) -> None:
    process = start(READY, *options, task=task)
    shown, errors = process.communicate(timeout=120)
    assert process.returncode == 0, shown + errors
    assert "waiting:" not in errors


def test_the_task_s_own_timeout_ends_it(api: Api, start: Start) -> None:
    never = {"kind": "ConfigMap", "api_version": "v1", "namespace": api.namespace(), "name": "never"}
    process = start(never, task={"timeout": 8})
    shown, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "Timed out after 8 second(s)" in re.sub(r"\s+", " ", shown + errors)
    assert "Traceback" not in shown + errors
