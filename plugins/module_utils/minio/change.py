# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of one object, as the three modules plan, report and diff it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.minio.connection import MinioError


@dataclass(frozen=True)
class Change:
    """An object before and after, in the words shown to the user; None where it does not exist."""

    kind: str
    name: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None

    @property
    def action(self) -> str:
        """One word for the result."""
        if self.before == self.after:
            return "unchanged"
        if self.before is None:
            return "created"
        return "removed" if self.after is None else "updated"


def report(changes: Sequence[Change], *, diff: bool) -> dict[str, Any]:
    """The result of a module: what happened to each object, and on request the diff of those that changed."""
    changed = [change for change in changes if change.action != "unchanged"]
    result: dict[str, Any] = {
        "changed": bool(changed),
        "results": [{"name": change.name, "action": change.action} for change in changes],
    }
    if diff:
        result["diff"] = [
            {
                "before_header": f"{change.kind} {change.name}",
                "after_header": f"{change.kind} {change.name}",
                "before": change.before or {},
                "after": change.after or {},
            }
            for change in changed
        ]
    return result


def refuse_duplicates(kind: str, names: Iterable[str]) -> None:
    """One call says one thing about each object."""
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise MinioError(f"{kind} {twice[0]!r} is listed more than once: one entry must say all about it.")
