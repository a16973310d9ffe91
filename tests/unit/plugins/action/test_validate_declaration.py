"""The inventory check as Ansible runs it: templated, over all hosts, whatever the limit, without showing secrets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

from lab.settings import CHECKOUT

SECRET = "very-secret-value"


def validate(tmp_path: Path, *options: str, **changes: str) -> tuple[int, str]:
    """Run the validate role on an inventory of two hosts, and return the exit status and all that was printed."""
    variables = {
        "worker": """
            proxmox_vmid: 301
            data_disks:
              - name: data
                storage: local-lvm
                size: "{{ 25 * 2 }}G"
                mount: /mnt/data
                volumes: [{name: db, claim: airflow/db, size: 1Gi, owner: "{{ platform_postgresql_uid }}"}]
            """,
        "all": f"""
            proxmox_api_host: pve
            proxmox_api_user: ansible@pve
            proxmox_api_token_id: token
            proxmox_api_token_secret: "{{{{ token }}}}"
            token: {SECRET}
            shared_volumes:
              - name: logs
                claim: airflow/logs
                size: 1Gi
                labels: {{volume: logs}}
                nfs: {{server: "{{{{ nas }}}}", path: /export, read_only: "{{{{ true }}}}"}}
            nas: nas.home.arpa
            minio_url: https://minio:9000
            minio_root_user: root
            minio_root_password: {SECRET}
            platform_kubeconfig: {{clusters: [{{name: x}}], users: [{{user: {{token: {SECRET}}}}}]}}
            """,
    } | changes
    for folder in ("host_vars", "group_vars"):
        (tmp_path / folder).mkdir()
    (tmp_path / "hosts.yml").write_text(
        "{all: {children: {control: {hosts: {bastion: }}, kubernetes_nodes: {hosts: {worker: {ansible_host: 192.0.2.1}}}}}}"
    )
    (tmp_path / "host_vars" / "worker.yml").write_text(dedent(variables["worker"]))
    (tmp_path / "group_vars" / "all.yml").write_text(dedent(variables["all"]))
    (tmp_path / "play.yml").write_text(
        dedent("""
        - hosts: all
          gather_facts: false
          roles: [homelab.data_platform.validate]
        - hosts: all
          gather_facts: false
          tasks:
            - ansible.builtin.debug: {msg: something was touched}
        """)
    )
    run = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", tmp_path / "hosts.yml", tmp_path / "play.yml", *options],
        env={**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return run.returncode, run.stdout + run.stderr


def test_a_right_inventory_passes_and_connects_to_nothing(tmp_path: Path) -> None:
    status, output = validate(tmp_path, "--check", "-vvv", "--limit", "worker")
    assert status == 0, output
    assert "the declarations of 2 hosts are in order" in output
    assert SECRET not in output


def test_every_problem_is_said_at_once_and_nothing_is_touched(tmp_path: Path) -> None:
    worker = 'proxmox_vmid: 301\ndata_disks: [{name: data, mont: "/mnt/{{ inventory_hostname }}"}]\nkubernetes_node_name: "{{ nowhere }}"\n'
    status, output = validate(tmp_path, "-vvv", "--limit", "bastion", worker=worker)
    assert status != 0
    for line in (
        "worker: data_disks[0].mont is '/mnt/worker'; no such key; did you mean mount?",
        "worker: kubernetes_node_name is unreadable; it cannot be read: 'nowhere' is undefined",
        "worker: data_disks[0].size is not set",
    ):
        assert line in output, output
    assert "Traceback" not in output
    assert "something was touched" not in output
    assert SECRET not in output
