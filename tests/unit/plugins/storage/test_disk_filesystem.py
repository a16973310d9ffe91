# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""disk_filesystem on real block devices: what it makes, what it refuses, what it leaves alone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.unit.plugins.storage.conftest import FSTAB, MIB, SIGNATURES, XFS_SIZE, Host, LoopDisk, ModuleFailedError, disk

POSTGRESQL = {"name": "postgresql", "owner": "999", "group": "998", "mode": "0700"}
PLACE = "/mnt/airflow-data"
CAP_SYS_RESOURCE = 1 << 24
needs_xfs = pytest.mark.skipif(shutil.which("mkfs.xfs") is None, reason="xfsprogs is not installed")


def refused(host: Host, *disks: dict[str, Any], **options: Any) -> str:
    """The message of a run that must fail, in check mode and for real, having changed nothing."""
    before = host.fstab, host.sh("find /mnt | sort")
    with pytest.raises(ModuleFailedError) as predicted:
        host.run(*disks, check=True, **options)
    with pytest.raises(ModuleFailedError) as failed:
        host.run(*disks, **options)
    assert str(predicted.value) == str(failed.value)
    assert failed.value.result["changed"] is False
    assert failed.value.result["actions"] == []
    assert (host.fstab, host.sh("find /mnt | sort")) == before
    return str(failed.value)


def unmounted(host: Host, place: str = PLACE) -> None:
    host.sh(f"umount {place}")


def test_a_blank_disk_becomes_a_mounted_filesystem_with_directories(host: Host) -> None:
    device = host.attach("airflow-data")
    result = host.run(disk(volumes=[POSTGRESQL, {"name": "logs/archive"}]))

    found = host.blkid(device)
    assert (found["TYPE"], found["LABEL"]) == ("ext4", "airflow-data")
    mounted = host.mounted(PLACE)
    assert (mounted["source"], mounted["fstype"], mounted["uuid"]) == (device.path, "ext4", found["UUID"])
    assert "noatime" in mounted["options"].split(",")
    assert host.fstab == f"UUID={found['UUID']} {PLACE} ext4 nofail,noatime 0 2"
    assert host.sh(f"stat -c '%u:%g %a' {PLACE}/postgresql {PLACE}/logs/archive") == "999:998 700\n0:0 750"

    (described,) = result["disks"]
    assert result["changed"] is True
    assert described["device"] == device.path
    assert (described["uuid"], described["fstype"], described["mounted"]) == (found["UUID"], "ext4", True)
    assert described["size"] == described["device_size"] == 64 * MIB

    unmounted(host)
    assert host.sh(f"stat -c '%a' {PLACE}") == "0"
    assert "i" in host.sh(f"lsattr -d {PLACE}").split()[0]


def test_a_second_run_changes_nothing(host: Host) -> None:
    host.attach("airflow-data")
    declared = disk(volumes=[POSTGRESQL])
    host.run(declared)
    before = host.fstab
    for check in (True, False):
        again = host.run(declared, check=check)
        assert (again["changed"], again["actions"], again["diff"]) == (False, [], [])
    assert host.fstab == before


@needs_xfs
def test_xfs(host: Host) -> None:
    device = host.attach("airflow-data-on-xfs", XFS_SIZE)
    declared = disk("airflow-data-on-xfs", fstype="xfs", volumes=[POSTGRESQL])
    host.run(declared)
    found = host.blkid(device)
    assert (found["TYPE"], found["LABEL"]) == ("xfs", "airflow-data")
    assert host.fstab.endswith(" xfs nofail,noatime 0 0")
    assert host.mounted("/mnt/airflow-data-on-xfs")["fstype"] == "xfs"
    assert host.run(declared)["changed"] is False

    device.grow(2 * XFS_SIZE)
    result = host.run(declared)
    assert result["actions"] == [f"grow xfs on {device.path} from 320 MiB to 640 MiB"]
    assert result["disks"][0]["size"] == 2 * XFS_SIZE
    assert int(host.sh("stat -f -c '%S * %b' /mnt/airflow-data-on-xfs | xargs expr")) > XFS_SIZE
    assert host.run(declared)["changed"] is False


def test_the_prediction_is_what_the_run_does(host: Host) -> None:
    host.attach("airflow-data")
    declared = disk(volumes=[POSTGRESQL])
    predicted = host.run(declared, check=True)
    assert host.fstab == ""
    assert host.sh("ls /mnt") == "lost+found"
    result = host.run(declared)
    uuid = result["disks"][0]["uuid"]
    assert predicted["actions"] == result["actions"]
    assert str(predicted["diff"]).replace("(made-by-mkfs)", uuid) == str(result["diff"])


def test_a_disk_that_is_only_planned_is_predicted(host: Host) -> None:
    declared = disk(volumes=[POSTGRESQL])
    predicted = host.run(declared, check=True)
    assert predicted["changed"] is True
    host.attach("airflow-data")
    result = host.run(declared)
    device = result["disks"][0]["device"]
    assert [action.replace("the disk with the serial airflow-data", device) for action in predicted["actions"]] == result["actions"]


@needs_xfs
def test_growth_that_is_only_planned_is_predicted(host: Host) -> None:
    device = host.attach("airflow-data", XFS_SIZE)
    host.run(disk(fstype="xfs", size="320M"))
    predicted = host.run(disk(fstype="xfs", size="640M"), check=True)
    assert predicted["actions"] == [f"grow xfs on {device.path} from 320 MiB to 640 MiB"]
    device.grow(2 * XFS_SIZE)
    assert host.run(disk(fstype="xfs", size="640M"))["actions"] == predicted["actions"]


def test_an_absent_disk_says_which_are_there(host: Host) -> None:
    other = host.attach("spark-data")
    with pytest.raises(ModuleFailedError) as failed:
        host.run(disk())
    message = str(failed.value)
    assert "no block device has the serial airflow-data" in message
    assert f"spark-data ({other.path})" in message
    assert "virtual_disk" in message
    assert failed.value.result["changed"] is False


def test_a_disk_is_waited_for(host: Host) -> None:
    device = host.attach("something-else")
    host.sh(f"(sleep 1; echo 'E:ID_SCSI_SERIAL=airflow-data' > /run/udev/data/b{device.number}) >/dev/null 2>&1 &")
    assert host.run(disk(), device_timeout=30)["disks"][0]["device"] == device.path


def test_a_disk_smaller_than_declared_is_a_warning(host: Host) -> None:
    device = host.attach("airflow-data")
    result = host.run(disk(size="1G"))
    assert result["disks"][0]["mounted"] is True
    assert f"{device.path} has 64 MiB, declared are 1 GiB" in result["warnings"]


def test_two_disks_with_one_serial(host: Host) -> None:
    first, second = host.attach("airflow-data"), host.attach("airflow-data")
    message = refused(host, disk())
    assert first.path in message
    assert second.path in message
    assert "both carry the serial airflow-data" in message


# --- what is not blank --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(SIGNATURES))
def test_a_signature_is_refused(host: Host, kind: str) -> None:
    device = host.attach("airflow-data")
    device.write(SIGNATURES[kind]())
    content = device.image.read_bytes()
    (probed,) = host.probe(serials=["airflow-data"])["devices"]
    assert [signature["kind"] for signature in probed["signatures"]][:1] == [kind]
    message = refused(host, disk())
    assert f"{device.path} is not blank" in message
    assert probed["signatures"][0]["type"] in message
    assert "filesystem_wipe: [airflow-data]" in message
    assert device.image.read_bytes() == content


@pytest.mark.parametrize(
    ("make", "found"),
    [
        ("mkswap {0}", "swap (swap"),
        pytest.param("mkfs.xfs -q {0}", "xfs (filesystem", marks=needs_xfs),
        ("mkfs.ext2 -q {0}", "ext2 (filesystem"),
        ("printf x | dd of={0} bs=1 seek=1000000 conv=notrunc status=none", "not zero in the first MiB (from byte 1000000)"),
        ("printf x | dd of={0} bs=1 seek=335544319 conv=notrunc status=none", "not zero in the last MiB (from byte 335544319)"),
    ],
)
def test_other_contents_are_refused(host: Host, make: str, found: str) -> None:
    device = host.attach("airflow-data", XFS_SIZE)
    host.sh(make.format(device.path))
    message = refused(host, disk())
    assert found in message
    assert "filesystem_wipe: [airflow-data]" in message


def test_bytes_in_the_middle_are_not_looked_at(host: Host) -> None:
    device = host.attach("airflow-data")
    device.write(b"x", 30 * MIB)
    assert host.run(disk())["changed"] is True


@pytest.mark.parametrize("kind", sorted(SIGNATURES))
def test_a_disk_that_is_named_for_it_is_wiped(host: Host, kind: str) -> None:
    device = host.attach("airflow-data")
    device.write(SIGNATURES[kind]())
    predicted = host.run(disk(), check=True, wipe=["airflow-data"])
    result = host.run(disk(), wipe=["airflow-data"])
    assert predicted["actions"] == result["actions"]
    assert result["actions"][0].startswith(f"wipe {device.path}: ")
    assert host.blkid(device)["TYPE"] == "ext4"
    # The word may stay in the inventory: it allows, and never destroys what has been made.
    host.sh(f"touch {PLACE}/kept")
    assert host.run(disk(), wipe=["airflow-data"])["changed"] is False
    assert host.sh(f"ls {PLACE}/kept")


def partition(host: Host, device: LoopDisk) -> str:
    """One partition, added by ioctl, for which the kernel needs to know no partition table."""
    device.write(SIGNATURES["partition_table"]())
    host.sh(f"partx --add {device.path}")
    return f"{device.path}p1"


def test_a_disk_in_use_is_not_wiped(host: Host) -> None:
    device = host.attach("airflow-data")
    partition(host, device)
    host.sh(f"mkfs.ext4 -q {device.path}p1; mkdir /mnt/p; mount {device.path}p1 /mnt/p")
    message = refused(host, disk(), wipe=["airflow-data"])
    assert "p1 is mounted at /mnt/p" in message
    assert "not even with filesystem_wipe" in message
    host.sh("umount /mnt/p")
    assert host.run(disk(), wipe=["airflow-data"])["changed"] is True
    assert host.probe(paths=[device.path])["devices"][0]["partitions"] == []


def test_swap_in_use_is_not_wiped(host: Host) -> None:
    device = host.attach("airflow-data")
    host.sh(f"mkswap -q {device.path} && swapon {device.path}")
    try:
        assert "is in use as swap" in refused(host, disk(), wipe=["airflow-data"])
        assert host.probe(serials=["airflow-data"])["devices"][0]["swap"] is True
    finally:
        host.sh(f"swapoff {device.path}")


def test_one_disk_that_is_refused_stops_all_of_them(host: Host) -> None:
    good, bad = host.attach("airflow-data"), host.attach("spark-data")
    bad.write(SIGNATURES["luks"]())
    message = refused(host, disk(), disk("spark-data"))
    assert message.startswith("Disk spark-data: ")
    assert host.blkid(good) == {}


# --- what hides data ----------------------------------------------------------------------------------------------------


def test_files_below_a_missing_disk(host: Host) -> None:
    host.attach("airflow-data")
    host.sh(f"mkdir {PLACE}; touch {PLACE}/PG_VERSION")
    message = refused(host, disk())
    assert "nothing is mounted at /mnt/airflow-data, but there are files in the bare directory: PG_VERSION" in message


def test_nothing_can_be_written_below_a_missing_disk(host: Host) -> None:
    host.attach("airflow-data")
    host.run(disk())
    unmounted(host)
    assert "Operation not permitted" in host.sh(f"touch {PLACE}/x 2>&1 || true")


@pytest.mark.parametrize(
    ("prepare", "found"),
    [
        (f"mkdir /mnt/real; ln -s real {PLACE}", "is a symbolic link"),
        (f"touch {PLACE}", "is not a directory"),
        (f"mkdir {PLACE}; mount -t tmpfs scratch {PLACE}", "scratch (tmpfs) is mounted at /mnt/airflow-data"),
        (f"for i in 1 2; do echo UUID=0-{{0}} {PLACE} ext4 defaults 0 0 >> {FSTAB}; done", "more than one line for"),
    ],
)
def test_a_place_that_is_taken(host: Host, prepare: str, found: str) -> None:
    host.attach("airflow-data")
    host.sh(prepare)
    assert found in refused(host, disk())


def test_the_disk_is_mounted_elsewhere(host: Host) -> None:
    device = host.attach("airflow-data")
    host.sh(f"mkfs.ext4 -q {device.path}; mkdir /mnt/old; mount {device.path} /mnt/old")
    assert "is mounted at /mnt/old, declared is /mnt/airflow-data" in refused(host, disk())


def test_pods_see_the_disk_elsewhere(host: Host) -> None:
    """A bind mount of kubelet does not count, also when the disk itself has been unmounted under it."""
    device = host.attach("airflow-data")
    host.run(disk(volumes=[POSTGRESQL]))
    pod = "/run/kubelet/pods/0c3f/volumes/kubernetes.io~local-volume/postgresql"
    host.sh(f"mkdir -p {pod}; mount --bind {PLACE}/postgresql {pod}")
    assert host.run(disk(volumes=[POSTGRESQL]))["changed"] is False
    unmounted(host)
    assert host.run(disk(volumes=[POSTGRESQL]))["actions"] == [f"mount {PLACE}"]
    assert host.mounted(PLACE)["source"] == device.path


def test_a_blank_disk_in_the_place_of_another(host: Host) -> None:
    first = host.attach("airflow-data")
    old = host.run(disk())["disks"][0]["uuid"]
    unmounted(host)
    host.unplug(first)
    second = host.attach("airflow-data")
    message = refused(host, disk())
    assert f"fstab mounts UUID={old} at {PLACE}, but {second.path} is blank: it is another disk than before" in message
    new = host.run(disk(), wipe=["airflow-data"])["disks"][0]["uuid"]
    assert host.fstab == f"UUID={new} {PLACE} ext4 nofail,noatime 0 2"
    assert host.mounted(PLACE)["source"] == second.path
    assert host.blkid(first)["UUID"] == old


def test_a_disk_with_another_filesystem_in_the_place_of_another(host: Host) -> None:
    first = host.attach("airflow-data")
    host.run(disk())
    unmounted(host)
    host.unplug(first)
    second = host.attach("airflow-data")
    host.sh(f"mkfs.ext4 -q {second.path}")
    message = refused(host, disk())
    assert f"has the UUID {host.blkid(second)['UUID']}: it is another disk than before" in message
    assert "remove that line from fstab" in message


def test_a_filesystem_that_became_read_only(host: Host) -> None:
    host.attach("airflow-data")
    host.run(disk())
    host.sh(f"mount -o remount,ro {PLACE}")
    assert f"is mounted read-only at {PLACE}" in refused(host, disk())
    assert host.sh(f"mount -o remount,rw {PLACE}") == ""
    assert host.run(disk())["changed"] is False


def test_a_full_filesystem(host: Host) -> None:
    host.attach("airflow-data")
    host.run(disk())
    host.sh(f"head -c 100M /dev/zero > {PLACE}/big || true")
    assert f"the filesystem at {PLACE} is full" in refused(host, disk(volumes=[POSTGRESQL]))
    host.sh(f"rm {PLACE}/big")
    assert host.run(disk(volumes=[POSTGRESQL]))["changed"] is True


# --- fstab --------------------------------------------------------------------------------------------------------------


def test_other_lines_of_fstab_stay_as_they_are(host: Host) -> None:
    host.attach("airflow-data")
    lines = "# made by the installer\nUUID=aaaa   /   ext4\terrors=remount-ro 0       1\n\n/dev/sr0 /media/cd\\0401 udf,iso9660 noauto"
    host.sh(f"printf '%s' '{lines}' > {FSTAB}; chmod 640 {FSTAB}; chown 0:42 {FSTAB}")
    host.run(disk())
    assert host.fstab.startswith(f"{lines}\nUUID=")
    assert host.sh(f"stat -c '%a %g' {FSTAB}") == "640 42"


def test_a_line_for_the_place_is_adopted_not_doubled(host: Host) -> None:
    device = host.attach("airflow-data")
    host.sh(f"mkfs.ext4 -q {device.path}; echo '{device.path} {PLACE}/ ext4 defaults 0 1' > {FSTAB}")
    host.run(disk())
    assert host.fstab == f"UUID={host.blkid(device)['UUID']} {PLACE} ext4 nofail,noatime 0 1"


def test_a_line_for_the_uuid_is_adopted_not_doubled(host: Host) -> None:
    device = host.attach("airflow-data")
    uuid = host.sh(f"mkfs.ext4 -q {device.path}; blkid -p -s UUID -o value {device.path}")
    host.sh(f"echo 'UUID={uuid} /mnt/old ext4 defaults 0 0' > {FSTAB}")
    host.run(disk())
    assert host.fstab == f"UUID={uuid} {PLACE} ext4 nofail,noatime 0 0"


def test_options_that_were_added_take_effect_at_once(host: Host) -> None:
    host.attach("airflow-data")
    host.run(disk())
    declared = disk(options=["nofail", "noatime", "nosuid"])
    assert host.run(declared)["actions"] == [f"write {FSTAB}", f"remount {PLACE} with nofail,noatime,nosuid"]
    assert "nosuid" in host.mounted(PLACE)["options"].split(",")
    assert host.run(declared)["changed"] is False


# --- growth -------------------------------------------------------------------------------------------------------------


def may_resize_ext4() -> bool:
    """Growing a mounted ext4 takes a capability that root in a container may lack."""
    status = Path("/proc/self/status").read_text()
    return bool(int(status.split("CapEff:")[1].split()[0], 16) & CAP_SYS_RESOURCE)


def test_ext4_grows_while_it_is_mounted(host: Host) -> None:
    device = host.attach("airflow-data")
    host.run(disk())
    host.sh(f"echo sentinel > {PLACE}/sentinel")
    device.grow(256 * MIB)
    predicted = host.run(disk(), check=True)
    assert predicted["actions"] == [f"grow ext4 on {device.path} from 64 MiB to 256 MiB"]
    if may_resize_ext4():
        result = host.run(disk())
        assert predicted["actions"] == result["actions"]
        assert result["disks"][0]["size"] == 256 * MIB
        assert int(host.sh(f"df --output=size -B1M {PLACE} | tail -1")) > 200
    else:
        with pytest.raises(ModuleFailedError, match="CAP_SYS_RESOURCE"):
            host.run(disk())
        # The way out that the message names.
        host.sh(f"umount {PLACE}; e2fsck -fp {device.path}; resize2fs {device.path}")
        assert host.run(disk())["disks"][0]["size"] == 256 * MIB
    assert host.sh(f"cat {PLACE}/sentinel") == "sentinel"
    assert host.run(disk())["changed"] is False


@pytest.mark.parametrize("fstype", ["ext4", pytest.param("xfs", marks=needs_xfs)])
def test_a_remainder_that_mkfs_leaves_unused_is_quiet(host: Host, fstype: str) -> None:
    host.attach("airflow-data", 16 * XFS_SIZE + 6 * MIB + 512)
    host.run(disk(fstype=fstype))
    assert host.run(disk(fstype=fstype))["changed"] is False


# --- directories --------------------------------------------------------------------------------------------------------


def test_what_fs_group_makes_of_a_directory_is_left_alone(host: Host) -> None:
    host.attach("airflow-data")
    declared = disk(volumes=[POSTGRESQL])
    host.run(declared)
    host.sh(f"chgrp 50000 {PLACE}/postgresql; chmod 2770 {PLACE}/postgresql")
    assert host.run(declared)["changed"] is False
    host.sh(f"touch {PLACE}/postgresql/x; chmod 2775 {PLACE}/postgresql")
    assert host.run(declared)["changed"] is False


def test_an_empty_directory_is_corrected(host: Host) -> None:
    host.attach("airflow-data")
    host.run(disk(volumes=[POSTGRESQL]))
    declared = disk(volumes=[{**POSTGRESQL, "owner": "70", "mode": "0750"}])
    assert host.run(declared)["actions"] == [f"set {PLACE}/postgresql to 70:998, mode 0750"]
    assert host.sh(f"stat -c '%u:%g %a' {PLACE}/postgresql") == "70:998 750"
    assert host.run(declared)["changed"] is False


def test_the_owner_of_files_is_not_ours_to_change(host: Host) -> None:
    host.attach("airflow-data")
    host.run(disk(volumes=[POSTGRESQL]))
    host.sh(f"touch {PLACE}/postgresql/PG_VERSION")
    message = refused(host, disk(volumes=[{**POSTGRESQL, "owner": "70"}]))
    assert f"{PLACE}/postgresql belongs to uid 999, declared is 70, and it holds files" in message


def test_a_link_on_the_disk_is_not_followed(host: Host) -> None:
    host.attach("airflow-data")
    host.run(disk())
    host.sh(f"mkdir /mnt/outside; ln -s /mnt/outside {PLACE}/postgresql")
    assert f"{PLACE}/postgresql is a symbolic link" in refused(host, disk(volumes=[POSTGRESQL]))
    assert f"{PLACE}/postgresql/data is a symbolic link" in refused(host, disk(volumes=[{"name": "postgresql/data"}]))
    assert host.sh("ls /mnt/outside") == ""


# --- adoption -----------------------------------------------------------------------------------------------------------


def by_hand(host: Host, device: str, fstype: str = "ext4") -> str:
    """A disk as people set it up: formatted, mounted with defaults, open to everybody, in use."""
    host.sh(
        f"mkfs.{fstype} -q {device}; mkdir {PLACE}; uuid=$(blkid -p -s UUID -o value {device});"
        f'echo "UUID=$uuid  {PLACE}  {fstype}  defaults  0  0" > {FSTAB}; mount -T {FSTAB} {PLACE};'
        f"chmod 777 {PLACE}; mkdir {PLACE}/pg; chown 999 {PLACE}/pg; head -c 3000000 /dev/urandom > {PLACE}/pg/PG_VERSION"
    )
    return host.sh(f"blkid -p -s UUID -o value {device}")


def everything(host: Host, device: str) -> list[str]:
    """Every file with its content and attributes, the identity of the filesystem, its mount, and fstab."""
    return [
        host.sh(f"cd {PLACE}; find . -exec stat -c '%n %a %u:%g %s %Y %Z' {{}} + ; find . -type f -exec sha256sum {{}} +"),
        host.sh(f"dumpe2fs -h {device} 2>/dev/null | grep -E 'UUID|created|Mount count|Block count|volume name'"),
        host.sh("cat /proc/self/mountinfo"),
        host.sh(f"cat {FSTAB}; stat -c '%i %Y' {FSTAB}"),
    ]


def test_an_adopted_disk_stays_untouched(host: Host) -> None:
    device = host.attach("")
    uuid = by_hand(host, device.path)
    before = everything(host, device.path)
    declared = disk(uuid=uuid.upper(), volumes=[{"name": "everything", "path": "."}, {"name": "pg", "owner": "999"}])
    for check in (True, False):
        result = host.run(declared, check=check)
        assert (result["changed"], result["actions"]) == (False, [])
    assert everything(host, device.path) == before
    (described,) = result["disks"]
    assert (described["device"], described["fstype"], described["mounted"]) == (device.path, "ext4", True)
    unmounted(host)
    assert "i" not in host.sh(f"lsattr -d {PLACE}").split()[0]
    assert host.run(declared)["actions"] == [f"mount {PLACE}"]


def test_an_adopted_disk_takes_what_is_written_down(host: Host) -> None:
    device = host.attach("")
    uuid = by_hand(host, device.path)
    declared = disk(uuid=uuid, options=["defaults", "nofail", "noatime"], volumes=[{"name": "new", "owner": "1000"}])
    host.run(declared)
    assert host.fstab == f"UUID={uuid} {PLACE} ext4 defaults,nofail,noatime 0 0"
    assert "noatime" in host.mounted(PLACE)["options"]
    assert host.sh(f"stat -c %u {PLACE}/new") == "1000"
    assert host.run(declared)["changed"] is False


@needs_xfs
def test_an_adopted_disk_grows_only_when_told(host: Host) -> None:
    device = host.attach("", XFS_SIZE)
    uuid = by_hand(host, device.path, "xfs")
    device.grow(2 * XFS_SIZE)
    assert host.run(disk(uuid=uuid))["changed"] is False
    assert host.run(disk(uuid=uuid, grow=True))["disks"][0]["size"] == 2 * XFS_SIZE


def test_adoption_of_a_partition_named_by_its_path(host: Host) -> None:
    device = host.attach("")
    part = partition(host, device)
    uuid = by_hand(host, part)
    host.sh(f"echo '{part} {PLACE} ext4 defaults 0 0' > {FSTAB}")
    result = host.run(disk(uuid=uuid))
    assert result["changed"] is False
    assert result["disks"][0]["device"] == part


def test_adoption_with_the_wrong_type(host: Host) -> None:
    uuid = by_hand(host, host.attach("").path)
    assert "An adopted disk is never formatted: declare fstype: ext4" in refused(host, disk(uuid=uuid, fstype="xfs"))


def test_adoption_of_what_is_not_there(host: Host) -> None:
    uuid = str(uuid4())
    predicted = host.run(disk(uuid=uuid), check=True)
    assert "no filesystem with the UUID" in predicted["warnings"]
    assert not any("make ext4" in action for action in predicted["actions"])
    with pytest.raises(ModuleFailedError, match=f"no filesystem has the UUID {uuid}"):
        host.run(disk(uuid=uuid))


# --- disks that are to be absent ------------------------------------------------------------------------------------------


def gone(name: str = "airflow-data", **keys: Any) -> dict[str, Any]:
    return disk(name, state="absent", **keys)


def test_a_disk_is_let_go_of_with_all_that_is_on_it(host: Host) -> None:
    device = host.attach("airflow-data")
    host.attach("spark-data")
    host.run(disk(), disk("spark-data"))
    kept = host.fstab.splitlines()[1]
    before = host.blkid(device)
    predicted = host.run(gone(), disk("spark-data"), check=True)
    assert host.mounted(PLACE)["source"] == device.path
    result = host.run(gone(), disk("spark-data"))
    assert result["actions"] == predicted["actions"] == [f"unmount {PLACE}", f"write {FSTAB}"]
    assert host.sh(f"findmnt {PLACE} || echo none") == "none"
    assert (host.fstab, host.blkid(device)) == (kept, before)
    assert "i" in host.sh(f"lsattr -d {PLACE}").split()[0]
    assert host.run(gone(), disk("spark-data"))["changed"] is False
    host.unplug(device)
    assert host.run(gone(), disk("spark-data"))["changed"] is False


def test_a_disk_that_pods_use_is_not_let_go_of(host: Host) -> None:
    host.attach("airflow-data")
    host.run(disk(volumes=[POSTGRESQL]))
    pod = "/run/kubelet/pods/0c3f/volumes/kubernetes.io~local-volume/postgresql"
    host.sh(f"mkdir -p {pod}; mount --bind {PLACE}/postgresql {pod}")
    message = refused(host, gone())
    assert "but pods use" in message
    assert pod in message


def test_a_disk_that_is_mounted_elsewhere_is_not_let_go_of(host: Host) -> None:
    device = host.attach("airflow-data")
    host.sh(f"mkfs.ext4 -q {device.path}; mkdir /mnt/old; mount {device.path} /mnt/old")
    message = refused(host, gone())
    assert "is mounted at /mnt/old. Declare the mount that is to be given up" in message
    assert host.run(gone(mount="/mnt/old"))["actions"] == ["unmount /mnt/old"]


def test_a_disk_without_a_serial_that_is_mounted_does_not_pass_for_gone(host: Host) -> None:
    device = host.attach("")
    host.sh(f"mkfs.ext4 -q {device.path}; mkdir {PLACE}; mount {device.path} {PLACE}")
    message = refused(host, gone())
    assert f"{device.path} is mounted at {PLACE}, but does not have the serial airflow-data" in message
    uuid = host.blkid(device)["UUID"]
    assert host.run(gone(uuid=uuid))["actions"] == [f"unmount {PLACE}"]


def test_what_keeps_a_disk_busy_is_named(host: Host) -> None:
    host.attach("airflow-data")
    host.run(disk())
    with host.working_in(PLACE) as process, pytest.raises(ModuleFailedError, match=rf"it is used by cat \({process}\). Stop that"):
        host.run(gone())
    assert PLACE in host.fstab
    assert host.run(gone())["changed"] is True


def test_the_line_of_a_disk_that_is_gone_already_goes_too(host: Host) -> None:
    device = host.attach("airflow-data")
    host.run(disk())
    unmounted(host)
    host.unplug(device)
    assert host.run(gone())["actions"] == [f"write {FSTAB}"]
    assert host.fstab == ""


@pytest.mark.parametrize("check_first", [True, False])
def test_a_disk_takes_the_place_of_one_that_goes(host: Host, check_first: bool) -> None:
    old = host.attach("airflow-data")
    host.run(disk(volumes=[POSTGRESQL]))
    new = host.attach("airflow-data-2")
    declared = disk("airflow-data-2", mount=PLACE, volumes=[POSTGRESQL])
    predicted = host.run(gone(), declared, check=True)["actions"] if check_first else None
    result = host.run(gone(), declared)
    assert predicted in (None, result["actions"])
    assert host.mounted(PLACE)["source"] == new.path
    assert host.fstab.split() == [f"UUID={host.blkid(new)['UUID']}", PLACE, "ext4", "nofail,noatime", "0", "2"]
    assert host.run(gone(), declared)["changed"] is False
    host.unplug(old)
    assert host.run(gone(), declared)["changed"] is False


def test_files_under_the_mount_of_a_disk_that_goes_are_not_hidden_again(host: Host) -> None:
    host.attach("airflow-data")
    host.attach("airflow-data-2")
    host.sh(f"mkdir {PLACE}; touch {PLACE}/hidden; mkdir /mnt/aside")
    host.sh(f"mv {PLACE}/hidden /mnt/aside/")
    host.run(disk(immutable=False))
    host.sh(f"umount {PLACE}; mv /mnt/aside/hidden {PLACE}/; mount --fstab {FSTAB} {PLACE}")
    with pytest.raises(ModuleFailedError, match="there are files in the bare directory: hidden"):
        host.run(gone(), disk("airflow-data-2", mount=PLACE))
    assert host.sh(f"ls {PLACE}") == "hidden"


# --- killed runs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", range(8))
def test_a_killed_run_is_finished_by_the_next(host: Host, after: int) -> None:
    host.attach("airflow-data")
    host.attach("spark-data")
    declared = [disk(volumes=[POSTGRESQL]), disk("spark-data")]
    assert host.killed_run(after, *declared) is True
    assert host.run(*declared)["changed"] is True
    assert host.run(*declared)["changed"] is False
    for name in ("airflow-data", "spark-data"):
        assert host.mounted(f"/mnt/{name}")["fstype"] == "ext4"
        unmounted(host, f"/mnt/{name}")
        assert "i" in host.sh(f"lsattr -d /mnt/{name}").split()[0]
    assert len(host.fstab.splitlines()) == 2
    host.run(*declared)
    assert host.sh(f"stat -c '%u:%g %a' {PLACE}/postgresql") == "999:998 700"


def test_a_directory_that_a_killed_run_left_unfinished(host: Host) -> None:
    host.attach("airflow-data")
    host.run(disk())
    host.sh(f"mkdir {PLACE}/.postgresql.unfinished")
    host.run(disk(volumes=[POSTGRESQL]))
    assert host.sh(f"ls -A {PLACE}") == "lost+found\npostgresql"


def test_a_killed_mkfs_decides_by_what_is_found(host: Host) -> None:
    device = host.attach("airflow-data")
    host.sh(f"mkfs.ext4 -q {device.path}; dd if=/dev/zero of={device.path} bs=1024 seek=1 count=1 conv=notrunc status=none")
    message = refused(host, disk())
    assert "not zero in the first MiB" in message
    assert host.run(disk(), wipe=["airflow-data"])["disks"][0]["mounted"] is True


# --- parameters ---------------------------------------------------------------------------------------------------------


def test_no_systemd_no_drop_in(host: Host) -> None:
    host.attach("airflow-data")
    assert not any("systemctl" in action or "kubelet" in action for action in host.run(disk())["actions"])


def test_every_problem_is_said_at_once(host: Host) -> None:
    with pytest.raises(ModuleFailedError) as failed:
        host.run(disk(mount="relative"), disk("b", volumes=[{"name": ".."}]), disk("c", volumes=[{"name": "x", "mode": "rwx"}]))
    assert [line.split(":")[0] for line in str(failed.value).splitlines()] == ["disks[0] (airflow-data)", "disks[1] (b)", "disks[2] (c)"]
