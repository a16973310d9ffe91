"""What is done to the virtual machine: the roles run on it, Proxmox's API is called as an administrator does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import requests
import yaml

from lab import pki
from lab.proxmox.state import seed
from lab.settings import CHECKOUT, INVENTORY, PROXMOX, PROXMOX_PORT, PROXMOX_USER, STATE, WORKER_1
from tests.platform.reality import wait_for

Run = Callable[..., int]
Call = Callable[..., Any]

POWERS = ["VM.Audit", "VM.Config.Disk", "VM.Config.HWType", "VM.PowerMgmt"]


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run the disk and filesystem roles for the node with these disks, sizes by name; returns how many tasks changed something."""
    inventory = tmp_path_factory.mktemp("vm") / "inventory"
    shutil.copytree(INVENTORY, inventory)
    host_vars = inventory / "host_vars" / f"{WORKER_1.name}.yml"
    variables = yaml.safe_load(host_vars.read_text())
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
        "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_TIMEOUT": "60",
    }
    words = ["playbooks/storage.yml", "--tags", "virtual_disk,filesystem", "--limit", WORKER_1.name]

    def converge(*disks: dict[str, Any]) -> int:
        declared = {disk["name"]: disk for disk in (*variables["data_disks"], *disks)}
        host_vars.write_text(yaml.safe_dump({**variables, "data_disks": list(declared.values())}))
        command = [sys.executable, "-m", "ansible", "playbook", "-i", str(inventory), *words]
        done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        (changed,) = re.findall(rf"^{WORKER_1.name} +: ok=\d+ +changed=(\d+)", done.stdout, re.MULTILINE)
        return int(changed)

    return converge


@pytest.fixture(scope="session")
def declared() -> dict[str, Any]:
    """The disk that the lab's inventory declares for the node."""
    (disk,) = yaml.safe_load((INVENTORY / "host_vars" / f"{WORKER_1.name}.yml").read_text())["data_disks"]
    return dict(disk)


@pytest.fixture(scope="session")
def proxmox() -> Call:
    """Call Proxmox's API on the virtual machine; a task is waited for."""
    secret = str(uuid.uuid4())
    acl = {"/vms": POWERS, "/storage": ["Datastore.AllocateSpace"]}
    name = f"test-{secret[:8]}"
    seed(STATE / "proxmox", tokens=[{"userid": PROXMOX_USER, "tokenid": name, "secret": secret, "acl": acl}])
    node = f"https://{PROXMOX.address}:{PROXMOX_PORT}/api2/json/nodes/{PROXMOX.name}"
    headers = {"Authorization": f"PVEAPIToken={PROXMOX_USER}!{name}={secret}"}

    def ask(method: str, url: str, **values: str) -> Any:
        answer = requests.request(method, url, headers=headers, data=values, verify=str(pki.authority().certificate), timeout=120)
        assert answer.ok, f"{method} {url}: {answer.status_code} {answer.reason} {answer.text}"
        return answer.json()["data"]

    def call(method: str, path: str, **values: str) -> Any:
        result = ask(method, f"{node}/qemu/{WORKER_1.vmid}{path}", **values)
        if isinstance(result, str) and result.startswith("UPID:"):
            task = f"{node}/tasks/{result}/status"
            status = wait_for(result, lambda: (state := ask("GET", task))["status"] == "stopped" and state, 120)
            assert status["exitstatus"] == "OK", status
        return result

    return call
