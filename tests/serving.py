# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small servers of the tests' own, in threads of the test."""

from __future__ import annotations

import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Server(socketserver.ThreadingTCPServer):
    """Serves each client in a thread.

    A client that goes away is no fault of the server's: the traceback that Python prints then would stand in what the test has captured.
    """

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def served(handler: type[socketserver.BaseRequestHandler], address: str = "127.0.0.1") -> Iterator[int]:
    """Serve by that handler on a free port, in the background; yields the port."""
    server = _Server((address, 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
