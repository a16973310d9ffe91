"""The report: sections below headings of their own, of which one is replaced and the others stay as they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from lab.settings import CHECKOUT

REPORT = CHECKOUT / "docs" / "benchmarks.md"
_HEADING = re.compile(r"^(?=## )", re.MULTILINE)


def write(title: str, body: str, report: Path = REPORT) -> None:
    """Replace a section, or add it at the end."""
    head, *sections = _HEADING.split(report.read_text())
    kept = {section.partition("\n")[0]: section.strip() for section in sections}
    kept[f"## {title}"] = f"## {title}\n\n{body.strip()}"
    report.write_text("\n\n".join([head.strip(), *kept.values()]) + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [f"| {' | '.join(map(str, line))} |" for line in (columns, *rows)]
    return "\n".join([lines[0], f"|{'---|' * len(columns)}", *lines[1:]])


def ratio(ours: float, peer: float) -> str:
    """How many times as much the peer takes."""
    times = peer / ours
    return f"{times:.1f}" if times >= 1 else f"{times:.2f}"
