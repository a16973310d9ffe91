# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan, without a host."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.current import Current, Directory, DiskState, Files, Place
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.devices import GROW_FROM, MIB, Device, Filesystem, Mount
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.disks import Disk, parse_disks, parse_mode, parse_size
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.plan import Plan, mount_unit, ordered_after, plan
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.steps import DaemonReload, Grow, WriteFile
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.system import StorageError

UUID = "6f1c2a0e-6d3b-4a53-9c1e-6b3f0f6f9a55"
LINE = f"UUID={UUID} /mnt/data ext4 nofail,noatime 0 2\n"
GIB = 1024 * MIB
FILES = Files()
MOUNT = Mount("42", "/mnt/data", "8:16", "/", "/dev/sdb", "ext4", ("rw", "noatime"))


def declare(**keys: Any) -> Disk:
    (parsed,) = parse_disks([{"name": "data", "mount": "/mnt/data", **keys}], [])
    return parsed


def device(size: int = 50 * GIB, filesystem: int | None = 50 * GIB) -> Device:
    made = Filesystem("ext4", UUID, "data", filesystem)
    return Device("/dev/sdb", "sdb", "8:16", "data", size, size, filesystem=made, contents=("ext4",), mounts=(MOUNT,))


def converged(**directories: Directory) -> Current:
    state = DiskState(device(), Place("directory", MOUNT), directories)
    order = ordered_after("", LINE, [declare()])
    return Current({"data": state}, LINE, order=order)


def planned(current: Current, disk: Disk, files: Files = FILES) -> Plan:
    return plan(current, [disk], {"data": "new"}, files)


def steps(current: Current, disk: Disk, files: Files = FILES) -> list[str]:
    return [str(step) for step in planned(current, disk, files).steps]


def test_a_converged_disk_needs_nothing() -> None:
    assert steps(converged(), declare()) == []


def test_kubelet_is_ordered_after_the_mount_but_does_not_need_it() -> None:
    current = replace(converged(), order="")
    writing, reload = planned(current, declare()).steps
    assert isinstance(writing, WriteFile)
    assert writing.path == "/etc/systemd/system/kubelet.service.d/10-data-platform-mounts.conf"
    assert writing.after.splitlines()[1:] == ["[Unit]", "After=mnt-data.mount"]
    assert isinstance(reload, DaemonReload)


def test_a_mount_that_fstab_still_has_stays_ordered() -> None:
    fstab = LINE + "UUID=1 /mnt/old ext4 nofail 0 2\n"
    before = "[Unit]\nAfter=mnt-old.mount\nAfter=mnt-gone.mount\n"
    after = ordered_after(before, fstab, [declare()])
    assert [line for line in after.splitlines() if line.startswith("After")] == ["After=mnt-data.mount", "After=mnt-old.mount"]


@pytest.mark.parametrize("changes", [{"systemd": False}, {}])
def test_no_drop_in_without_systemd_or_unit(changes: dict[str, Any]) -> None:
    current = replace(converged(), order="", **changes)
    assert steps(current, declare(), FILES if changes else Files(kubelet_unit="")) == []


def test_a_reload_that_a_killed_run_owes_is_made_up_for() -> None:
    assert steps(replace(converged(), reload_due=True), declare()) == ["systemctl daemon-reload"]
    assert steps(replace(converged(), reload_due=True, systemd=False), declare()) == []


@pytest.mark.parametrize(
    ("place", "unit"),
    [  # as systemd-escape --path --suffix=mount prints them
        ("/mnt/airflow-data", "mnt-airflow\\x2ddata.mount"),
        ("/srv/a b", "srv-a\\x20b.mount"),
        ("/.hidden/.x", "\\x2ehidden-.x.mount"),
        ("/mnt/é", "mnt-\\xc3\\xa9.mount"),
        ("/mnt/a_b:c.d", "mnt-a_b:c.d.mount"),
    ],
)
def test_unit_names(place: str, unit: str) -> None:
    assert mount_unit(place) == unit


@pytest.mark.parametrize(("missing", "grows"), [(0, False), (GROW_FROM - 1, False), (GROW_FROM, True), (10 * GIB, True)])
def test_growth(missing: int, grows: bool) -> None:
    state = replace(converged().disks["data"], device=device(50 * GIB, 50 * GIB - missing))
    found = planned(replace(converged(), disks={"data": state}), declare()).steps
    assert [isinstance(step, Grow) for step in found] == ([True] if grows else [])
    assert steps(replace(converged(), disks={"data": state}), declare(grow=False)) == []


def test_a_filesystem_whose_size_is_unknown_does_not_grow() -> None:
    state = replace(converged().disks["data"], device=device(50 * GIB, None))
    assert steps(replace(converged(), disks={"data": state}), declare()) == []


OWNED = {"name": "pg", "owner": "999", "group": "999", "mode": "0700"}


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (Directory(999, 999, 0o700, True), []),
        (Directory(999, 1001, 0o2770, True), []),  # fsGroup
        (Directory(999, 1001, 0o2770, False), []),
        (Directory(999, 0, 0o755, False), []),  # an application's own doing
        (Directory(999, 0, 0o700, True), ["set /mnt/data/pg to 999:999, mode 0700"]),
        (Directory(0, 0, 0o755, True), ["set /mnt/data/pg to 999:999, mode 0700"]),
    ],
)
def test_directories(found: Directory, wanted: list[str]) -> None:
    assert steps(converged(pg=found), declare(volumes=[OWNED])) == wanted


def test_an_owner_that_is_not_written_down_is_not_compared() -> None:
    assert steps(converged(pg=Directory(70, 70, 0o700, False)), declare(volumes=[{"name": "pg"}])) == []


@pytest.mark.parametrize(("grow", "room"), [(True, 50), (False, 40)])
def test_volumes_have_to_fit_into_the_filesystem(grow: bool, room: int) -> None:
    state = replace(converged().disks["data"], device=device(50 * GIB, 40 * GIB))
    current = replace(converged(), disks={"data": state})
    assert planned(current, declare(grow=grow, volumes=[{"name": "a", "size": "1Gi"}, {"name": "b", "size": f"{room - 1}Gi"}]))
    with pytest.raises(StorageError, match=f"want {room + 1} GiB together, the filesystem on /dev/sdb holds {room} GiB"):
        planned(current, declare(grow=grow, volumes=[{"name": "a", "size": "1Gi"}, {"name": "b", "size": f"{room}Gi"}]))


def test_a_detached_disk_is_expected_back_with_its_filesystem() -> None:
    """In check mode: the layer below attaches it, and fstab says that it has a filesystem."""
    current = Current({"data": DiskState(None, Place("directory", None, (), True))}, LINE, order=converged().order)
    assert steps(current, declare(volumes=[OWNED])) == ["mount /mnt/data"]


def test_an_immutable_flag_that_nobody_knows_is_a_note() -> None:
    state = DiskState(None, Place("absent", immutable=None))
    found = planned(Current({"data": state}), declare())
    assert not any("immutable" in str(step) for step in found.steps)
    assert "does not know the immutable flag" in found.notes[0]


def test_all_files_are_written_and_systemd_told_before_anything_is_mounted() -> None:
    assert [type(step).__name__ for step in planned(Current({"data": DiskState()}), declare(volumes=[OWNED])).steps] == [
        "Format",
        "MakeMountPoint",
        "MakeImmutable",
        "WriteFile",
        "WriteFile",
        "DaemonReload",
        "MountDisk",
        "MakeDirectory",
    ]


# --- what is declared ---------------------------------------------------------------------------------------------------


def test_the_defaults_are_for_disks_that_we_make() -> None:
    ours, theirs = declare(), declare(uuid=UUID)
    assert (ours.fstype, ours.options, ours.label, ours.immutable, ours.grow) == ("ext4", ("nofail", "noatime"), "data", True, True)
    assert (theirs.fstype, theirs.options, theirs.label, theirs.immutable, theirs.grow) == (None, None, None, False, False)


def test_labels_are_cut_to_what_the_filesystem_takes() -> None:
    name = "a-name-of-20-letters"
    assert declare(name=name).label == "a-name-of-20-let"
    assert declare(name=name, fstype="xfs").label == "a-name-of-20"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"mount": "mnt/data"}, "wanted an absolute path"),
        ({"mount": "/"}, "wanted an absolute path"),
        ({"mount": "/mnt/../etc"}, "wanted an absolute path"),
        ({"label": "far-too-long-a-label"}, "ext4 takes at most 16"),
        ({"size": "much"}, "wanted a number with K, M, G or T"),
        ({"volumes": [{"name": "."}]}, "for adopted disks"),
        ({"volumes": [{"name": "/etc"}]}, "wanted a sub-directory"),
        ({"volumes": [{"name": "a/../../b"}]}, "wanted a sub-directory"),
        ({"volumes": [{"name": "a"}, {"name": "b", "path": "a"}]}, "two volumes have the path 'a'"),
        ({"volumes": [{"name": "a", "owner": "nobody-of-that-name"}]}, "does not exist on this host"),
        ({"volumes": [{"name": "a", "mode": "0888"}]}, "wanted an octal number in quotes"),
    ],
)
def test_what_cannot_be_meant_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(StorageError, match=message):
        declare(**keys)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"name": "data", "mount": "/b"}, "two disks have the name data"),
        ({"name": "b", "mount": "/mnt/data/"}, "neither be the same nor lie inside"),
        ({"name": "b", "mount": "/mnt/data/b"}, "neither be the same nor lie inside"),
        ({"name": "b", "mount": "/b", "uuid": UUID.upper()}, "have the same uuid"),
    ],
)
def test_disks_that_clash_are_refused(second: dict[str, Any], message: str) -> None:
    with pytest.raises(StorageError, match=message):
        parse_disks([{"name": "data", "mount": "/mnt/data", "uuid": UUID}, second], [])


def test_similar_mount_points_do_not_clash() -> None:
    assert len(parse_disks([{"name": "a", "mount": "/mnt/data"}, {"name": "b", "mount": "/mnt/data2"}], [])) == 2


def test_an_adopted_disk_cannot_be_wiped() -> None:
    with pytest.raises(StorageError, match="an adopted disk is never formatted"):
        parse_disks([{"name": "data", "mount": "/mnt/data", "uuid": UUID}], ["data"])


def test_sizes_and_modes() -> None:
    assert parse_size("50G") == parse_size("51200M") == parse_size("50GiB") == 50 * GIB
    assert parse_mode("0750") == parse_mode("750") == parse_mode(0o750) == 0o750
    assert parse_mode(None) is None
