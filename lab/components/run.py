"""Run the programs that build components: output into a log, the current line to the display, one clear sentence on failure."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lab.shell import LabError

_UNREACHABLE = re.compile(
    "|".join(
        (
            *("no such host", "dial tcp", "server misbehaving", "i/o timeout", "connection refused", "connection reset", "timed out"),
            *("network is unreachable", "temporary failure", "could not resolve", "could not connect", "unable to connect"),
            *("couldn't connect", "dns error", "error sending request", "failed to lookup address"),
        )
    ),
    re.IGNORECASE,
)
# How each client names the package: Go modules, Debian archives, package names of pip and uv, Java archives.
_PACKAGE = (
    re.compile(r"(?:^|\s)([\w.~/-]+\.[\w.~/-]+@v[\w.+-]+)"),
    re.compile(r"/([a-z0-9][a-z0-9+.-]+)_[^/\s]+\.deb\b"),
    re.compile(r"/simple/([\w.-]+)/"),
    re.compile(r"[Ff]ailed to (?:download|fetch|build)[^`]*`([^`]+)`"),
    re.compile(r"https?://\S+/dists/(\S+)"),
    re.compile(r"https?://\S+/(\S+)/@v/"),
    re.compile(r"https?://\S+/([\w.+-]+\.jar)\b"),
)
_LAST_WORDS = 15


class InterruptedBuildError(LabError):
    """The user stopped the builds."""


class CommandError(LabError):
    """A program failed; the message says which package could not be had, or its last words."""


class Job:
    """One build that is under way: its log, its current step, and the programs it runs."""

    def __init__(self, name: str, log: Path, show: Callable[[str], None], component: Callable[[str], Path]) -> None:
        """Name the build; `show` is told each step as it begins, `component` says where another component stands."""
        self.name = name
        self.log = log
        self.component = component
        self._show = show
        self._process: subprocess.Popen[str] | None = None
        self._stopped = threading.Event()

    def step(self, text: str) -> None:
        """Say what the build does now."""
        self._show(text)

    def stop(self) -> None:
        """End the program that runs now, and let no other start."""
        self._stopped.set()
        process = self._process
        if process and process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    def run(self, argv: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> None:
        """Run a program to its end. Raises CommandError, which names the package when the network is the reason."""
        if self._stopped.is_set():
            raise InterruptedBuildError(f"{self.name}: stopped")
        words = [str(word) for word in argv]
        last: deque[str] = deque(maxlen=200)
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(words)}\n")
            log.flush()
            try:
                self._process = subprocess.Popen(
                    words,
                    cwd=cwd,
                    env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                    start_new_session=True,
                )
            except FileNotFoundError as error:
                raise CommandError(f"{self.name}: {words[0]} is not installed on this machine") from error
            if self._process.stdout is not None:
                for line in self._process.stdout:
                    log.write(line)
                    last.append(line.rstrip())
            code = self._process.wait()
        if self._stopped.is_set():
            raise InterruptedBuildError(f"{self.name}: stopped")
        if code:
            raise CommandError(explain(self.name, words, code, list(last), self.log))


def explain(name: str, argv: Sequence[str], code: int, output: Sequence[str], log: Path) -> str:
    """Say in one message why a program failed: the package that could not be reached, or the program's last words."""
    for line in output:
        if _UNREACHABLE.search(line):
            package = next((match.group(1) for pattern in _PACKAGE if (match := pattern.search(line))), None)
            if package:
                return (
                    f"{name}: could not get {package}: the package source does not answer ({line.strip()[-200:]}). "
                    "Connect this machine to the network and run the same command again; it goes on where it stopped"
                )
    unreachable = next((line.strip() for line in output if _UNREACHABLE.search(line)), None)
    if unreachable:
        return (
            f"{name}: could not get its packages: {unreachable[-300:]}. Connect this machine to the network and run the same command again"
        )
    words = "\n  ".join(line for line in output[-_LAST_WORDS:] if line.strip())
    return f"{name}: {Path(argv[0]).name} ended with {code}; the whole output is in {log}\n  {words}"
