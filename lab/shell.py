"""Run programs, in the host's or in a lab host's namespace."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from lab.settings import Host


class LabError(Exception):
    """Something that the user should read as one message, without a traceback."""


def run(argv: Sequence[str | Path], *, check: bool = True, stdin: str | None = None, cwd: Path | None = None) -> str:
    """Run a program and return what it printed.

    Raises LabError with the program's last words when it fails and `check` is set.
    """
    try:
        result = subprocess.run([str(word) for word in argv], input=stdin, capture_output=True, text=True, check=False, cwd=cwd)
    except FileNotFoundError as error:
        raise LabError(f"{argv[0]} is not installed on this machine") from error
    if check and result.returncode != 0:
        words = (result.stderr or result.stdout).strip()[-2000:]
        raise LabError(f"{' '.join(str(word) for word in argv)}: exit {result.returncode}: {words}")
    return result.stdout


def in_namespace(host: Host) -> list[str | Path]:
    """The words that run a program in the host's network namespace.

    `nsenter`, because `ip netns exec` mounts /sys anew and so hides the cgroups.
    """
    return ["nsenter", f"--net=/var/run/netns/{host.namespace}"]
