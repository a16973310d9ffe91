"""Measure the lab: hosts from a warm cache, the first converge and the quiet one. Writes docs/benchmarks.md."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable

from lab import lifecycle
from lab.settings import CHECKOUT, INVENTORY
from lab.shell import LabError

REPORT = CHECKOUT / "docs" / "benchmarks.md"
_QUIET_RUNS = 3
_TASK = re.compile(r"^(?P<name>\S.*?) -+ +(?P<seconds>[\d.]+)s$")


def run() -> None:
    """Measure on a lab made anew, and write the report."""
    lifecycle.down()
    hosts = _timed(lifecycle.hosts)
    first, _ = _converge()
    quiet = [_converge() for _ in range(_QUIET_RUNS)]
    second, output = min(quiet, key=lambda measured: measured[0])
    if any(count != "0" for count in re.findall(r"changed=(\d+)", output)):
        raise LabError(f"the quiet run is not quiet:\n{output}")
    slowest = "".join(f"| {match['name']} | {match['seconds']} |\n" for match in map(_TASK.match, output.splitlines()) if match)
    REPORT.write_text(
        "# Benchmarks\n\n"
        f"Measured by `make bench` on {os.cpu_count()} cores, component cache warm; the quiet run is the fastest of {_QUIET_RUNS}.\n\n"
        "| what | seconds |\n|---|---|\n"
        f"| the lab's hosts, from nothing to Ready | {hosts:.0f} |\n"
        f"| first converge (`site.yml`) | {first:.0f} |\n"
        f"| second converge, {output.count('TASK [')} tasks, changed=0 | {second:.1f} |\n\n"
        f"The ten slowest tasks of the second converge:\n\n| task | seconds |\n|---|---|\n{slowest}"
    )


def _timed(call: Callable[[], object]) -> float:
    start = time.monotonic()
    call()
    return time.monotonic() - start


def _converge() -> tuple[float, str]:
    environment = {**os.environ, "ANSIBLE_CALLBACKS_ENABLED": "ansible.posix.profile_tasks", "PROFILE_TASKS_TASK_OUTPUT_LIMIT": "10"}
    argv = [*lifecycle.program("ansible-playbook"), "-i", str(INVENTORY), "site.yml"]
    start = time.monotonic()
    result = subprocess.run(argv, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise LabError(f"site.yml failed:\n{result.stdout[-3000:]}")
    return time.monotonic() - start, result.stdout
