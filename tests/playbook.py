"""Run playbooks on the lab as its user does, with an inventory of the test's own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab.settings import CHECKOUT, INVENTORY, Host


@dataclass
class Site:
    """The lab's inventory, copied, so that a test may declare something else."""

    inventory: Path

    @classmethod
    def copy(cls, folder: Path) -> Site:
        """A site that declares what the lab does."""
        shutil.copytree(INVENTORY, folder / "inventory")
        return cls(folder / "inventory")

    def declare(self, host: Host, **variables: Any) -> None:
        """Give a host these variables beside those that it has."""
        file = self.inventory / "host_vars" / f"{host.name}.yml"
        file.write_text(yaml.safe_dump({**self.variables(host), **variables}))

    def variables(self, host: Host) -> dict[str, Any]:
        """The variables of a host."""
        found: dict[str, Any] = yaml.safe_load((self.inventory / "host_vars" / f"{host.name}.yml").read_text())
        return found

    def play(self, playbook: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a playbook of the project, in a process group of its own."""
        # molecule asks for colours, which would end up in what is compared.
        plain = {"ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1"}
        return subprocess.run(
            [sys.executable, "-m", "ansible", "playbook", "-i", str(self.inventory), playbook, *options],
            cwd=CHECKOUT,
            env={**os.environ, **plain, **environment},
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
        )

    def results(self, playbook: str, *options: str) -> dict[tuple[str, str], dict[str, Any]]:
        """The result of each task on each host, by task and host, of a run that ended well."""
        done = self.play(playbook, *options, ANSIBLE_STDOUT_CALLBACK="ansible.posix.json")
        assert done.returncode == 0, done.stdout + done.stderr
        plays = json.loads(done.stdout[done.stdout.index("{") :])["plays"]
        return {(task["task"]["name"], host): result for play in plays for task in play["tasks"] for host, result in task["hosts"].items()}


def changed(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """The number of changes on each host, of a run that ended well."""
    assert done.returncode == 0, done.stdout + done.stderr
    return {host: int(count) for host, count in re.findall(r"^(\S+) +: ok=\d+ +changed=(\d+)", done.stdout, re.MULTILINE)}
