# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmarks' report: one section is replaced, the others stay as they are."""

from __future__ import annotations

from pathlib import Path

from lab.bench.report import ratio, table, write

REPORT = "# Benchmarks\n\n## The lab\n\nBy hand.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"


def test_a_section_is_added_and_replaced_and_the_others_stay(tmp_path: Path) -> None:
    report = tmp_path / "benchmarks.md"
    report.write_text(REPORT)
    write("Disks", "first", report)
    assert report.read_text() == f"{REPORT}\n## Disks\n\nfirst\n"
    write("Disks", table(["what", "calls"], [("create", 5)]), report)
    assert report.read_text() == f"{REPORT}\n## Disks\n\n| what | calls |\n|---|---|\n| create | 5 |\n"
    write("The lab", "again", report)
    assert report.read_text().startswith("# Benchmarks\n\n## The lab\n\nagain\n\n## Disks\n\n|")


def test_a_ratio_says_how_many_times_as_much_the_peer_takes() -> None:
    assert [ratio(2, 90), ratio(3, 3), ratio(2.5, 0.07)] == ["45.0", "1.0", "0.03"]
