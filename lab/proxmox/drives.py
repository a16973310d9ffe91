# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drive values: ``local-lvm:vm-301-disk-1,serial=airflow-data,size=50G``."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from pydantic import ValidationError

from lab.proxmox.errors import failure, invalid
from lab.proxmox.parameters import DRIVES, SLOTS, problems

UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
NAMES_DISKS_FROM = 10
"""The machine version from which qemu-server names SCSI disks itself."""
_ALIASES = re.compile(r"^(bps(_rd|_wr)?|iops(_rd|_wr)?)_length$")
_ALLOCATION = re.compile(r"^(?P<storage>[A-Za-z][\w.-]*):(?P<gib>\d+(\.\d+)?)$")


def parse_size(text: str) -> int:
    """Bytes of a size as Proxmox writes it (binary units)."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)", text)
    if not match:
        raise failure(f"unable to parse size '{text}'")
    return int(float(match[1]) * UNITS[match[2]])


def format_size(size: int) -> str:
    """The shortest exact form in binary units, as Proxmox normalises it: 51200M is 50G."""
    unit = next(unit for unit in ("T", "G", "M", "K", "") if size % UNITS[unit] == 0)
    return f"{size // UNITS[unit]}{unit}"


def bus_of(slot: str) -> str:
    """``scsi`` of ``scsi1``; empty for what is no drive."""
    match = re.fullmatch(r"([a-z]+)(\d+)", slot)
    return match[1] if match and match[1] in SLOTS and int(match[2]) < SLOTS[match[1]] else ""


def device_id(machine: str | None, slot: str) -> str | None:
    """What qemu-server has a SCSI disk call itself, given the machine's type (``pc-i440fx-9.2``, ``type=q35,viommu=virtio``).

    From machine version 10 on that is ``drive-scsi1``, and links in /dev/disk/by-id carry it instead of the serial. A type without a
    version, and none at all, mean the newest. None: the disk goes by its serial, as every disk of another bus does.
    """
    if bus_of(slot) != "scsi":
        return None
    kind = (machine or "").split(",")[0].removeprefix("type=")
    version = re.search(r"-(\d+)\.\d+(\.\d+)?(\+pve\d+)?$", kind)
    return None if version and int(version[1]) < NAMES_DISKS_FROM else f"drive-{slot}"


@dataclass(frozen=True)
class Drive:
    """A drive's volume and its options, in Proxmox's own spelling."""

    file: str
    options: dict[str, str]

    @property
    def cdrom(self) -> bool:
        """Whether this is a CD-ROM drive and no disk."""
        return self.options.get("media") == "cdrom"

    @property
    def size(self) -> int:
        """Bytes, as the configuration tells them."""
        return parse_size(self.options.get("size", "0"))

    @property
    def serial(self) -> str | None:
        """The serial as the guest sees it."""
        return unquote(self.options["serial"]) if "serial" in self.options else None

    @property
    def allocation(self) -> tuple[str, int] | None:
        """Storage and bytes, when the volume is still to be allocated (``local-lvm:50``)."""
        match = _ALLOCATION.fullmatch(self.file)
        return (match["storage"], int(float(match["gib"]) * UNITS["G"])) if match else None

    def with_options(self, **options: str) -> Drive:
        """The same drive with some options set."""
        return replace(self, options={**self.options, **options})

    def allocated(self, volume: str, size: int) -> Drive:
        """The drive once its volume is there: ``format`` has served its purpose and goes."""
        rest = {key: value for key, value in self.options.items() if key != "format"}
        return Drive(volume, {**rest, "size": format_size(size)})

    def __str__(self) -> str:
        """The volume first, then the keys in order."""
        return ",".join([self.file, *(f"{key}={value}" for key, value in sorted(self.options.items()))])


def parse_drive(slot: str, text: str) -> Drive:
    """Read a drive value, or answer 400 naming the slot and what is wrong with it."""
    values: dict[str, Any] = {}
    for index, part in enumerate(text.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            if index:
                raise invalid({slot: f"invalid format - value without key, but schema does not define a default key: '{part}'"})
            key, value = "file", part
        key = "file" if key == "volume" else f"{key.removesuffix('_length')}_max_length" if _ALIASES.match(key) else key
        if key in values:
            raise invalid({slot: f"invalid format - duplicate key in comma-separated list property: {key}"})
        values[key] = value
    try:
        table = DRIVES[bus_of(slot)].model_validate(values)
    except ValidationError as error:
        found = "\n".join(f"{slot}.{key}: {text}" for key, text in problems(error).items())
        raise invalid({slot: f"invalid format - format error\n{found}\n"}) from None
    return _drive(table.model_dump(by_alias=True, exclude_unset=True))


def _drive(values: dict[str, Any]) -> Drive:
    file = values.pop("file")
    if "size" in values:
        values["size"] = format_size(parse_size(values["size"]))
    return Drive(file, {key: _spelling(value) for key, value in values.items()})


def _spelling(value: object) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return f"{value:g}" if isinstance(value, float) else str(value)
