# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of fstab."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.fstab import Entry, decode, encode, entries, put
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.system import write_text

TEXT = """# /etc/fstab
UUID="ABCD-1"\t/boot/efi\tvfat
LABEL=data  /mnt/with\\040space/  ext4  nofail,noatime  0  2   # a remark

broken line
/dev/sr0 /media udf,iso9660 noauto,user
"""


def test_entries() -> None:
    boot, data, media = entries(TEXT)
    assert boot == Entry('UUID="ABCD-1"', "/boot/efi", "vfat", ("defaults",), "0", "0", 1)
    assert (boot.uuid, boot.label) == ("abcd-1", "")
    assert (data.place, data.label, data.options, data.passno) == ("/mnt/with space", "data", ("nofail", "noatime"), "2")
    assert (media.uuid, media.line) == ("", 5)


def test_one_line_changes_and_every_other_byte_stays() -> None:
    line = entries(TEXT)[1]
    changed = put(TEXT, line)
    assert changed.splitlines()[2] == "LABEL=data /mnt/with\\040space ext4 nofail,noatime 0 2"
    assert [text for number, text in enumerate(changed.splitlines()) if number != 2] == [
        text for number, text in enumerate(TEXT.splitlines()) if number != 2
    ]


@pytest.mark.parametrize("text", ["", "# no newline at the end", "# newline\n"])
def test_a_new_line_goes_to_the_end(text: str) -> None:
    new = Entry("UUID=1", "/mnt/a", "ext4", ("nofail",), "0", "2")
    after = put(text, new)
    assert after.endswith("UUID=1 /mnt/a ext4 nofail 0 2\n")
    assert after.startswith(text)
    assert [entry.spec for entry in entries(after)] == ["UUID=1"]


@pytest.mark.parametrize("name", ["a b", "a\tb", "back\\slash", "\\040"])
def test_white_space_survives(name: str) -> None:
    assert decode(encode(name)) == name
    assert " " not in encode(name)


def test_the_order_of_options_says_nothing() -> None:
    one, other = Entry("UUID=1", "/a", "ext4", ("a", "b")), Entry("UUID=1", "/a", "ext4", ("b", "a"), line=3)
    assert one.same_mount(other)
    assert not one.same_mount(Entry("UUID=1", "/a", "ext4", ("a",)))


def test_writing_keeps_the_mode_and_follows_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "real", tmp_path / "fstab"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    write_text(str(link), "new\n")
    assert link.is_symlink()
    assert target.read_text() == "new\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fstab", "real"]


def test_writing_makes_the_directory_of_a_drop_in(tmp_path: Path) -> None:
    path = tmp_path / "kubelet.service.d" / "10.conf"
    write_text(str(path), "[Unit]\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
