# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps an object from becoming ready: one line with the object, the reason and the remedy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import Object

PATIENCE = 45.0
"""Seconds for which a trouble that needs somebody's act is given the chance to go away by itself: by what the same run still brings, or as
registries have short troubles. Short enough to be named within a minute."""

RESTART_LIMIT = 3
"""New restarts of a crashing container after which waiting is given up."""


@dataclass(frozen=True)
class Cause:
    """Something that keeps an object from becoming ready."""

    kind: str
    """A word for it: ``image``, ``crash``, ``scheduling``, ``claim``..."""
    subject: str
    reason: str
    remedy: str
    patience: float | None = None
    """Seconds after which waiting longer is of no use; none where it may always come right by itself."""
    container: str = ""
    """The container whose log tells more."""
    restarts: int = 0
    """How often that container was started again."""
    told: str = ""
    """When an event told of it last, as the API writes times. Nothing where it is seen in what is, and not in what was."""

    def hopeless(self, seconds: float, new_restarts: int, began: datetime) -> bool:
        """Whether waiting longer is of no use, after it was seen for so long, the container restarted so often, and the wait began then."""
        if self.kind == "crash":
            return new_restarts >= RESTART_LIMIT
        return self.patience is not None and seconds >= self.patience and not self._may_be_over(began)

    def _may_be_over(self, began: datetime) -> bool:
        """Whether nobody has tried since a while before the wait: kubelet and controllers try ever less often, in the end after minutes."""
        return bool(self.told) and datetime.fromisoformat(self.told.replace("Z", "+00:00")) < began - timedelta(seconds=PATIENCE)

    def line(self, more: str = "") -> str:
        """All of it, on one line."""
        return f"{self.subject}: {ended(self.reason)}{more} What to do: {ended(self.remedy)}"


def told(event: Object) -> str:
    """When an event happened last."""
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


def one_line(text: object) -> str:
    """A text of the API without its line breaks."""
    return re.sub(r"\s+", " ", str(text)).strip()


def ended(text: str) -> str:
    """A sentence with its full stop."""
    text = one_line(text)
    return text if text.endswith((".", "!", "?")) else f"{text}."


def some(words: list[str], most: int = 4) -> str:
    """The first of many words."""
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")
