# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wrappers of kubernetes.core: the kubeconfig stays out of what a run shows, and an API that is down is one readable error."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.homelab.data_platform.plugins.action.k8s import errors
from ansible_collections.homelab.data_platform.plugins.action.k8s_taint import planned

from lab import components
from lab.settings import CHECKOUT

KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "nowhere", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "tester", "user": {"token": "only-the-cluster-may-know"}}],
    "contexts": [{"name": "test", "context": {"cluster": "nowhere", "user": "tester"}}],
    "current-context": "test",
}

OPTIONS: dict[str, dict[str, object]] = {
    "helm": {"name": "of-the-test", "release_namespace": "airflow", "chart_ref": "none"},
    "k8s": {"kind": "Namespace", "name": "of-the-test"},
    "k8s_info": {"kind": "Namespace", "name": "of-the-test"},
    "k8s_taint": {"name": "of-the-test", "taints": [{"key": "dedicated", "effect": "NoSchedule"}]},
}


def play(directory: Path, module: str, kubeconfig: object) -> str:
    """Run a task that has to fail, with all that Ansible can tell of it."""
    options = {**OPTIONS[module], "kubeconfig": kubeconfig}
    if module == "helm":
        options["binary_path"] = str(components.ensure(["helm"])["helm"] / "helm")
    tasks = [{f"homelab.data_platform.{module}": options}]
    variables = {"ansible_python_interpreter": sys.executable}
    (directory / "play.yml").write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "vars": variables, "tasks": tasks}]))
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-vvv", str(directory / "play.yml")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg")},
    )
    assert done.returncode == 2, done.stdout + done.stderr
    return re.sub(r"\s+", " ", done.stdout + done.stderr)


@pytest.mark.parametrize("module", OPTIONS)
def test_an_api_that_is_down_is_named_and_the_kubeconfig_is_not_shown(module: str, tmp_path: Path) -> None:
    shown = play(tmp_path, module, KUBECONFIG)
    # Such as dial tcp 127.0.0.1:1: connect: connection refused (helm), Failed to establish a new connection: ... (urllib3).
    assert re.search(r"The Kubernetes API at https://127\.0\.0\.1:1 does not answer: .*?[Cc]onnection refused", shown), shown
    assert "Check the address in the kubeconfig, the network and the CA." in shown
    assert "only-the-cluster-may-know" not in shown


def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    shown = play(tmp_path, "k8s", {"current-context": "none", "contexts": [], "clusters": [], "users": []})
    assert "The kubeconfig names no cluster" in shown
    assert "Set platform_kubeconfig_file." in shown


def test_errors_of_one_object_and_of_several() -> None:
    broken = {"changed": False, "error": {"msg": "Failed to create object: no such field"}}
    assert errors({"changed": True, "result": {"kind": "Namespace"}}) == {}
    assert errors(broken) == {0: "Failed to create object: no such field"}
    assert errors({"result": {"results": [{"changed": True}, broken]}}) == {1: "Failed to create object: no such field"}


def test_the_taints_that_a_diff_foretells() -> None:
    ours = {"key": "dedicated", "value": "orchestration", "effect": "NoSchedule"}
    theirs = {"key": "slow", "effect": "PreferNoSchedule"}
    assert planned([theirs], {"taints": [ours]}) == [theirs, ours]
    assert planned([{**ours, "value": "other"}, theirs], {"taints": [ours]}) == [theirs, ours]
    assert planned([theirs], {"taints": [ours], "replace": True}) == [ours]
    assert planned([ours, theirs], {"taints": [{"key": "dedicated"}], "state": "absent"}) == [theirs]
