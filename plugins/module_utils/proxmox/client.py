# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small client of Proxmox's API: proxmoxer for HTTP, and errors which say what to do."""

from __future__ import annotations

import re
import time
import traceback
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

try:
    import requests
    from proxmoxer import ProxmoxAPI
    from proxmoxer.core import ResourceException
except ImportError:
    IMPORT_ERROR: str | None = traceback.format_exc()
else:
    IMPORT_ERROR = None

_LONGEST_PAUSE = 2.0
_PROXY_ERRORS = range(595, 600)
_RACE = re.compile(r"checksum miss?match|detected modified configuration")
_LOCKED = re.compile(r"VM is locked|can't lock file")
_MOVED = re.compile(r"Configuration file '.*' does not exist")
_FULL = re.compile(r"free space|insufficient|No space left|out of space", re.IGNORECASE)


class ProxmoxError(Exception):
    """A failure to be shown to the user as it is."""


class LostError(ProxmoxError):
    """No answer came: whether the call was carried out is not known."""


class RaceError(ProxmoxError):
    """Somebody else changed the configuration first; nothing was written."""


class LockedError(ProxmoxError):
    """The machine is locked by another operation; nothing was written."""


class MovedError(RaceError):
    """Somebody else has migrated the machine: it is on that node no more."""


class FullError(ProxmoxError):
    """The storage has no room."""


@dataclass(frozen=True)
class Connection:
    """How to reach the API."""

    host: str
    port: int
    user: str
    token_id: str
    token_secret: str
    validate_certs: bool = True
    ca_path: str | None = None
    timeout: int = 30

    def __repr__(self) -> str:
        """Without the secret, wherever it may end up."""
        return f"{self.host}:{self.port} as {self.user}!{self.token_id}"


def _failure(message: str) -> ProxmoxError:
    """The kind of failure that a message of Proxmox's stands for."""
    for pattern, kind in ((_RACE, RaceError), (_LOCKED, LockedError), (_MOVED, MovedError), (_FULL, FullError)):
        if pattern.search(message):
            return kind(message)
    return ProxmoxError(message)


class Client:
    """Calls the API and counts the calls."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.calls = 0
        self._api = ProxmoxAPI(
            connection.host,
            port=connection.port,
            user=connection.user,
            token_name=connection.token_id,
            token_value=connection.token_secret,
            verify_ssl=(connection.ca_path or True) if connection.validate_certs else False,
            timeout=connection.timeout,
        )

    def get(self, path: str, **query: Any) -> Any:
        """Read; a lost answer is asked for again."""
        return self._read(path, query, pause=0.5)

    def _read(self, path: str, query: dict[str, Any], pause: float) -> Any:
        try:
            return self._call("GET", path, query)
        except LostError:
            if pause > _LONGEST_PAUSE:
                raise
        time.sleep(pause)
        return self._read(path, query, pause * 2)

    def write(self, method: str, path: str, **values: Any) -> Any:
        """Write, exactly once."""
        return self._call(method, path, values)

    def _call(self, method: str, path: str, values: dict[str, Any]) -> Any:
        self.calls += 1
        resource = self._api(path)
        call = {"GET": resource.get, "POST": resource.post, "PUT": resource.put}[method]
        try:
            answer = call(**values)
        except ResourceException as error:
            raise self._refused(error, method, path) from None
        except requests.exceptions.SSLError as error:
            raise ProxmoxError(self._about_tls(error)) from None
        except requests.exceptions.RequestException as error:
            raise LostError(
                f"no answer from Proxmox's API at {self._where}: {_innermost(error)}; check api_host, api_port and the way there"
            ) from None
        except OSError as error:
            raise ProxmoxError(f"{error}; check ca_path") from None
        if isinstance(answer, dict) and isinstance(answer.get("errors"), bytes):
            raise ProxmoxError(f"what answers at {self._where} is not Proxmox's API: check api_host and api_port")
        return answer

    @property
    def _where(self) -> str:
        return f"https://{self.connection.host}:{self.connection.port}"

    def _refused(self, error: ResourceException, method: str, path: str) -> ProxmoxError:
        """An answer other than success, in words for the user."""
        status, reason = error.status_code, str(error.content).partition(" - {")[0].strip()
        token = f"{self.connection.user}!{self.connection.token_id}"
        if status == 401:
            return ProxmoxError(
                f"Proxmox at {self._where} does not accept the API token {token} ({reason}): "
                "check api_user, api_token_id and api_token_secret"
            )
        if status == 403:
            return ProxmoxError(
                f"the API token {token} may not do this: {reason}; grant that privilege on that path to the token, "
                "and to its user too when the token has privilege separation"
            )
        if status == 400:
            found = error.errors if isinstance(error.errors, dict) else {}
            details = "; ".join(f"{key}: {' '.join(str(text).split())}" for key, text in sorted(found.items()))
            return ProxmoxError(f"Proxmox refused {method} /{path}: {reason} {details}".strip())
        if status in _PROXY_ERRORS:
            return LostError(
                f"Proxmox at {self._where} could not reach the node behind /{path} ({status} {reason}): check the cluster's network"
            )
        if status == 500:
            return _failure(reason)
        return ProxmoxError(f"Proxmox at {self._where} answered {method} /{path} with {status} {reason}")

    def _about_tls(self, error: Exception) -> str:
        return (
            f"the TLS certificate of {self._where} could not be verified: {_innermost(error)}; "
            "set ca_path to the CA that signed it, and api_host to a name that it holds"
        )

    def wait(self, node: str, upid: str, timeout: float) -> list[str]:
        """Wait for a task; returns its warnings, raises what it failed of."""
        path = f"nodes/{node}/tasks/{upid}"
        deadline = time.monotonic() + timeout
        # No task ends in the moment that it starts; the short ones are over after the first pause, most others after the second.
        for pause in chain((0.1, 0.9), repeat(1.0, 9), repeat(2.0)):
            time.sleep(pause)
            status = self.get(f"{path}/status")
            if status["status"] != "running":
                break
            if time.monotonic() > deadline:
                raise ProxmoxError(
                    f"task {upid} still runs after {timeout:g} s and goes on by itself; run again later, nothing is started twice"
                )
        result = str(status.get("exitstatus", ""))
        if result == "OK":
            return []
        if result.startswith("WARNINGS"):
            lines = [str(line["t"]) for line in self.get(f"{path}/log", limit=500)]
            return [line.removeprefix("WARN:").strip() for line in lines if line.startswith("WARN:")] or [f"task {upid}: {result}"]
        raise _failure(result)


def _innermost(error: BaseException) -> str:
    """The reason at the bottom of an error of requests, without the layers around it."""
    cause: Any = error
    while True:
        inner = getattr(cause, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((item for item in getattr(cause, "args", ()) if isinstance(item, BaseException)), None)
        if inner is None:
            return str(cause).partition(">: ")[2] or str(cause)
        cause = inner
