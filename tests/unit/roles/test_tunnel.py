"""The tunnel's configuration, as OpenSSH itself reads it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.settings import CHECKOUT

INVENTORY = """
all:
  children:
    bastion: {hosts: {vm-bastion: {ansible_host: 203.0.113.10, ansible_user: debian}}}
    control: {hosts: {vm-bastion: }}
    kubernetes_nodes: {hosts: {worker: {ansible_host: 192.168.0.31}}}
"""
SSH_CONFIG = """
Host 203.0.113.*
  ProxyCommand nc -x proxy.example %h %p
Host *
  User nobody
  IdentityFile /keys/homelab
  UserKnownHostsFile /keys/known_hosts
  StrictHostKeyChecking yes
"""


def play(inventory: Path, *options: str) -> str:
    """Run the role on the inventory, and return what was printed."""
    playbook = inventory / "play.yml"
    playbook.write_text("- hosts: control\n  gather_facts: false\n  roles: [homelab.data_platform.tunnel]\n")
    run = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", inventory / "hosts.yml", playbook, *options],
        env={**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    folder = tmp_path / "my inventory"
    folder.mkdir()
    (folder / "hosts.yml").write_text(INVENTORY)
    (folder / "ssh.cfg").write_text(SSH_CONFIG)
    return folder


def test_openssh_understands_what_is_written(inventory: Path) -> None:
    assert "changed=1" in play(inventory, "--check")
    assert not (inventory / "tunnel.ssh_config").exists()
    assert "changed=1" in play(inventory)
    assert "changed=0" in play(inventory, "--diff")

    shown = subprocess.run(
        ["ssh", "-G", "-F", inventory / "tunnel.ssh_config", "203.0.113.10"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for line in (
        "hostname 203.0.113.10",
        "port 22",
        "proxycommand nc -x proxy.example %h %p",
        "user debian",
        "localforward [127.0.0.1]:8080 [192.168.0.31]:30998",
        "exitonforwardfailure yes",
        "identityfile /keys/homelab",
        "userknownhostsfile /keys/known_hosts",
        "stricthostkeychecking true",
    ):
        assert line in shown


def test_nothing_is_written_where_there_is_no_bastion(inventory: Path) -> None:
    (inventory / "hosts.yml").write_text(INVENTORY.replace("    bastion:", "    elsewhere:"))
    assert "changed=0" in play(inventory)
    assert not (inventory / "tunnel.ssh_config").exists()
