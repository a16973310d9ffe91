"""Measure the lab: the components, its hosts, the first converge and the quiet one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from lab import lifecycle
from lab.bench.report import REPORT, table, write
from lab.settings import CHECKOUT, INVENTORY
from lab.shell import LabError

_QUIET_RUNS = 3
_BUILD = "the components, into an empty cache"
_TASK = re.compile(r"^(?P<name>\S.*?) -+ +(?P<seconds>[\d.]+)s$")


def run() -> None:
    """Measure on a lab made anew."""
    build = _empty_cache() if os.environ.get("COLD") else _written_before()
    lifecycle.down()
    hosts = _timed(lifecycle.hosts)
    first, _ = _converge()
    again = _timed(lifecycle.hosts)
    quiet = [_converge() for _ in range(_QUIET_RUNS)]
    second, output = min(quiet, key=lambda measured: measured[0])
    if any(count != "0" for count in re.findall(r"changed=(\d+)", output)):
        raise LabError(f"the quiet run is not quiet:\n{output}")
    slowest = [(match["name"], match["seconds"]) for match in map(_TASK.match, output.splitlines()) if match]
    figures = [
        (_BUILD, build),
        ("the lab's hosts, from nothing to Ready", f"{hosts:.0f}"),
        ("first converge (`site.yml`)", f"{first:.0f}"),
        ("the three together: `make lab` with an empty cache", f"{build + hosts + first:.0f}"),
        ("the last two: `make lab` with a warm cache", f"{hosts + first:.0f}"),
        ("the lab's hosts, when they are up", f"{again:.1f}"),
        (f"second converge, {output.count('TASK [')} tasks, changed=0", f"{second:.1f}"),
    ]
    write(
        "The lab",
        f"Measured by `make bench` on {os.cpu_count()} cores; the quiet run is the fastest of {_QUIET_RUNS}. `make bench COLD=1`\n"
        "measures the build of the components too, else its figure stays.\n\n"
        f"{table(['what', 'seconds'], figures)}\n\n"
        f"The ten slowest tasks of the second converge:\n\n{table(['task', 'seconds'], slowest)}",
    )


def _empty_cache() -> int:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as cache:
        argv = [sys.executable, "-m", "lab.components", "build"]
        return round(_timed(lambda: subprocess.run(argv, cwd=CHECKOUT, env={**os.environ, "LAB_CACHE": cache}, check=True)))


def _written_before() -> int:
    found = re.search(rf"^\| {re.escape(_BUILD)} \| (\d+) \|$", REPORT.read_text(), re.MULTILINE)
    if not found:
        raise LabError(f"{REPORT} does not hold the time of a build with an empty cache: measure it once with COLD=1.")
    return int(found[1])


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
