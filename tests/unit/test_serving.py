# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests' own servers print, which stands in what a test has captured."""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
from queue import SimpleQueue

import pytest

from tests.serving import served


@pytest.mark.parametrize(("fault", "printed"), [(ConnectionResetError, False), (ValueError, True)])
def test_a_client_that_goes_away_is_not_told_of_and_a_fault_is(
    capfd: pytest.CaptureFixture[str], fault: type[Exception], printed: bool
) -> None:
    threads: SimpleQueue[threading.Thread] = SimpleQueue()

    class Reader(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            threads.put(threading.current_thread())
            try:
                self.rfile.readline()
            except ConnectionResetError as reset:
                raise fault from reset

    with served(Reader) as port:
        client = socket.create_connection(("127.0.0.1", port))
        # Closed so, a connection is reset.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        threads.get(timeout=10).join(10)
    assert (fault.__name__ in capfd.readouterr().err) == printed
