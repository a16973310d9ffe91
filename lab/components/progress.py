"""Show what is being built, what is left and what came from the cache: live on a terminal, one line per event elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

_SIGNS = {
    "waiting": ("·", "dim"),
    "cached": ("✓", "green"),
    "built": ("✓", "bold green"),
    "failed": ("✗", "bold red"),
    "stopped": ("-", "yellow"),
}

_SILENCE = 60.0
"""Seconds after which a log, which has no moving display, says again what is being built."""


def clock(seconds: float) -> str:
    """Return a duration as people read it: 12s, 3m05s."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


@dataclass
class _Row:
    label: str
    state: str = "waiting"
    step: str = ""
    started: float = 0.0
    seconds: float = 0.0
    spinner: Spinner = field(default_factory=lambda: Spinner("dots"))


class Progress:
    """The display of one `ensure`; its methods may be called from several threads."""

    def __init__(self, labels: dict[str, str], console: Console | None = None) -> None:
        """Take the components in the order of their display, with what to call each."""
        self._console = console or Console(stderr=True)
        self._rows = {name: _Row(label) for name, label in labels.items()}
        self._started = self._said = time.monotonic()
        self._lock = threading.Lock()
        self._live = Live(get_renderable=self._table, console=self._console, refresh_per_second=4) if self._console.is_terminal else None

    def __enter__(self) -> Progress:
        """Begin to show."""
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave the last state on the screen."""
        if self._live:
            self._live.stop()

    def cached(self, names: Sequence[str]) -> None:
        """Say which components need no build."""
        for name in names:
            self._rows[name].state = "cached"
        if not self._live and names:
            self._console.print(f"{len(names)} of {len(self._rows)} from the cache", highlight=False)

    def step(self, name: str, text: str) -> None:
        """Say what a build does now."""
        row = self._rows[name]
        with self._lock:
            if row.state != "building":
                row.state, row.started = "building", time.monotonic()
            row.step = text
        if not self._live:
            self._say(f"{row.label}: {text}")

    def remind(self) -> None:
        """Say once more what is being built, where nothing was said for a minute; to be called every now and then."""
        now = time.monotonic()
        if self._live or now - self._said < _SILENCE:
            return
        with self._lock:
            busy = [f"{row.label} ({row.step}), {clock(now - row.started)}" for row in self._rows.values() if row.state == "building"]
        if busy:
            self._say(f"still at {'; '.join(busy)}")

    def end(self, name: str, state: str) -> None:
        """Say how a build ended: built, failed or stopped."""
        row = self._rows[name]
        with self._lock:
            row.seconds = time.monotonic() - row.started
            row.state, row.step = state, ""
        if not self._live:
            left = sum(other.state in ("waiting", "building") for other in self._rows.values())
            self._say(f"{row.label}: {state} in {clock(row.seconds)}, {left} left")

    def summary(self) -> str:
        """Return the totals in one line."""
        count = {state: sum(row.state == state for row in self._rows.values()) for state in ("built", "cached", "building", "waiting")}
        left = count["building"] + count["waiting"]
        return f"{count['built']} built, {count['cached']} from the cache, {left} left, {clock(time.monotonic() - self._started)}"

    def _say(self, text: str) -> None:
        self._said = time.monotonic()
        self._console.print(f"[{clock(time.monotonic() - self._started)}] {text}", highlight=False, markup=False, soft_wrap=True)

    def _table(self) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        with self._lock:
            for row in self._rows.values():
                if row.state == "building":
                    table.add_row(row.spinner, Text(row.label, "bold"), clock(time.monotonic() - row.started), Text(row.step, "dim"))
                else:
                    sign, style = _SIGNS[row.state]
                    table.add_row(Text(sign, style), row.label, clock(row.seconds) if row.seconds else "", Text(row.state, "dim"))
        return Group(table, Text(f"components: {self.summary()}"))
