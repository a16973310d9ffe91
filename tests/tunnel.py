"""The tunnel as its user opens it, on a computer of its own: a network with nothing in it but what the tunnel brings."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lab.settings import STATE
from tests.platform.reality import wait_for

ADDRESS = "http://localhost:8080"


@dataclass(frozen=True)
class Computer:
    """The user's computer, with the tunnel open."""

    pid: int
    address: str = ADDRESS
    """Where the pages are."""
    options: tuple[str, ...] = ()
    """What curl has to be told besides."""

    @property
    def inside(self) -> tuple[str, ...]:
        """What runs a command on it."""
        return ("nsenter", f"--net=/proc/{self.pid}/ns/net")

    def fetch(self, path: str) -> str:
        """A page, or nothing where it is not served."""
        return self._curl("--fail", f"{self.address}{path}")

    def status(self, path: str) -> int:
        """The status of an answer; 0 for none."""
        return int(self._curl("--output", "/dev/null", "--write-out", "%{http_code}", f"{self.address}{path}"))

    def _curl(self, *words: str) -> str:
        argv = [*self.inside, "curl", "--silent", "--max-time", "20", *self.options, *words]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout


@contextmanager
def opened() -> Iterator[Computer]:
    """Open the tunnel by the command that its own file names, and close it in the end."""
    command = shlex.split((STATE / "tunnel.ssh_config").read_text().splitlines()[0].partition("Open with: ")[2])
    process = subprocess.Popen(["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command])
    try:
        computer = Computer(process.pid)
        wait_for("an answer through the tunnel", lambda: computer.status("/"), 60)
        yield computer
    finally:
        process.terminate()
        process.wait(10)
