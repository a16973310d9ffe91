# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which calls came in: for tests and benchmarks that count at the server."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send


class AccessLog:
    """Notes each call before it is answered, as ``GET /nodes/pve/qemu/301/pending``."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.calls: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does."""
        if scope["type"] == "http":
            self.calls.append(f"{scope['method']} {scope['path'].removeprefix('/api2/json')}")
        await self.app(scope, receive, send)
