# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find block devices and say what is on them. Nothing here writes."""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.homelab.data_platform.plugins.module_utils.storage.fstab import decode
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.system import Paths, StorageError, read_bytes, read_text, run

MIB = 1024 * 1024
SECTOR = 512

# What libblkid calls the things that are not a plain filesystem.
KINDS = {
    "LVM1_member": "lvm",
    "LVM2_member": "lvm",
    "linux_raid_member": "raid",
    "crypto_LUKS": "luks",
    "BitLocker": "luks",
    "zfs_member": "zfs",
    "swap": "swap",
    "swsuspend": "swap",
}
PARTITION_TABLES = ("gpt", "dos", "PMBR", "mac", "bsd", "sgi", "sun", "ultrix", "atari", "minix-pt", "solaris-x86", "unixware")

# A remainder that mkfs and resize leave unused (a last group or allocation group too small to hold anything) stays below this.
GROW_FROM = 16 * MIB

# struct xfs_fsop_geom_v1: the size of a mounted XFS is asked of the kernel, its block on the disk may be older.
XFS_IOC_FSGEOMETRY_V1 = 0x80705864
XFS_GEOMETRY_SIZE = 112

KUBELET_MOUNT = re.compile(r"/pods/[^/]+/volume")


@dataclass(frozen=True)
class Mount:
    """One line of mountinfo."""

    id: str
    place: str
    number: str
    root: str
    source: str
    fstype: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Signature:
    """Something that libblkid recognises; ``kind`` is filesystem, partition_table, lvm, raid, luks, zfs or swap."""

    kind: str
    type: str
    offset: int
    uuid: str = ""
    label: str = ""

    def __str__(self) -> str:
        uuid = f", UUID {self.uuid}" if self.uuid else ""
        return f"{self.type} ({self.kind.replace('_', ' ')}{uuid})"


@dataclass(frozen=True)
class Filesystem:
    """The one filesystem that fills a device; ``size`` is None where this collection cannot read it."""

    type: str
    uuid: str
    label: str
    size: int | None


@dataclass(frozen=True)
class Device:
    """A block device and what is on it."""

    path: str
    name: str
    number: str
    serial: str
    size: int
    disk_size: int
    partitions: tuple[str, ...] = ()
    holders: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    swap: bool = False
    signatures: tuple[Signature, ...] = ()
    filesystem: Filesystem | None = None
    # Mounts, swap and holders of the device and of its partitions, in words.
    in_use: tuple[str, ...] = ()
    # Why the device is not blank, in words.
    contents: tuple[str, ...] = ()

    @property
    def blank(self) -> bool:
        """No signature of any kind, no holders, no partitions, and the first and the last MiB are zero."""
        return not self.contents

    def carries(self, mount: Mount) -> bool:
        """Whether the mount is of this device. Some filesystems (btrfs) show a number of their own, but name their source."""
        return mount.number == self.number or (mount.number.startswith("0:") and mount.source == self.path)


@dataclass(frozen=True)
class Node:
    """A block device as sysfs lists it; ``path`` is its node in /dev, None where there is none (yet)."""

    name: str
    number: str
    serial: str
    size: int
    path: str | None


class Devices:
    """The block devices of this machine, as they are at the time of asking."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.mounts = mounts(paths)
        self._nodes: dict[str, str] | None = None

    def disks(self) -> list[Node]:
        """Return every whole disk that has a size, by name. Empty drives and unused loop devices are no disks."""
        names = sorted(_names(f"{self.paths.sys}/block"))
        return [node for node in (self._node(name) for name in names) if node.size]

    def all(self) -> Iterator[Node]:
        """Return disks and their partitions."""
        for disk in self.disks():
            yield disk
            for name in self._partitions(disk.name):
                yield self._node(name)

    def by_serial(self, serial: str) -> Device | None:
        """Return the disk whose serial has this value; two of them are an error."""
        found = self._one([disk for disk in self.disks() if disk.serial == serial], f"the serial {serial}")
        return self.device(found) if found else None

    def by_uuid(self, uuid: str) -> Device | None:
        """Return the disk or partition whose filesystem has this UUID; two of them are an error."""
        nodes = [node for node in self.all() if node.path and blkid(node.path).get("UUID", "").lower() == uuid.lower()]
        # A multipath device or a mirror shows the filesystem of its parts, which it holds.
        free = [node for node in nodes if not self._holders(node.name)]
        found = self._one(free or nodes, f"the filesystem UUID {uuid}")
        return self.device(found) if found else None

    def by_path(self, path: str) -> Device | None:
        """Return the device behind a node or link in /dev; None where there is none."""
        number = device_number(path)
        if number is None:
            return None
        name = Path(f"{self.paths.sys}/dev/block/{number}").resolve().name
        return self.device(self._node(name))

    def device(self, node: Node) -> Device | None:
        """Look at what is on a device; None while it has no node in /dev, which udev makes a moment later."""
        if node.path is None:
            return None
        partitions = self._partitions(node.name)
        holders = self._holders(node.name)
        swaps = swap_numbers(self.paths)
        in_use: list[str] = []
        for name in (node.name, *partitions):
            number = self._number(name)
            in_use += [mounted_at(name, mount.place) for mount in self.mounts if mount.number == number]
            in_use += [f"{name} is in use as swap"] if number in swaps else []
            in_use += [f"{name} is held by {holder}" for holder in self._holders(name)]
        found = signatures(node.path)
        contents = [str(signature) for signature in found]
        contents += [f"partition {name}" for name in partitions] + [f"held by {name}" for name in holders]
        if not contents:
            contents += nonzero(node.path, node.size)
        mounted = tuple(mount for mount in self.mounts if mount.number == node.number)
        return Device(
            path=node.path,
            name=node.name,
            number=node.number,
            serial=node.serial,
            size=node.size,
            disk_size=self._disk_size(node),
            partitions=partitions,
            holders=holders,
            mounts=mounted,
            swap=node.number in swaps,
            signatures=found,
            filesystem=filesystem(node.path, mounted),
            in_use=tuple(in_use),
            contents=tuple(contents),
        )

    def _one(self, nodes: list[Node], what: str) -> Node | None:
        if len(nodes) > 1:
            names = " and ".join(node.path or f"{node.name} ({node.number}, no device node)" for node in nodes)
            raise StorageError(f"{names} both carry {what}. It must be one device: detach or re-label the other, then run again.")
        return nodes[0] if nodes else None

    def _node(self, name: str) -> Node:
        number = self._number(name)
        size = int(read_text(self._sys(name, "size")) or 0) * SECTOR
        return Node(name, number, self._serial(name, number), size, self._path(name, number) if size else None)

    def _sys(self, name: str, *attribute: str) -> str:
        return "/".join((self.paths.sys, "class", "block", name, *attribute))

    def _number(self, name: str) -> str:
        return read_text(self._sys(name, "dev")).strip()

    def _disk_size(self, node: Node) -> int:
        """The size of the disk that a partition lies on; the size itself for a whole disk."""
        if not Path(self._sys(node.name, "partition")).exists():
            return node.size
        parent = Path(self._sys(node.name)).resolve().parent.name
        return int(read_text(self._sys(parent, "size")) or 0) * SECTOR

    def _partitions(self, name: str) -> tuple[str, ...]:
        return tuple(sorted(part for part in _names(self._sys(name)) if Path(self._sys(name, part, "partition")).exists()))

    def _holders(self, name: str) -> tuple[str, ...]:
        return tuple(sorted(_names(self._sys(name, "holders"))))

    def _serial(self, name: str, number: str) -> str:
        """The value of the serial, from the most to the least exact place.

        Where the hypervisor passes a device id of its own (current Proxmox does), ``ID_SERIAL_SHORT`` and the links in
        /dev/disk/by-id carry that id; the serial stays in ``ID_SCSI_SERIAL`` and in page 0x80 of the vital product data.
        """
        udev = udev_properties(read_text(f"{self.paths.udev}/b{number}"))
        return (
            udev.get("ID_SCSI_SERIAL", "")
            or vpd_serial(read_bytes(self._sys(name, "device", "vpd_pg80")))
            or printable(read_bytes(self._sys(name, "serial")))
            or printable(read_bytes(self._sys(name, "device", "serial")))
            or udev.get("ID_SERIAL_SHORT", "")
        )

    def _path(self, name: str, number: str) -> str | None:
        """The node in /dev: by the kernel's name, or wherever one with the same number lies."""
        usual = f"{self.paths.dev}/{name.replace('!', '/')}"
        if device_number(usual) == number:
            return usual
        if self._nodes is None:
            self._nodes = {}
            for folder, _folders, files in os.walk(self.paths.dev):
                for file in sorted(files):
                    path = f"{folder}/{file}"
                    found = None if Path(path).is_symlink() else device_number(path)
                    if found:
                        self._nodes.setdefault(found, path)
        return self._nodes.get(number)


def _names(folder: str) -> list[str]:
    try:
        return [path.name for path in Path(folder).iterdir()]
    except OSError:
        return []


def mounted_at(name: str, place: str) -> str:
    """Say one use of a device, as ``Device.in_use`` lists it."""
    return f"{name} is mounted at {place}"


def device_number(path: str) -> str | None:
    """``major:minor`` of a block device's node; None for anything else."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    if not stat.S_ISBLK(status.st_mode):
        return None
    return f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"


def udev_properties(text: str) -> dict[str, str]:
    """Read the properties (``E:KEY=value``) of an entry of udev's database."""
    pairs = (line[2:].partition("=") for line in text.splitlines() if line.startswith("E:"))
    return {key: value.strip() for key, _equals, value in pairs}


def printable(raw: bytes) -> str:
    """Read text that hardware pads with blanks or zero bytes."""
    return raw.decode("ascii", errors="replace").strip("\0 \n\t")


def vpd_serial(page: bytes) -> str:
    """Read the serial of a SCSI disk out of page 0x80 of its vital product data: a header of four bytes, then text."""
    if len(page) < 4:
        return ""
    (length,) = struct.unpack(">H", page[2:4])
    return printable(page[4 : 4 + length])


def mounts(paths: Paths) -> tuple[Mount, ...]:
    """Return what is mounted for this process; of several at one place, the last covers the others."""
    found = []
    for line in read_text(f"{paths.proc}/self/mountinfo").splitlines():
        first, _dash, second = line.partition(" - ")
        mount_id, _parent, number, root, place, options, *_tags = first.split()
        fstype, source, super_options = [*second.split(), ""][:3]
        both = dict.fromkeys(options.split(",") + super_options.split(","))
        found.append(Mount(mount_id, decode(place), number, decode(root), decode(source), fstype, tuple(both)))
    return tuple(found)


def swap_numbers(paths: Paths) -> tuple[str, ...]:
    """Device numbers of the block devices in use as swap."""
    lines = read_text(f"{paths.proc}/swaps").splitlines()[1:]
    numbers = (device_number(decode(line.split()[0])) for line in lines if line.strip())
    return tuple(number for number in numbers if number)


def blkid(path: str) -> dict[str, str]:
    """Ask libblkid what fills a device; nothing where it knows nothing or finds more than one thing."""
    text = run(["blkid", "-p", "-o", "export", path], accept=(0, 2, 8))
    pairs = (line.partition("=") for line in text.splitlines())
    return {key: re.sub(r"\\(.)", r"\1", value) for key, equals, value in pairs if equals}


def signatures(path: str) -> tuple[Signature, ...]:
    """Every signature on a device, also several at once and those of things that are damaged."""
    text = run(["wipefs", "--json", "--no-act", path])
    listed = json.loads(text)["signatures"] if text.strip() else []
    return tuple(
        Signature(
            kind=signature_kind(item["type"]),
            type=item["type"],
            offset=int(item["offset"], 16),
            uuid=item.get("uuid") or "",
            label=item.get("label") or "",
        )
        for item in listed
    )


def signature_kind(name: str) -> str:
    """Sort a type of libblkid into the kinds that people speak of."""
    if name in PARTITION_TABLES:
        return "partition_table"
    if name.endswith("_raid_member"):
        return "raid"
    return KINDS.get(name, "filesystem")


def nonzero(path: str, size: int) -> list[str]:
    """Say where the first and the last MiB of a device hold something."""
    found = []
    with Path(path).open("rb") as device:
        for name, offset in (("first", 0), ("last", max(0, size - MIB))):
            device.seek(offset)
            data = device.read(MIB)
            if data.count(0) != len(data):
                at = offset + len(data) - len(data.lstrip(b"\0"))
                found.append(f"bytes that are not zero in the {name} MiB (from byte {at})")
    return found


def filesystem(path: str, mounted: tuple[Mount, ...]) -> Filesystem | None:
    """Describe the filesystem that fills a device, if there is exactly one."""
    found = blkid(path)
    if found.get("USAGE") != "filesystem" or "TYPE" not in found:
        return None
    if found["TYPE"] == "xfs" and mounted:
        size: int | None = mounted_xfs_size(mounted[0].place)
    else:
        with Path(path).open("rb") as device:
            size = superblock_size(found["TYPE"], device.read(4096))
    return Filesystem(found["TYPE"], found.get("UUID", ""), found.get("LABEL", ""), size)


def superblock_size(fstype: str, start: bytes) -> int | None:
    """Read the size of a filesystem out of the first 4096 bytes of its device."""
    if fstype == "ext4":
        low, shift = struct.unpack_from("<I", start, 1024 + 4)[0], struct.unpack_from("<I", start, 1024 + 24)[0]
        (incompatible,) = struct.unpack_from("<I", start, 1024 + 96)
        # The upper half of the block count is valid with the feature 64bit only.
        high = struct.unpack_from("<I", start, 1024 + 0x150)[0] if incompatible & 0x80 else 0
        return int(((high << 32) | low) * (1024 << shift))
    if fstype == "xfs":
        block, blocks = struct.unpack_from(">IQ", start, 4)
        return int(block * blocks)
    return None


def mounted_xfs_size(place: str) -> int:
    """Ask the kernel for the size of a mounted XFS."""
    descriptor = os.open(place, os.O_RDONLY)
    try:
        geometry = fcntl.ioctl(descriptor, XFS_IOC_FSGEOMETRY_V1, bytes(XFS_GEOMETRY_SIZE))
    finally:
        os.close(descriptor)
    (block,) = struct.unpack_from("=I", geometry, 0)
    (blocks,) = struct.unpack_from("=Q", geometry, 32)
    return int(block * blocks)
