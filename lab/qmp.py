"""QEMU's machine protocol: one JSON object a line over a Unix socket, answers and events mixed."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from lab.shell import LabError


class QmpError(LabError):
    """QEMU refused a command, or has gone away; ``kind`` is QEMU's own class of the error, empty for the latter."""

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind


class Qmp:
    """A connection. QEMU serves one at a time and lets others wait, so what is done in one is not disturbed."""

    def __init__(self, path: Path, timeout: float = 60) -> None:
        """Take the socket's path, and how many seconds an answer may take, the wait for other connections included."""
        self._path = path
        self._timeout = timeout
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._rest = b""
        self._events: list[Mapping[str, Any]] = []

    def __enter__(self) -> Qmp:
        """Connect. Raises QmpError when nobody listens."""
        try:
            self._socket.settimeout(self._timeout)
            self._socket.connect(str(self._path))
            self._read(time.monotonic() + self._timeout)
            self.execute("qmp_capabilities")
        except OSError as error:
            self._socket.close()
            raise QmpError(f"{self._path}: {error}") from error
        except QmpError:
            self._socket.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Let the next one in."""
        self._socket.close()

    def execute(self, command: str, **arguments: Any) -> Any:
        """Run a command and return its result; an underscore in an argument's name stands for QEMU's dash.

        Raises QmpError with QEMU's reason when it refuses.
        """
        given = {key.replace("_", "-"): value for key, value in arguments.items()}
        return self.send(command, given)

    def send(self, command: str, arguments: Mapping[str, Any]) -> Any:
        """Run a command with arguments whose names are used as they are."""
        try:
            self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        except OSError as error:
            raise QmpError(f"{command}: {error}") from error
        deadline = time.monotonic() + self._timeout
        while True:
            message = self._read(deadline)
            if "error" in message:
                raise QmpError(f"{command}: {message['error']['desc']}", message["error"]["class"])
            if "return" in message:
                return message["return"]
            self._events.append(message)

    def event(self, wanted: Callable[[Mapping[str, Any]], bool], seconds: float) -> Mapping[str, Any] | None:
        """Return the first event of this connection that is wanted; None when there was none within the seconds."""
        deadline = time.monotonic() + seconds
        while True:
            for number, event in enumerate(self._events):
                if wanted(event):
                    return self._events.pop(number)
            try:
                self._events.append(self._read(deadline))
            except TimeoutError:
                return None

    def _read(self, deadline: float) -> Mapping[str, Any]:
        """Read one message. Raises TimeoutError after the deadline, QmpError when QEMU has ended."""
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{self._path}: no answer")
            self._socket.settimeout(left)
            try:
                more = self._socket.recv(65536)
            except ConnectionError as error:
                raise QmpError(f"{self._path}: {error}") from error
            if not more:
                raise QmpError(f"{self._path}: QEMU has ended")
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        message: Mapping[str, Any] = json.loads(line)
        return message
