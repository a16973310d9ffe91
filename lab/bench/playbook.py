"""Run a few tasks by ansible-playbook on this machine, and say how long they took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from lab import lifecycle
from lab.settings import CHECKOUT
from lab.shell import LabError

LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
"""Variables of a host that is this machine, as far as Ansible is concerned."""


@dataclass(frozen=True)
class Played:
    """One run of a playbook."""

    seconds: float
    """Of the whole program."""
    task_seconds: float
    """From the start of each task to its last result."""
    changed: bool


class Playbook:
    """An inventory and tasks for all of its hosts, as files that only their owner reads if the place is."""

    def __init__(self, place: Path, inventory: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]]) -> None:
        self._inventory, self._file = place / "inventory.json", place / "playbook.json"
        self._inventory.write_text(json.dumps(inventory))
        self._file.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))

    def play(self, environment: Mapping[str, str], *, forks: int = 1) -> Played:
        """Run it; `environment` says where the service is and who asks."""
        argv = [*lifecycle.program("ansible-playbook"), "--forks", str(forks), "-i", str(self._inventory), str(self._file)]
        variables = {**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", **environment}
        start = time.monotonic()
        result = subprocess.run(argv, cwd=CHECKOUT, env=variables, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - start
        if result.returncode != 0:
            raise LabError(f"ansible-playbook failed:\n{result.stdout[-3000:]}{result.stderr[-1000:]}")
        return read(result.stdout, seconds)


def read(output: str, seconds: float) -> Played:
    """What the callback plugin `json` says of one play."""
    [play] = json.loads(output)["plays"]
    durations = [_seconds(task["task"]["duration"]) for task in play["tasks"]]
    return Played(seconds, sum(durations), any(host["changed"] for task in play["tasks"] for host in task["hosts"].values()))


def _seconds(duration: dict[str, str]) -> float:
    return (datetime.fromisoformat(duration["end"]) - datetime.fromisoformat(duration["start"])).total_seconds()
