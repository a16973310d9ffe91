# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults that a test may order; the daemon offers no way to order one over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Faults:
    """What shall go wrong next.

    ``proxy_errors`` answers the given number of requests with 599. ``drops`` carries out the given number of writes and then
    closes the connection without an answer. ``before_write`` runs once, just before a write is looked at: the place for a change
    made by somebody else. ``task_seconds`` is how long each task takes. ``task_warnings`` is what each task warns of.
    """

    proxy_errors: int = 0
    drops: int = 0
    before_write: Callable[[], None] | None = None
    task_seconds: float = 0.0
    task_warnings: tuple[str, ...] = ()
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def proxy_error(self) -> bool:
        """Whether this request fails on its way to the node."""
        with self._lock:
            due, self.proxy_errors = self.proxy_errors > 0, max(self.proxy_errors - 1, 0)
        return due

    def drop(self) -> bool:
        """Whether the answer to this write is lost."""
        with self._lock:
            due, self.drops = self.drops > 0, max(self.drops - 1, 0)
        return due

    def writing(self) -> None:
        """Let somebody else write first, once."""
        with self._lock:
            action, self.before_write = self.before_write, None
        if action:
            action()
