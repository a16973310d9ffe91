# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding devices and telling what is on them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.devices import (
    GROW_FROM,
    Devices,
    mounts,
    superblock_size,
    vpd_serial,
)
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.system import Paths

from tests.unit.plugins.storage.conftest import MIB, SIGNATURES, Host, ModuleFailedError, disk

MOUNTINFO = """\
21 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro
40 21 8:16 / /mnt/with\\040space rw,noatime shared:7 master:2 - ext4 /dev/sdb rw
41 21 0:50 /@data /mnt/b rw - btrfs /dev/sdc rw,subvol=/@data
"""


class Sysfs:
    """A machine made of files, for what this machine has no hardware for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("sys/block", "sys/class/block", "udev", "proc/self", "dev"):
            (root / folder).mkdir(parents=True)
        self.write("proc/self/mountinfo", b"")

    def write(self, path: str, content: bytes) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(content)

    def disk(self, name: str, number: str, **attributes: bytes) -> None:
        (self.root / "sys/block" / name).mkdir()
        (self.root / "sys/class/block" / name).symlink_to(self.root / "sys/block" / name)
        for path, content in {"dev": number.encode() + b"\n", "size": b"2048\n", **attributes}.items():
            self.write(f"sys/block/{name}/{path.replace('__', '/')}", content)

    @property
    def devices(self) -> Devices:
        root = str(self.root)
        return Devices(Paths(sys=f"{root}/sys", udev=f"{root}/udev", proc=f"{root}/proc", dev=f"{root}/dev"))


@pytest.fixture
def sysfs(tmp_path: Path) -> Sysfs:
    return Sysfs(tmp_path)


def test_the_serial_is_read_by_its_value(sysfs: Sysfs) -> None:
    page = b"\x00\x80\x00\x10airflow-data    "
    # Current Proxmox passes a device id of its own: every name and link that udev computes carries that.
    sysfs.disk("sda", "8:0", device__vpd_pg80=page)
    sysfs.write("udev/b8:0", b"S:disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-scsi1\nE:ID_SERIAL_SHORT=drive-scsi1\n")
    sysfs.disk("sdb", "8:16")
    sysfs.write("udev/b8:16", b"E:ID_SERIAL_SHORT=drive-scsi2\nE:ID_SCSI_SERIAL=spark-data\n")
    sysfs.disk("sdc", "8:32")
    sysfs.write("udev/b8:32", b"E:ID_SERIAL_SHORT=S3Z8NB0K\n")
    sysfs.disk("vda", "254:0", serial=b"virtio-data")
    sysfs.disk("nvme0n1", "259:0", device__serial=b"nvme-data            \n")
    sysfs.disk("vdb", "254:16", serial=b"")
    sysfs.disk("loop0", "7:0", size=b"0\n")
    assert {node.name: node.serial for node in sysfs.devices.disks()} == {
        "sda": "airflow-data",
        "sdb": "spark-data",
        "sdc": "S3Z8NB0K",
        "vda": "virtio-data",
        "nvme0n1": "nvme-data",
        "vdb": "",
    }


def test_a_device_without_a_node_is_not_there_yet(sysfs: Sysfs) -> None:
    sysfs.disk("sdb", "8:16", serial=b"airflow-data")
    assert sysfs.devices.by_serial("airflow-data") is None


@pytest.mark.parametrize("page", [b"", b"\x00\x80", b"\x00\x80\x00\x00", b"\x00\x80\x00\x04\0\0\0\0"])
def test_a_page_without_a_serial(page: bytes) -> None:
    assert vpd_serial(page) == ""


def test_mountinfo(sysfs: Sysfs) -> None:
    sysfs.write("proc/self/mountinfo", MOUNTINFO.encode())
    _root, data, btrfs = mounts(sysfs.devices.paths)
    assert (data.id, data.place, data.number, data.source) == ("40", "/mnt/with space", "8:16", "/dev/sdb")
    assert data.options == ("rw", "noatime")
    assert (btrfs.root, btrfs.number, btrfs.fstype) == ("/@data", "0:50", "btrfs")


@pytest.mark.parametrize(
    "fstype", ["ext4", pytest.param("xfs", marks=pytest.mark.skipif(not shutil.which("mkfs.xfs"), reason="no xfsprogs"))]
)
@pytest.mark.parametrize("size", [300, 301, 307, 383, 385, 391, 511, 513, 1025, 5130, 51200])
def test_a_new_filesystem_fills_its_device_up_to_a_remainder(tmp_path: Path, fstype: str, size: int) -> None:
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(size * MIB + 7 * 512)
    subprocess.run([f"mkfs.{fstype}", "-q", str(image)], check=True)
    with image.open("rb") as file:
        found = superblock_size(fstype, file.read(4096))
    assert found is not None
    assert 0 <= image.stat().st_size - found < GROW_FROM


def test_a_filesystem_above_16_tib() -> None:
    """The upper half of ext4's block count."""
    start = bytearray(4096)
    start[1024 + 4 : 1024 + 8] = (5).to_bytes(4, "little")
    start[1024 + 24 : 1024 + 28] = (2).to_bytes(4, "little")
    start[1024 + 96 : 1024 + 100] = (0x80).to_bytes(4, "little")
    start[1024 + 0x150 : 1024 + 0x154] = (1).to_bytes(4, "little")
    assert superblock_size("ext4", bytes(start)) == (2**32 + 5) * 4096
    assert superblock_size("btrfs", bytes(start)) is None


def test_the_probe_of_a_blank_disk(host: Host) -> None:
    attached = host.attach("airflow-data")
    result = host.probe(serials=["airflow-data", "absent"], paths=["/dev/nothing"], uuids=["0000"])
    assert result["missing"] == ["absent", "0000", "/dev/nothing"]
    assert result["changed"] is False
    (found,) = result["devices"]
    assert found == {
        "path": attached.path,
        "name": attached.path.removeprefix("/dev/"),
        "number": attached.number,
        "serial": "airflow-data",
        "size": 64 * MIB,
        "blank": True,
        "contents": [],
        "in_use": [],
        "signatures": [],
        "filesystem": None,
        "partitions": [],
        "holders": [],
        "mounts": [],
        "swap": False,
    }


def test_the_probe_of_a_mounted_disk(host: Host) -> None:
    attached = host.attach("airflow-data")
    uuid = host.run(disk())["disks"][0]["uuid"]
    for what in ({"uuids": [uuid.upper()]}, {"paths": [attached.path]}, {"serials": ["airflow-data"]}):
        (found,) = host.probe(**what)["devices"]
        assert found["path"] == attached.path
        assert found["blank"] is False
        assert found["filesystem"] == {"type": "ext4", "uuid": uuid, "label": "airflow-data", "size": 64 * MIB}
        assert [mount["place"] for mount in found["mounts"]] == ["/mnt/airflow-data"]
        assert found["in_use"] == [f"{found['name']} is mounted at /mnt/airflow-data"]
    assert attached.path in [device["path"] for device in host.probe()["devices"]]


@pytest.mark.parametrize("kind", sorted(SIGNATURES))
def test_the_probe_tells_kinds_apart(host: Host, kind: str) -> None:
    host.attach("airflow-data").write(SIGNATURES[kind]())
    (found,) = host.probe(serials=["airflow-data"])["devices"]
    assert {signature["kind"] for signature in found["signatures"]} == {kind}
    assert found["blank"] is False


def test_two_filesystems_with_one_uuid(host: Host) -> None:
    first, second = host.attach("a"), host.attach("b")
    uuid = host.sh(
        f"mkfs.ext4 -q {first.path}; dd if={first.path} of={second.path} bs=1M status=none; blkid -p -s UUID -o value {first.path}"
    )
    with pytest.raises(ModuleFailedError, match=f"both carry the filesystem UUID {uuid}"):
        host.probe(uuids=[uuid])


def test_a_device_node_of_another_name_is_found(host: Host) -> None:
    """A node in a container has the numbers of the kernel, and the name that somebody gave it."""
    attached = host.attach("airflow-data")
    major, minor = attached.number.split(":")
    host.sh(f"mount -t tmpfs tmpfs /dev; mkdir /dev/x; mknod /dev/x/sdb b {major} {minor}; mknod /dev/null c 1 3")
    (found,) = host.probe(serials=["airflow-data"])["devices"]
    assert found["path"] == "/dev/x/sdb"
    assert host.run(disk())["disks"][0]["mounted"] is True
