# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with real block devices (loop devices on sparse files) in a mount namespace of its own, gone when the test is."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.homelab.data_platform.plugins.module_utils.storage import act, converge
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.disks import parse_disks
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.steps import Step
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.system import Paths
from ansible_collections.homelab.data_platform.plugins.modules import block_device_info, disk_filesystem

from tests.unit.forked import answer, forked

MIB = 1024 * 1024
# XFS below 300 MiB is refused by current mkfs.xfs.
XFS_SIZE = 320 * MIB
FSTAB = "/run/fstab"
CLONE_NEWNS = 0x20000

# The root filesystem for mount points is ext4 (as on a node), whatever the machine of the test has; /run is empty, as after a boot.
NAMESPACE = """
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/udev/data /run/root
truncate -s 32M /run/root.img
mkfs.ext4 -q /run/root.img
mount -o loop /run/root.img /mnt
echo ready
exec cat
"""


@dataclass
class LoopDisk:
    """A disk of the host; the kernel frees the loop device when the test process lets go of it, however that ends."""

    image: Path
    path: str
    number: str
    handle: int

    def write(self, data: bytes, offset: int = 0) -> None:
        with Path(self.path).open("r+b") as device:
            device.seek(offset)
            device.write(data)
            device.flush()
            os.fsync(device.fileno())

    def grow(self, size: int) -> None:
        os.truncate(self.image, size)
        subprocess.run(["losetup", "--set-capacity", self.path], check=True)


class ModuleFailedError(Exception):
    """The module ended in ``fail_json``."""

    def __init__(self, result: dict[str, Any]) -> None:
        super().__init__(result["msg"])
        self.result = result


@dataclass
class Host:
    """Commands and modules in the namespace of the host."""

    process: subprocess.Popen[str]
    folder: Path
    disks: list[LoopDisk] = field(default_factory=list)

    def attach(self, serial: str, size: int = 64 * MIB, options: tuple[str, ...] = ()) -> LoopDisk:
        """Plug a blank disk in; its serial is where udev keeps that of a SCSI disk."""
        image = self.folder / f"{len(self.disks)}.img"
        with image.open("wb") as file:
            file.truncate(size)
        path = subprocess.run(
            ["losetup", "--find", "--show", *options, str(image)], check=True, capture_output=True, text=True
        ).stdout.strip()
        handle = os.open(path, os.O_RDONLY)
        subprocess.run(["losetup", "--detach", path], check=True)  # as soon as nobody has it open
        number = Path(f"/sys/block/{Path(path).name}/dev").read_text().strip()
        disk = LoopDisk(image, path, number, handle)
        self.disks.append(disk)
        self.name(disk, serial)
        return disk

    def name(self, disk: LoopDisk, serial: str) -> None:
        self.sh(f"echo 'E:ID_SERIAL_SHORT=drive-scsi1\nE:ID_SCSI_SERIAL={serial}' > /run/udev/data/b{disk.number}")

    def unplug(self, disk: LoopDisk) -> None:
        """Take a disk away; its device stays, but nothing knows it by its serial any more."""
        self.sh(f"rm /run/udev/data/b{disk.number}")

    def _enter(self, *argv: str) -> list[str]:
        return ["nsenter", "--mount", "--target", str(self.process.pid), "--", *argv]

    def _fork(self, action: Callable[[], None]) -> tuple[int, str]:
        """Do something in the namespace, in a process of its own; return its wait status and what it printed."""

        def enter() -> None:
            with Path(f"/proc/{self.process.pid}/ns/mnt").open("rb") as namespace:
                assert ctypes.CDLL(None).setns(namespace.fileno(), CLONE_NEWNS) == 0
            os.chdir("/")
            action()

        return forked(enter, self.folder / "printed")

    def sh(self, script: str) -> str:
        done = subprocess.run(self._enter("sh", "-ec", script), check=False, capture_output=True, text=True)
        assert done.returncode == 0, f"{script}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def module(self, main: Callable[[], None], check: bool, params: dict[str, Any]) -> dict[str, Any]:
        """Run a module as Ansible does: its own process, its parameters in JSON, its result in JSON."""

        def call() -> None:
            with patch_module_args({**params, "_ansible_check_mode": check, "_ansible_diff": True}):
                main()

        _status, printed = self._fork(call)
        result = answer(printed)
        result["warnings"] = " ".join(map(str, result["warnings"]))
        if result.get("failed"):
            raise ModuleFailedError(result)
        return result

    def run(self, *disks: dict[str, Any], check: bool = False, **options: Any) -> dict[str, Any]:
        params: dict[str, Any] = {"disks": list(disks), "fstab": FSTAB, "device_timeout": 0, **options}
        return self.module(disk_filesystem.main, check, params)

    @contextmanager
    def working_in(self, directory: str) -> Iterator[int]:
        """A process whose working directory that is; gives its number."""
        with subprocess.Popen(
            self._enter("sh", "-c", f"cd {directory} && echo ready && exec cat"), stdin=-1, stdout=-1, text=True
        ) as process:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            yield process.pid
            process.kill()

    def probe(self, **what: list[str]) -> dict[str, Any]:
        return self.module(block_device_info.main, False, dict(what))

    def killed_run(self, after: int, *disks: dict[str, Any]) -> bool:
        """Do the first steps of a run and be killed; False if the run was over before."""

        def run() -> None:
            left = after
            real = act.carry_out

            def step_or_die(step: Step, paths: Paths) -> None:
                nonlocal left
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1
                real(step, paths)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(converge, "carry_out", step_or_die)
                outcome = converge.Outcome()
                converge.converge(parse_disks(disks, []), Paths(fstab=FSTAB), "kubelet.service", 0, outcome)
            sys.exit()

        status, printed = self._fork(run)
        assert "Traceback" not in printed, printed
        return os.WIFSIGNALED(status)

    @property
    def fstab(self) -> str:
        return self.sh(f"cat {FSTAB} 2>/dev/null || true")

    def mounted(self, place: str) -> dict[str, str]:
        """What findmnt says of a place."""
        listed = self.sh(f"findmnt --json --output SOURCE,FSTYPE,OPTIONS,UUID --mountpoint {place} || true")
        return dict(json.loads(listed)["filesystems"][0]) if listed else {}

    def blkid(self, disk: LoopDisk) -> dict[str, str]:
        text = self.sh(f"blkid -p -o export {disk.path} || true")
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for disk in self.disks:
            # Partitions that were added by ioctl outlive their disk on a loop device.
            subprocess.run(["partx", "--delete", disk.path], check=False, capture_output=True)
            os.close(disk.handle)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    if os.geteuid() != 0 or not Path("/dev/loop-control").exists():
        pytest.fail("these tests make real filesystems: they need root and loop devices (/dev/loop-control)")
    process = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", NAMESPACE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
    )
    host = Host(process, tmp_path)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield host
    finally:
        host.close()


def disk(name: str = "airflow-data", **keys: Any) -> dict[str, Any]:
    """A declared disk."""
    return {"name": name, "mount": f"/mnt/{name}", **keys}


def luks() -> bytes:
    return b"LUKS\xba\xbe\x00\x01" + bytes(160) + b"6f1c2a0e-6d3b-4a53-9c1e-6b3f0f6f9a55"


def lvm() -> bytes:
    """The label of a physical volume in sector 1, with LVM's own start value of the CRC."""
    body = struct.pack("<I8s", 32, b"LVM2 001") + b"A" * 32 + bytes(512 - 64)
    crc = zlib.crc32(body, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
    return bytes(512) + struct.pack("<8sQI", b"LABELONE", 1, crc) + body


def raid() -> bytes:
    """The superblock of version 1.2 at 4 KiB."""
    superblock = struct.pack("<III4x16s32s", 0xA92B4EFC, 1, 0, b"R" * 16, b"node:0") + bytes(64) + struct.pack("<QQQ", 2048, 2048, 8)
    return bytes(4096) + superblock + bytes(4096 - len(superblock))


def dos() -> bytes:
    entry = struct.pack("<BBBBBBBBII", 0, 0, 0, 0, 0x83, 0, 0, 0, 2048, 65536)
    return bytes(446) + entry + bytes(48) + b"\x55\xaa"


def zfs() -> bytes:
    """Uberblocks in the first label, from 128 KiB on."""
    uberblock = struct.pack("<QQQ", 0x00BAB10C, 5000, 1) + bytes(1000)
    return bytes(128 * 1024) + uberblock * 128


SIGNATURES = {"lvm": lvm, "raid": raid, "luks": luks, "zfs": zfs, "partition_table": dos}
