# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""uvicorn with the two things that Proxmox's HTTP server does and ASGI cannot say: a reason phrase, and a lost connection."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

REASON_HEADER = "x-lab-reason"
DROP_HEADER = "x-lab-drop"


class _Connection(h11.Connection):
    """Turns the lab's own response headers into what they stand for."""

    _silent = False

    def send(self, event: Any) -> Any:
        """The bytes of an event: with the reason of its own, or none at all when the answer shall be lost."""
        if isinstance(event, h11.Response):
            own = {name.decode(): value for name, value in event.headers}
            self._silent = DROP_HEADER in own
            if REASON_HEADER in own:
                headers = [(name, value) for name, value in event.headers if name.decode() != REASON_HEADER]
                event = h11.Response(status_code=event.status_code, headers=headers, reason=own[REASON_HEADER])
        output = super().send(event)
        return b"" if self._silent else output


class Protocol(H11Protocol):
    """HTTP/1.1 with Proxmox's status lines."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.conn = _Connection(h11.SERVER)


def configure(app: ASGIApp, host: str, port: int, cert: str, key: str) -> uvicorn.Config:
    """Settings of a server with TLS for the application."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        ssl_certfile=cert,
        ssl_keyfile=key,
        http=Protocol,
        ws="none",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,  # a client which never says goodbye does not keep the daemon alive
    )


@contextmanager
def in_background(app: ASGIApp, host: str, cert: str, key: str) -> Iterator[int]:
    """Serve from a thread for as long as the context lasts; gives the port, which is free choice."""
    listener = socket.create_server((host, 0))
    server = uvicorn.Server(configure(app, host, 0, cert, key))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the server did not start")
            time.sleep(0.01)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


def run(app: ASGIApp, host: str, port: int, cert: str, key: str) -> None:
    """Serve until told to stop."""
    uvicorn.Server(configure(app, host, port, cert, key)).run()
