# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proxmox's drive values and sizes, and the options that a disk may be given."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, unquote

# Slots of each bus.
BUSES = {"scsi": 31, "virtio": 16, "sata": 6, "ide": 4}
_SLOT = re.compile(r"(scsi|virtio|sata|ide)(\d+)")
_SERIAL = re.compile(r"[A-Za-z0-9_-]{1,20}")
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT])(?:i?B?)?", re.IGNORECASE)


class DeclarationError(Exception):
    """What was asked for cannot be had; the message says why and what to do."""


@dataclass(frozen=True)
class Option:
    """A drive option: its type, the buses that have it, and the value which its absence stands for."""

    kind: str
    default: str | None = None
    choices: tuple[str, ...] = ()
    buses: tuple[str, ...] = tuple(BUSES)

    def text(self, value: Any) -> str:
        """The value in Proxmox's spelling, so that ``on``, ``true`` and ``1`` compare equal."""
        if self.kind == "bool":
            return "1" if str(value).lower() in ("1", "on", "yes", "true") else "0"
        return f"{float(value):g}" if self.kind == "float" else str(value)


_NOT_VIRTIO = ("scsi", "sata", "ide")
_PARAVIRTUAL = ("scsi", "virtio")

OPTIONS = {
    "aio": Option("str", choices=("native", "threads", "io_uring")),
    "backup": Option("bool", "1"),
    "cache": Option("str", "none", ("none", "writethrough", "writeback", "unsafe", "directsync")),
    "detect_zeroes": Option("bool", "1"),
    "discard": Option("str", "ignore", ("ignore", "on")),
    "iops_rd": Option("int"),
    "iops_wr": Option("int"),
    "iothread": Option("bool", "0", buses=_PARAVIRTUAL),
    "mbps_rd": Option("float"),
    "mbps_wr": Option("float"),
    "queues": Option("int", buses=("scsi",)),
    "replicate": Option("bool", "1"),
    "ro": Option("bool", "0", buses=_PARAVIRTUAL),
    "ssd": Option("bool", "0", buses=_NOT_VIRTIO),
    "wwn": Option("str", buses=_NOT_VIRTIO),
}

# What a running machine cannot change on a disk that it holds: when one of these differs, the whole change waits for a restart.
COLD_OPTIONS = ("aio", "cache", "discard", "iothread", "product", "queues", "ro", "ssd", "vendor")


def parse_quantity(text: str) -> int:
    """Bytes of a declared size. Units are binary, as Proxmox counts: ``50G``, ``50Gi``, ``50 GiB`` and ``51200M`` are the same."""
    match = _QUANTITY.fullmatch(str(text).strip())
    if not match:
        raise DeclarationError(f"size {text!r} is not a quantity: write a number with a unit, such as 50G (which is 50 GiB)")
    size = float(match[1]) * _UNITS[match[2].upper()]
    if size <= 0 or size % _UNITS["M"]:
        raise DeclarationError(f"size {text!r} is not a whole number of MiB: Proxmox's storages cannot hold it exactly")
    return int(size)


def parse_size(text: str) -> int:
    """Bytes of a size in a Proxmox configuration."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "")
    return int(float(number) * _UNITS[unit])


def format_size(size: int) -> str:
    """The shortest exact form: ``50G`` for 51200 MiB."""
    unit = next(unit for unit in ("T", "G", "M", "K", "") if size % _UNITS[unit] == 0)
    return f"{size // _UNITS[unit]}{unit}"


def bus_of(slot: str) -> str:
    """``scsi`` of ``scsi1``, or nothing when that is no slot of a disk."""
    match = _SLOT.fullmatch(slot)
    return match[1] if match and int(match[2]) < BUSES[match[1]] else ""


def check_serial(serial: str) -> str:
    """The serial, when a guest can show the whole of it."""
    if not _SERIAL.fullmatch(serial):
        raise DeclarationError(
            f"serial {serial!r} cannot be used: a guest sees at most 20 characters, out of letters, digits, '-' and '_'; shorten the name"
        )
    return serial


@dataclass(frozen=True)
class Drive:
    """A disk as a machine's configuration holds it. ``volume`` is empty for one that is only planned."""

    slot: str
    volume: str
    size: int | None = None
    options: dict[str, str] = field(default_factory=dict)
    planned_on: str = ""

    @property
    def storage(self) -> str:
        """The storage that holds the volume, or will."""
        return self.planned_on or self.volume.partition(":")[0]

    @property
    def serial(self) -> str | None:
        """The serial as the guest sees it."""
        return unquote(self.options["serial"]) if "serial" in self.options else None

    @property
    def cdrom(self) -> bool:
        """Whether this is a CD-ROM drive (a cloud-init drive too) and no disk."""
        return self.options.get("media") == "cdrom"

    def value(self, option: str) -> str | None:
        """An option's value in canonical spelling, the default where nothing is said."""
        known = OPTIONS[option]
        return known.text(self.options[option]) if option in self.options else known.default

    def with_options(self, options: dict[str, str]) -> Drive:
        """The same drive with some options set."""
        return replace(self, options={**self.options, **options})

    def with_size(self, size: int | None) -> Drive:
        """The same drive in another size."""
        return replace(self, size=size)

    def __str__(self) -> str:
        """The value to write; the size goes along as it is, since Proxmox would drop it otherwise."""
        size = {} if self.size is None else {"size": format_size(self.size)}
        return ",".join([self.volume, *(f"{key}={value}" for key, value in sorted({**self.options, **size}.items()))])


def parse_drive(slot: str, value: str) -> Drive:
    """Read a drive value such as ``local-lvm:vm-301-disk-1,serial=airflow-data,size=50G``."""
    volume, *parts = value.split(",")
    options = dict(part.partition("=")[::2] for part in parts)
    size = options.pop("size", None)
    return Drive(slot, volume.removeprefix("file=").removeprefix("volume="), parse_size(size) if size else None, options)


def allocation(drive: Drive, disk_format: str | None) -> str:
    """The value which makes Proxmox allocate the volume of a planned drive: ``local-lvm:50,serial=...``."""
    gib = f"{(drive.size or 0) / _UNITS['G']:.12f}".rstrip("0").rstrip(".")
    kind = {"format": disk_format} if disk_format else {}
    return str(Drive(drive.slot, f"{drive.storage}:{gib}", None, {**drive.options, **kind}))


def encode_serial(serial: str) -> str:
    """A serial in the url-encoded form of the configuration."""
    return quote(serial, safe="")
