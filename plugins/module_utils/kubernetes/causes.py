# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps an object from becoming ready: one line with the object, the reason and the remedy."""

from __future__ import annotations

import re
from dataclasses import dataclass

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

    def hopeless(self, seconds: float, new_restarts: int) -> bool:
        """Whether waiting longer is of no use, after it was seen for so long and the container restarted so often."""
        if self.kind == "crash":
            return new_restarts >= RESTART_LIMIT
        return self.patience is not None and seconds >= self.patience

    def line(self, more: str = "") -> str:
        """All of it, on one line."""
        return f"{self.subject}: {ended(self.reason)}{more} What to do: {ended(self.remedy)}"


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
