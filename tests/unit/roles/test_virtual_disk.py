# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role virtual_disk, run by ansible-playbook against the stand-in of Proxmox's API."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.settings import CHECKOUT
from tests.unit.lab.proxmox.cluster import SECRET, TOKEN_ID, USER, Cluster, populate, running

Play = Callable[..., str]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    populate(tmp_path / "state")
    with running(tmp_path / "state", tmp_path / "ca") as served:
        yield served


@pytest.fixture
def play(cluster: Cluster, tmp_path: Path) -> Play:
    """Run the role for a node with a disk and for one without; gives everything that Ansible printed."""
    control = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    disk = {
        "name": "airflow-data",
        "storage": "local-lvm",
        "size": "50G",
        "mount": "/mnt/airflow-data",
        "volumes": [{"name": "postgresql"}],
    }
    variables = {
        "platform_control_python": sys.executable,
        "platform_control_ca_path": str(cluster.ca),
        "proxmox_api_host": "127.0.0.1",
        "proxmox_api_port": cluster.port,
        "proxmox_api_user": USER,
        "proxmox_api_token_id": TOKEN_ID,
        "proxmox_api_token_secret": SECRET,
    }
    nodes: dict[str, Any] = {"worker-01": {"proxmox_vmid": 301, "data_disks": [disk]}, "worker-02": {}}
    groups = {"control": {"hosts": {"control-01": control}}, "kubernetes_nodes": {"hosts": nodes}}
    (tmp_path / "inventory.json").write_text(json.dumps({"all": {"vars": variables, "children": groups}}))
    roles = [{"role": "homelab.data_platform.virtual_disk"}]
    (tmp_path / "play.json").write_text(json.dumps([{"hosts": "kubernetes_nodes", "gather_facts": False, "roles": roles}]))

    def run(*options: str) -> str:
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(tmp_path / "inventory.json"), *options]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_HOME": str(tmp_path / "ansible")}
        done = subprocess.run(
            [*command, str(tmp_path / "play.json")], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False
        )
        output = done.stdout + done.stderr
        assert done.returncode == 0, output
        assert SECRET not in output
        return output

    return run


def test_each_node_gets_its_disks(cluster: Cluster, play: Play) -> None:
    foretold = play("--check", "--diff")
    assert "changed=1" in foretold
    assert re.search(r"^\+.*size.*50G", foretold, re.MULTILINE), foretold
    assert cluster.volumes() == ["vm-301-disk-0"]
    assert "changed=1" in play("-vvv")
    assert cluster.config().current["scsi1"] == "local-lvm:vm-301-disk-1,serial=airflow-data,size=50G"
    again = play()
    assert "changed=1" not in again
    assert "worker-02" in again
