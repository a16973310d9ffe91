# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of fstab: read them, change one, keep every other byte."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One mount in fstab; ``line`` is its index in the text, None for one that is not there yet."""

    spec: str
    place: str
    fstype: str
    options: tuple[str, ...]
    freq: str = "0"
    passno: str = "0"
    line: int | None = None

    @property
    def uuid(self) -> str:
        """The UUID that the line names, in lower case; empty where it names the device otherwise."""
        return self._tag("UUID").lower()

    @property
    def label(self) -> str:
        """The label that the line names."""
        return self._tag("LABEL")

    def _tag(self, name: str) -> str:
        key, found, value = self.spec.partition("=")
        return value.strip("\"'") if found and key.upper() == name else ""

    def same_mount(self, other: Entry) -> bool:
        """Whether both say the same, whatever the order of their options and their white space."""
        return (self.spec, self.place, self.fstype, set(self.options), self.freq, self.passno) == (
            other.spec,
            other.place,
            other.fstype,
            set(other.options),
            other.freq,
            other.passno,
        )

    def __str__(self) -> str:
        fields = (self.spec, self.place, self.fstype, ",".join(self.options))
        return " ".join([*(encode(field) for field in fields), self.freq, self.passno])


def encode(field: str) -> str:
    """Write white space and backslashes as fstab wants them (octal)."""
    return re.sub(r"[\s\\]", lambda match: f"\\{ord(match.group()):03o}", field)


def decode(field: str) -> str:
    """Read the octal escapes of fstab and of mountinfo."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), field)


def normal(place: str) -> str:
    """A path without doubled or trailing slashes."""
    return "/" + "/".join(part for part in place.split("/") if part)


def entries(text: str) -> list[Entry]:
    """Return the mounts that the text of fstab describes; comments, blank and broken lines are not among them."""
    found = []
    for number, line in enumerate(text.splitlines()):
        fields = [decode(field) for field in line.split()]
        if len(fields) < 3 or fields[0].startswith("#"):
            continue
        spec, place, fstype, options, freq, passno = (fields + ["defaults", "0", "0"][len(fields) - 3 :])[:6]
        found.append(Entry(spec, normal(place), fstype, tuple(options.split(",")), freq, passno, number))
    return found


def put(text: str, entry: Entry) -> str:
    """Return the text with the entry in the place of its line, or at the end."""
    lines = text.splitlines(keepends=True)
    if entry.line is not None:
        lines[entry.line] = f"{entry}\n"
    else:
        if lines and not lines[-1].endswith("\n"):
            lines[-1] += "\n"
        lines.append(f"{entry}\n")
    return "".join(lines)


def drop(text: str, entries: Iterable[Entry]) -> str:
    """Return the text without the lines of these entries."""
    gone = {entry.line for entry in entries}
    return "".join(line for number, line in enumerate(text.splitlines(keepends=True)) if number not in gone)
