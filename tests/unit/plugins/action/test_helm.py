# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kubeconfig stays out of what a playbook shows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lab import components

ROOT = Path(__file__).resolve().parents[4]

PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  vars:
    ansible_python_interpreter: "{python}"
  tasks:
    - homelab.data_platform.helm:
        name: release-of-the-test
        release_namespace: airflow
        chart_ref: airflow
        binary_path: {helm}
        kubeconfig:
          apiVersion: v1
          kind: Config
          clusters: [{{name: nowhere, cluster: {{server: "https://127.0.0.1:1"}}}}]
          users: [{{name: tester, user: {{token: only-the-cluster-may-know}}}}]
          contexts: [{{name: test, context: {{cluster: nowhere, user: tester}}}}]
          current-context: test
"""


def test_neither_result_nor_messages_hold_the_kubeconfig(tmp_path: Path) -> None:
    helm = components.ensure(["helm"])["helm"] / "helm"
    playbook = tmp_path / "play.yml"
    playbook.write_text(PLAYBOOK.format(python=sys.executable, helm=helm))
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-vvv", str(playbook)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
    )
    assert done.returncode == 2, done.stdout
    assert "unreachable" in done.stdout
    assert "only-the-cluster-may-know" not in done.stdout + done.stderr
    assert "release-of-the-test" in done.stdout
