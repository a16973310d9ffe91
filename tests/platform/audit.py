"""What the accounts of the pipeline ask of the apiserver, as its audit log tells it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from lab.control_plane import AUDIT_LOG
from tests.platform.reality import get
from tests.rbac.matrix import Cell

_ACCOUNT = "system:serviceaccount:"
_POD = "authentication.kubernetes.io/pod-uid"


@dataclass(frozen=True)
class Request:
    """One request of a program in a pod."""

    namespace: str
    """The account's own."""
    account: str
    uri: str
    status: int
    cell: Cell | None
    """Where it belongs in the matrix; what is about no object, as the server's version, belongs nowhere."""


class Audit:
    """What pods have asked for since now; and of those that run already, since they started."""

    def __init__(self) -> None:
        self._start = datetime.now(timezone.utc).isoformat()
        self._running = {pod["metadata"]["uid"] for pod in get("pods", "--all-namespaces")["items"]}

    def requests(self) -> tuple[Request, ...]:
        """The requests so far. A watch is there twice, when it begins and when it ends; a test's own come from no pod."""
        return tuple(_request(event) for event in _events() if self._counts(event))

    def _counts(self, event: dict[str, Any]) -> bool:
        pods = event["user"].get("extra", {}).get(_POD, [])
        return bool(pods) and (event["stageTimestamp"] >= self._start or pods[0] in self._running)


def _events() -> Iterator[dict[str, Any]]:
    for file in sorted(AUDIT_LOG.parent.glob("audit*.log")):
        with file.open() as lines:
            yield from map(json.loads, lines)


def _request(event: dict[str, Any]) -> Request:
    namespace, account = event["user"]["username"].removeprefix(_ACCOUNT).split(":")
    about = event.get("objectRef")
    cell = None
    if about:
        name = ".".join(part for part in (about["resource"], about.get("apiGroup")) if part)
        resource = "/".join(part for part in (name, about.get("subresource")) if part)
        cell = Cell(account, event["verb"], resource, about.get("namespace", ""))
    return Request(namespace, account, event["requestURI"], event["responseStatus"]["code"], cell)
