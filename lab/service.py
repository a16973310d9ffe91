"""Long-running programs of the lab: started once, found again by any later command, stopped by id."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.settings import STATE, Host
from lab.shell import LabError, in_namespace


@dataclass(frozen=True)
class Service:
    """A program that runs in a host's network namespace and logs to the lab's state directory."""

    name: str
    argv: Sequence[str | Path]
    host: Host
    ready: Callable[[], bool]
    """Whether the program does its work; asked until it says yes."""
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        """What the program prints."""
        return STATE / "logs" / f"{self.name}.log"

    def start(self) -> None:
        """Start the program unless it runs."""
        start(self.name, [*in_namespace(self.host), *self.argv], self.log, self.environment)

    def wait(self, seconds: float = 60) -> None:
        """Wait until the program is ready; its last words are the error."""
        deadline = time.monotonic() + seconds
        while not self.ready():
            if pid(self.name) is None or time.monotonic() > deadline:
                state = "has ended" if pid(self.name) is None else f"is not ready after {seconds:.0f} s"
                raise LabError(f"{self.name} {state}; the end of {self.log}:\n{tail(self.log)}")
            time.sleep(0.1)


def start(name: str, argv: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None) -> int:
    """Start a program in a session of its own unless it runs already; returns its process id."""
    running = pid(name)
    if running is not None:
        return running
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(word) for word in argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    file = _pid_file(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{process.pid} {_start_time(process.pid)}")
    return process.pid


def pid(name: str) -> int | None:
    """Process id of a program started earlier, if that very process still runs."""
    try:
        process, started = _pid_file(name).read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    return int(process) if _start_time(int(process)) == started else None


def stop(name: str, seconds: float = 10) -> None:
    """End a program: politely, then not."""
    process = pid(name)
    if process is not None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            os.kill(process, number)
            deadline = time.monotonic() + seconds
            while pid(name) is not None and time.monotonic() < deadline:
                _reap(process)
                time.sleep(0.05)
            if pid(name) is None:
                break
    _pid_file(name).unlink(missing_ok=True)


def running() -> list[str]:
    """Names of all programs that run."""
    return sorted(file.stem for file in (STATE / "run").glob("*.pid") if pid(file.stem) is not None)


def tail(log: Path, lines: int = 8) -> str:
    """The end of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else "(no log)"


def _pid_file(name: str) -> Path:
    return STATE / "run" / f"{name}.pid"


def _start_time(process: int) -> str | None:
    """When the process started, in ticks since boot: tells it from a later one of the same number; None for none and for zombies."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def _reap(process: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process, os.WNOHANG)
