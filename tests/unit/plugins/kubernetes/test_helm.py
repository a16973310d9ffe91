"""The action helm against a real apiserver."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import components
from lab.settings import CHECKOUT

from .conftest import Api


def deploy(api: Api, directory: Path, *options: str, **release: Any) -> tuple[int, str]:
    """Run the action in a playbook; return its status and what was shown, on one line."""
    helm = components.ensure(["helm"])["helm"] / "helm"
    arguments = {"name": "platform", "release_namespace": "default", "binary_path": str(helm), "kubeconfig": api.kubeconfig, **release}
    task = {"homelab.data_platform.helm": arguments}
    play = {"hosts": "localhost", "gather_facts": False, "vars": {"ansible_python_interpreter": sys.executable}, "tasks": [task]}
    (directory / "play.yml").write_text(yaml.safe_dump([play]))
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", str(directory / "play.yml"), *options],
        env={**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, re.sub(r"\s+", " ", done.stdout + done.stderr)


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
    status, shown = deploy(api, tmp_path, chart_version="1.2.3", **chart)
    assert status == 2, shown
    assert "Release platform: " in shown
    assert named in shown
    assert "Failure when executing" not in shown


def killed(api: Api, directory: Path, end: signal.Signals) -> tuple[str, Path]:
    """End a helm that is at work in a namespace; return the namespace, and the chart."""
    chart = directory / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("{apiVersion: v2, name: platform, version: 1.0.0}")
    (chart / "values.yaml").write_text("hook: false")
    (chart / "templates" / "settings.yaml").write_text("{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}}")
    # Nothing here runs it, so helm waits for it.
    hook = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "hook", "annotations": {"helm.sh/hook": "post-install"}},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "hook", "image": "hook"}]}}},
    }
    (chart / "templates" / "hook.yaml").write_text(f"{{{{ if .Values.hook }}}}{json.dumps(hook)}{{{{ end }}}}")
    kubeconfig = directory / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(api.kubeconfig))
    namespace, client = api.namespace(), api.client
    helm = components.ensure(["helm"])["helm"] / "helm"
    install = [str(helm), f"--kubeconfig={kubeconfig}", "install", "platform", str(chart), f"--namespace={namespace}", "--set=hook=true"]
    process = subprocess.Popen(install, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not client.get(client.path("batch/v1", "Job", namespace, "hook")):
        assert process.poll() is None
        assert time.monotonic() < deadline, "helm did not begin"
        time.sleep(0.1)
    process.send_signal(end)
    process.wait(60)
    return namespace, chart


def test_a_release_that_a_killed_helm_left_is_named_and_left_alone_until_told(api: Api, tmp_path: Path) -> None:
    namespace, chart = killed(api, tmp_path, signal.SIGKILL)
    client = api.client
    record = client.path("v1", "Secret", namespace, "sh.helm.release.v1.platform.v1")
    release = {"release_namespace": namespace, "chart_ref": str(chart), "wait": False}
    for option in ("--check", "--diff"):
        status, shown = deploy(api, tmp_path, option, **release)
        assert status == 2, shown
        assert re.search(rf"Release {namespace}/platform: its revision 1 is pending-install since 20\S+Z: a helm run was killed", shown)
        assert "-e platform_helm_recover=true" in shown
        assert "sh.helm.release.v1.platform.v1" in shown
    status, shown = deploy(api, tmp_path, "--check", recover=True, **release)
    assert (status, "changed=1" in shown) == (0, True), shown
    assert (client.get(record) or {})["metadata"]["labels"]["status"] == "pending-install", "check mode dropped it"

    status, shown = deploy(api, tmp_path, recover=True, **release)
    assert (status, "changed=1" in shown) == (0, True), shown
    assert (client.get(record) or {})["metadata"]["labels"]["status"] == "deployed"
    assert client.get(client.path("v1", "ConfigMap", namespace, "settings")), "what was there is the release's"


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_helm_that_is_told_to_end_leaves_a_release_that_the_next_one_takes_up(api: Api, tmp_path: Path, end: signal.Signals) -> None:
    namespace, chart = killed(api, tmp_path, end)
    client = api.client
    record = client.get(client.path("v1", "Secret", namespace, "sh.helm.release.v1.platform.v1")) or {}
    assert record["metadata"]["labels"]["status"] == "failed"
    status, shown = deploy(api, tmp_path, release_namespace=namespace, chart_ref=str(chart), wait=False)
    assert (status, "changed=1" in shown) == (0, True), shown


def test_a_release_that_helm_failed_to_deploy_is_deployed_by_the_next_run(api: Api, tmp_path: Path) -> None:
    """Helm compares with what it wanted the last time, and would see nothing to do."""
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("{apiVersion: v2, name: platform, version: 1.0.0}")
    service = {"apiVersion": "v1", "kind": "Service", "spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 31999}]}}
    (chart / "templates" / "service.yaml").write_text(json.dumps({**service, "metadata": {"name": "page"}}))
    namespace, client = api.namespace(), api.client
    other = client.path("v1", "Service", namespace, "other")
    client.create(client.path("v1", "Service", namespace), {**service, "metadata": {"name": "other"}})
    release = {"release_namespace": namespace, "chart_ref": str(chart), "wait": False}
    status, shown = deploy(api, tmp_path, **release)
    assert (status, "provided port is already allocated" in shown) == (2, True), shown
    client.delete(other)

    status, shown = deploy(api, tmp_path, "--check", **release)
    assert (status, "changed=1" in shown) == (0, True), shown
    assert not client.get(client.path("v1", "Service", namespace, "page"))
    status, shown = deploy(api, tmp_path, **release)
    assert (status, "changed=1" in shown) == (0, True), shown
    assert client.get(client.path("v1", "Service", namespace, "page"))
    status, shown = deploy(api, tmp_path, **release)
    assert (status, "changed=0" in shown) == (0, True), shown
