# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be done to a virtual machine's disks: a pure function of what is there and what is wanted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.proxmox.drive import (
    BUSES,
    COLD_OPTIONS,
    OPTIONS,
    DeclarationError,
    Drive,
    allocation,
    bus_of,
    check_serial,
    encode_serial,
    format_size,
    parse_drive,
    parse_quantity,
)

# Storages round up to their extents (LVM: 4 MiB): so much more than declared is no attempt to shrink.
EXTENT = 4 * 1024**2
_HOTPLUG_BUSES = ("scsi", "virtio")
# The steps that write a drive's value.
_WRITES = ("create", "attach", "configure")
_REMOVALS = ("detach", "destroy")
_ORDER = ("create", "attach", "resize", "configure", *_REMOVALS)


@dataclass(frozen=True)
class Wanted:
    """One declared disk."""

    serial: str | None = None
    slot: str | None = None
    storage: str | None = None
    size: int | None = None
    bus: str | None = None
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    volume: str | None = None
    """A volume that is there already, or the ``unusedN`` that holds it."""
    absent: bool = False
    destroy: bool = False

    @property
    def label(self) -> str:
        """What messages call the disk."""
        return self.serial or self.slot or self.volume or "?"

    @classmethod
    def parse(cls, declared: Mapping[str, Any]) -> Wanted:
        """Check a declaration and bring it into Proxmox's spelling. Keys without a value count as not named."""
        given = {key: value for key, value in declared.items() if value is not None}
        slot = given.get("slot")
        if slot and not bus_of(slot):
            ranges = ", ".join(f"{bus}0-{count - 1}" for bus, count in BUSES.items())
            raise DeclarationError(f"slot {slot!r} does not exist: a disk's slot is one of {ranges}")
        absent = given.get("state") == "absent"
        if not slot and "serial" not in given and not ("volume" in given and absent):
            raise DeclarationError(f"a disk needs a serial to be known by (or the slot of one to adopt): {dict(given)}")
        if slot and given.get("bus") not in (None, bus_of(slot)):
            raise DeclarationError(f"slot {slot} is not on the bus {given['bus']}: leave out one of the two")
        disk = cls(
            serial=check_serial(given["serial"]) if "serial" in given else None,
            slot=slot,
            storage=given.get("storage"),
            size=parse_quantity(given["size"]) if "size" in given else None,
            bus=given.get("bus"),
            format=given.get("format"),
            options={key: option.text(given[key]) for key, option in OPTIONS.items() if key in given},
            volume=given.get("volume"),
            absent=absent,
            destroy="destroy" in given,
        )
        if disk.destroy and not absent:
            raise DeclarationError(f"disk {disk.label} is to be present, but destroy is set: leave it out, or declare state absent")
        if disk.destroy and given["destroy"] != disk.label:
            raise DeclarationError(
                f"destroy says {given['destroy']!r}, but this disk is {disk.label}: repeat its own name to lose all that is on it"
            )
        return disk


@dataclass(frozen=True)
class Step:
    """One write. ``value`` is the drive value, or the new size of a resize."""

    action: str
    label: str
    slot: str
    value: str
    storage: str
    size: int = 0


def first_write(steps: Sequence[Step]) -> list[Step]:
    """The steps that one call does: all of a kind, but Proxmox resizes one disk at a time, and a configuration tells the new size.

    What is declared after a removal waits for it: it may take the slot or the room.
    """
    removing = steps[0].action in _REMOVALS
    near = list(takewhile(lambda step: (step.action in _REMOVALS) == removing, steps))
    action = min((step.action for step in near), key=_ORDER.index)
    alike = [step for step in near if step.action == action]
    return alike[:1] if action == "resize" else alike


@dataclass(frozen=True)
class DiskState:
    """A declared disk, as it is or as it will be. ``pending`` holds the options that wait for a restart of the machine."""

    label: str
    drive: Drive
    pending: dict[str, str | None] = field(default_factory=dict)
    lingers: bool = False
    """Whether it takes a restart of the machine until it is gone."""

    @property
    def view(self) -> dict[str, str]:
        """What a diff shows; the volume's name is Proxmox's own choice and no part of it."""
        size = {} if self.drive.size is None else {"size": format_size(self.drive.size)}
        return {"slot": self.drive.slot, "storage": self.drive.storage, **size, **self.drive.options}


@dataclass(frozen=True)
class Plan:
    """The steps towards what is wanted, and the declared disks before and after them. Absent disks are no part of the latter."""

    steps: list[Step]
    before: list[DiskState]
    after: list[DiskState]
    warnings: list[str]
    going: list[DiskState] = field(default_factory=list)
    """Absent disks that are still there, also those that wait for a restart to go."""


@dataclass(frozen=True)
class _Found:
    """A slot in use: the drive that holds, the one that waits for a restart, and whether it is about to go."""

    current: Drive | None
    pending: Drive | None
    leaving: int
    """1 when it is about to be detached, 2 when its volume is about to be destroyed as well."""

    @property
    def effective(self) -> Drive:
        """What will hold after the next restart. A resize since the change was requested counts."""
        if self.pending is None:
            return self.current  # type: ignore[return-value]  # a slot in use has one or the other
        if self.current and self.current.volume == self.pending.volume:
            return self.pending.with_size(self.current.size)
        return self.pending

    @property
    def stale(self) -> bool:
        """Whether the next restart would write back a size from before a resize."""
        return self.pending is not None and self.pending.size != self.effective.size

    def waiting(self) -> dict[str, str | None]:
        """Options whose requested value does not hold yet; the volume too, for a disk that is not attached yet."""
        return _differences(self.current, self.pending) if self.pending else {}


def _differences(current: Drive | None, later: Drive) -> dict[str, str | None]:
    now = {"volume": current.volume, **current.options} if current else {}
    soon: dict[str, str | None] = {"volume": later.volume or None, **later.options}
    return {key: soon.get(key) for key in sorted({*now, *soon}) if key not in now or now[key] != soon.get(key)}


def _pluggable(slot: str, config: Mapping[str, Any], running: bool) -> bool:
    """Whether a disk gets into that slot, or out of it, without a restart."""
    features = str(config.get("hotplug", "1"))
    return not running or (bus_of(slot) in _HOTPLUG_BUSES and (features == "1" or "disk" in re.split(r"[,;\s]+", features)))


def _slots(config: Mapping[str, Any], pending: Iterable[Mapping[str, Any]]) -> dict[str, _Found]:
    """Every slot that is in use now or will be after a restart."""
    rows = {row["key"]: row for row in pending if bus_of(row["key"])}
    current = {key: str(value) for key, value in config.items() if bus_of(key)}
    found = {}
    for slot in sorted({*rows, *current}):
        row = rows.get(slot, {})
        waiting = row.get("pending")
        found[slot] = _Found(
            current=parse_drive(slot, current[slot]) if slot in current else None,
            pending=parse_drive(slot, waiting) if waiting is not None else None,
            leaving=int(row.get("delete") or 0),
        )
    return {slot: entry for slot, entry in found.items() if entry.current or entry.pending}


def plan(
    config: Mapping[str, Any],
    pending: Iterable[Mapping[str, Any]],
    wanted: Sequence[Wanted],
    *,
    running: bool = True,
) -> Plan:
    """Compare a machine's current configuration and its pending values with the declared disks."""
    _refuse_doubles(wanted)
    there = _slots(config, pending)
    slots = dict(there)
    result = Plan([], [], [], [])
    for disk in wanted:
        if disk.absent:
            _remove(disk, slots, config, running, result)
            continue
        slot = _match(disk, slots)
        if slot is None and disk.volume:
            _attach(disk, slots, config, result)
        elif slot is None:
            _create(disk, slots, config, result)
        else:
            _adjust(disk, slots[slot], config, running, result)
    written = {step.slot for step in result.steps if step.action in _WRITES}
    result.after[:] = [
        _foretell(state, there.get(state.drive.slot), config, running) if state.drive.slot in written else state for state in result.after
    ]
    return result


def _foretell(state: DiskState, found: _Found | None, config: Mapping[str, Any], running: bool) -> DiskState:
    """The state with what will wait for a restart: the whole of a drive's new value, or nothing."""
    current, drive = found.current if found else None, state.drive
    if current and current.volume == drive.volume:
        waits = running and any(current.options.get(key) != drive.options.get(key) for key in COLD_OPTIONS)
    else:
        current, waits = None, not _pluggable(drive.slot, config, running)
    return replace(state, pending=_differences(current, drive) if waits else {})


def _refuse_doubles(wanted: Sequence[Wanted]) -> None:
    for what in ("serial", "slot"):
        counted = Counter(getattr(disk, what) for disk in wanted)
        for value, count in counted.items():
            if value and count > 1:
                raise DeclarationError(f"{what} {value} is declared {count} times: each disk needs one of its own")


def _match(disk: Wanted, slots: Mapping[str, _Found]) -> str | None:
    """The slot of a declared disk: by its serial, else the declared slot of a disk that has none."""
    same = [slot for slot, entry in slots.items() if disk.serial and entry.effective.serial == disk.serial and not entry.effective.cdrom]
    if len(same) > 1:
        raise DeclarationError(f"disks {' and '.join(same)} both carry the serial {disk.serial}: give one of them another by hand")
    if same:
        if disk.slot not in (None, same[0]):
            raise DeclarationError(
                f"disk {disk.serial} is at {same[0]}, declared is slot {disk.slot}: a disk is not moved, declare slot {same[0]} or none"
            )
        return same[0]
    if disk.volume and (holders := [slot for slot, entry in slots.items() if entry.effective.volume == disk.volume]):
        return _holder(disk, holders[0], slots)
    if disk.slot is None or ((disk.volume or disk.absent) and disk.slot not in slots):
        return None
    if disk.slot not in slots:
        raise DeclarationError(
            f"slot {disk.slot} is empty: 'slot' names a disk that is there already; leave it out to have disk {disk.label} created"
        )
    return _holder(disk, disk.slot, slots)


def _holder(disk: Wanted, slot: str, slots: Mapping[str, _Found]) -> str:
    """The slot, when what it holds can be the declared disk."""
    holder = slots[slot].effective
    if holder.cdrom:
        raise DeclarationError(f"slot {slot} holds a CD-ROM drive ({holder.volume}): declare the slot of a disk")
    if holder.serial and disk.serial and holder.serial != disk.serial:
        raise DeclarationError(
            f"slot {slot} holds a disk with the serial {holder.serial}, wanted is {disk.serial}: "
            "only a disk without a serial is adopted by its slot"
        )
    if disk.slot not in (None, slot):
        raise DeclarationError(f"the volume {disk.volume} is at {slot}, declared is slot {disk.slot}: declare slot {slot} or none")
    return slot


def _create(disk: Wanted, slots: dict[str, _Found], config: Mapping[str, Any], result: Plan) -> None:
    missing = [key for key in ("storage", "size") if getattr(disk, key) is None]
    if missing or disk.storage is None:
        raise DeclarationError(f"disk {disk.label} is not there, and creating it takes its {' and '.join(missing)}: declare it")
    drive = _new_drive(disk, "", slots)
    if unused := sorted(f"{key} ({value})" for key, value in config.items() if key.startswith("unused")):
        result.warnings.append(
            f"disk {disk.label} is not there and gets a new, empty volume; the machine has detached volumes too: {', '.join(unused)}"
        )
    _warn_about_iothread(drive, disk, config, result)
    result.steps.append(Step("create", disk.label, drive.slot, allocation(drive, disk.format), disk.storage, disk.size or 0))
    result.after.append(DiskState(disk.label, drive))


def _attach(disk: Wanted, slots: dict[str, _Found], config: Mapping[str, Any], result: Plan) -> None:
    """Give the machine a volume that is there already, with all that is on it."""
    volume = str(disk.volume)
    if volume.startswith("unused"):
        detached = {key: value for key, value in config.items() if key.startswith("unused")}
        if volume not in detached:
            known = ", ".join(f"{key} ({value})" for key, value in sorted(detached.items())) or "none"
            raise DeclarationError(f"disk {disk.label} is to be {volume}, which the machine does not have; it has: {known}")
        volume = detached[volume]
    if disk.storage not in (None, volume.partition(":")[0]):
        raise DeclarationError(f"disk {disk.label}: the volume {volume} is not on the storage {disk.storage}: leave out one of the two")
    drive = _new_drive(disk, volume, slots)
    _warn_about_iothread(drive, disk, config, result)
    # Proxmox reads the size from the volume itself.
    result.steps.append(Step("attach", disk.label, drive.slot, str(drive.with_size(None)), drive.storage))
    result.after.append(DiskState(disk.label, drive))


def _new_drive(disk: Wanted, volume: str, slots: dict[str, _Found]) -> Drive:
    """A drive in the declared slot, else the first free one of its bus, which is then taken."""
    bus = disk.bus or "scsi"
    slot = disk.slot or next((name for number in range(BUSES[bus]) if (name := f"{bus}{number}") not in slots), None)
    if slot is None:
        raise DeclarationError(f"no slot is free on the bus {bus} for disk {disk.label} (it has {BUSES[bus]}): choose another bus")
    _check_options(disk, slot)
    serial = {"serial": encode_serial(disk.serial)} if disk.serial else {}
    drive = Drive(slot, volume, disk.size, {**serial, **disk.options}, planned_on="" if volume else disk.storage or "")
    slots[slot] = _Found(drive, None, leaving=0)
    return drive


def _remove(disk: Wanted, slots: dict[str, _Found], config: Mapping[str, Any], running: bool, result: Plan) -> None:
    """Detach a disk, which keeps its volume as ``unusedN``; destroy the volume only where the declaration says so.

    A slot that is empty from then on can be that of a disk declared further down.
    """
    unused = next((key for key, value in config.items() if key.startswith("unused") and disk.volume in (key, value)), None)
    if unused:
        volume = str(config[unused])
        if disk.destroy:
            result.going.append(DiskState(disk.label, Drive(unused, volume)))
            result.steps.append(Step("destroy", disk.label, unused, volume, volume.partition(":")[0]))
        return
    slot = _match(disk, slots)
    if slot is None:
        return
    found = slots[slot]
    if disk.serial and disk.slot is None and found.effective.serial != disk.serial:
        raise DeclarationError(
            f"disk {disk.label} is to be absent, and its volume {disk.volume} is attached at {slot} without a serial: "
            f"declare slot {slot} too, so that no other disk is meant"
        )
    if slot in str(config.get("boot", "")).partition("order=")[2].split(";") or slot == config.get("bootdisk"):
        raise DeclarationError(f"disk {disk.label} ({slot}) is one that the machine boots from: take it out of the boot order first")
    waits = found.leaving >= 1 + disk.destroy
    lingers = waits or (found.current is not None and not _pluggable(slot, config, running))
    result.going.append(DiskState(disk.label, found.effective, lingers=lingers))
    if not waits:
        action = "destroy" if disk.destroy else "detach"
        result.steps.append(Step(action, disk.label, slot, found.effective.volume, found.effective.storage))
    if not lingers:
        del slots[slot]


def _adjust(disk: Wanted, found: _Found, config: Mapping[str, Any], running: bool, result: Plan) -> None:
    drive = found.effective
    label = disk.label if disk.label == drive.slot else f"{disk.label} ({drive.slot})"
    if found.leaving:
        raise DeclarationError(f"disk {label} waits to be detached at the next restart: revert that change or restart the machine first")
    for what, have, want in (("bus", bus_of(drive.slot), disk.bus), ("storage", drive.storage, disk.storage)):
        if want not in (None, have):
            raise DeclarationError(f"disk {label} has the {what} {have}, declared is {want}: a disk is not moved, declare {have}")
    if disk.volume and not disk.volume.startswith("unused") and disk.volume != drive.volume:
        raise DeclarationError(
            f"disk {label} has the volume {drive.volume}, declared is {disk.volume}: a disk is not exchanged, detach that one first"
        )
    _check_options(disk, drive.slot)
    result.before.append(DiskState(disk.label, drive, found.waiting()))
    changes = {key: value for key, value in disk.options.items() if drive.value(key) != value}
    if found.current is None and _pluggable(drive.slot, config, running):
        # Left over from a write that failed half-way: the same value once more has it plugged.
        found = _Found(drive.with_options(changes), None, leaving=0)
        drive = found.effective
        result.steps.append(Step("attach", disk.label, drive.slot, str(drive), drive.storage))
        changes = {}
    after = drive.with_size(_grow(disk, found, label, result))
    if changes or (found.pending and (found.stale or after.size != drive.size)):
        after = after.with_options(changes)
        result.steps.append(Step("configure", disk.label, drive.slot, str(after), drive.storage))
    _warn_about_iothread(after, disk, config, result)
    result.after.append(DiskState(disk.label, after, found.waiting()))


def _grow(disk: Wanted, found: _Found, label: str, result: Plan) -> int | None:
    """The size after the step that it takes, if any."""
    drive = found.effective
    if disk.size is None:
        return drive.size
    if drive.size is None:
        raise DeclarationError(
            f"the configuration does not tell the size of disk {label}: run 'qm disk rescan' for the machine on its node"
        )
    if drive.size - disk.size >= EXTENT:
        raise DeclarationError(
            f"disk {label} has {format_size(drive.size)}, wanted is {format_size(disk.size)}: "
            f"a disk cannot be shrunk, declare {format_size(drive.size)} or more"
        )
    if disk.size <= drive.size:
        return drive.size
    if found.current is None or found.current.volume != drive.volume:
        raise DeclarationError(
            f"disk {label} is attached at the next restart only and cannot grow from {format_size(drive.size)} "
            f"to {format_size(disk.size)} before: restart the machine first"
        )
    result.steps.append(Step("resize", disk.label, drive.slot, format_size(disk.size), drive.storage, disk.size - drive.size))
    return disk.size


def _check_options(disk: Wanted, slot: str) -> None:
    bus = bus_of(slot)
    strange = sorted(key for key in disk.options if bus not in OPTIONS[key].buses)
    if strange:
        raise DeclarationError(f"disk {disk.label} is on the bus {bus}, which has no option {', '.join(strange)}: leave it out")


def _warn_about_iothread(drive: Drive, disk: Wanted, config: Mapping[str, Any], result: Plan) -> None:
    if disk.options.get("iothread") == "1" and bus_of(drive.slot) == "scsi" and config.get("scsihw") != "virtio-scsi-single":
        result.warnings.append(f"disk {disk.label}: Proxmox ignores iothread unless the machine's scsihw is virtio-scsi-single")
