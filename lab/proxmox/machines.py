# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual machines: their configuration, their disks, and what a running guest takes at once."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lab.proxmox.access import Access
from lab.proxmox.drives import (
    UNITS,
    Drive,
    bus_of,
    device_id,
    format_size,
    parse_drive,
    parse_size,
)
from lab.proxmox.errors import ApiError, failure, invalid
from lab.proxmox.guest import Guest, GuestDisk, GuestError
from lab.proxmox.parameters import OPTION_PRIVILEGES, UNUSED_SLOTS
from lab.proxmox.state import Store, VmConfig
from lab.proxmox.storage import Storages
from lab.proxmox.tasks import Tasks

_LOG = logging.getLogger(__name__)

# Options that a running machine cannot change on a disk which it holds: they wait for a restart.
COLD_OPTIONS = ("aio", "cache", "discard", "iothread", "product", "queues", "ro", "ssd", "vendor")
# Options of the machine that take effect without a restart.
LIVE_OPTIONS = frozenset({"boot", "description", "hotplug", "lock", "name", "onboot", "protection", "tags"})
DEFAULT_HOTPLUG = "network,disk,usb"


class Machines:
    """All virtual machines of the cluster."""

    def __init__(self, store: Store, storages: Storages, tasks: Tasks, guest: Guest, lock_timeout: float = 10.0) -> None:
        self.store = store
        self.storages = storages
        self.tasks = tasks
        self.guest = guest
        self.lock_timeout = lock_timeout
        self._locks: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)

    # -- reading -----------------------------------------------------------------------------------------------------------

    def running(self, vmid: int) -> bool:
        """Whether there is a guest to plug disks into."""
        return self.store.vms[vmid]["status"] == "running"

    def pending(self, vmid: int, node: str) -> list[dict[str, Any]]:
        """Current and waiting values side by side."""
        config = self.store.load(vmid, node)
        current = {**config.current, "digest": config.digest}
        rows = []
        for key in sorted({*current, *config.pending}):
            row: dict[str, Any] = {"key": key}
            if key in current:
                row["value"] = current[key]
            if key in config.pending:
                row["pending"] = config.pending[key]
            if key in config.doomed:
                row["delete"] = 2 if config.doomed[key] else 1
            rows.append(row)
        return rows

    # -- locking -----------------------------------------------------------------------------------------------------------

    def _acquire(self, vmid: int) -> threading.Lock:
        lock = self._locks[vmid]
        if not lock.acquire(timeout=self.lock_timeout):
            raise failure(f"can't lock file '/var/lock/qemu-server/lock-{vmid}.conf' - got timeout")
        return lock

    @contextmanager
    def _locked(self, vmid: int) -> Iterator[None]:
        lock = self._acquire(vmid)
        try:
            yield
        finally:
            lock.release()

    def _guarded(self, vmid: int, node: str, digest: str | None, skiplock: bool | None, access: Access) -> VmConfig:
        """The configuration, unless somebody has locked it or changed it since the caller's look at it."""
        config = self.store.load(vmid, node)
        if digest and digest != config.digest:
            raise failure("checksum mismatch (file change by other user?)")
        if skiplock and access.name != "root@pam":
            raise invalid({"skiplock": "Only root may use this option."})
        if "lock" in config.current and not skiplock:
            raise failure(f"VM is locked ({config.current['lock']})")
        return config

    # -- configuration -----------------------------------------------------------------------------------------------------

    def update(self, access: Access, node: str, vmid: int, values: dict[str, Any], *, sync: bool) -> str | None:
        """POST (a task) and PUT (at once) of a machine's configuration."""
        control = {key: values.pop(key, None) for key in ("digest", "skiplock", "force")}
        deleted, reverted = (_ids(values.pop(key, None)) for key in ("delete", "revert"))
        drives = {key: parse_drive(key, value) for key, value in values.items() if bus_of(key)}
        if double := set(values) & set(deleted):
            raise invalid({key: f"you can't use '-{key}' and '-delete {key}' at the same time" for key in double})
        if strange := [key for key in deleted if not _known(key)]:
            raise invalid({"delete": f"unknown option '{strange[0]}'"})
        self._permit(access, vmid, [*values, *deleted, *reverted], drives)

        lock = self._acquire(vmid)
        try:
            config = self._guarded(vmid, node, control["digest"], control["skiplock"], access)
            _protect(config, deleted)

            def work() -> None:
                """Runs with the lock held: nobody reads, decides and writes in between."""
                try:
                    self._apply(vmid, config, values, drives, deleted, reverted, bool(control["force"]))
                finally:
                    lock.release()

            if not sync:
                return self.tasks.start(node, "qmconfig", vmid, access.name, work)
        except BaseException:
            lock.release()
            raise
        work()
        return None

    def _permit(self, access: Access, vmid: int, keys: list[str], drives: dict[str, Drive]) -> None:
        path = f"/vms/{vmid}"
        for key in keys:
            access.check(path, "VM.Config.Disk" if bus_of(key) or _unused(key) else OPTION_PRIVILEGES.get(key, "VM.Config.Options"))
        for drive in drives.values():
            storage = drive.allocation[0] if drive.allocation else drive.file.partition(":")[0]
            if drive.file != "none":
                self.storages.get(storage)
                access.check(f"/storage/{storage}", "Datastore.AllocateSpace")

    def _apply(
        self, vmid: int, config: VmConfig, values: dict[str, Any], drives: dict[str, Drive],
        deleted: list[str], reverted: list[str], force: bool,
    ) -> None:  # fmt: skip
        for key in reverted:
            config.pending.pop(key, None)
            config.doomed.pop(key, None)
        for key in deleted:
            if _unused(key):
                self._destroy_unused(config, key)
            elif key in config.current:
                config.doomed[key] = force
            self._forget(config, key)
        for key, value in values.items():
            self._request(vmid, config, key, drives.get(key), _text(value))
            self.store.save(vmid, config)  # one after the other: what comes before a failure stays, and waits
        config.tidy()
        self.store.save(vmid, config)
        errors = self._take_effect(vmid, config, {*values, *deleted, *reverted})
        config.tidy()
        self.store.save(vmid, config)
        if errors:
            raise invalid(errors)

    def _request(self, vmid: int, config: VmConfig, key: str, drive: Drive | None, value: str) -> None:
        """Note a value that is to hold, with its volume allocated where that is still to be done."""
        if drive:
            if drive.allocation:
                storage, size = drive.allocation
                drive = drive.allocated(self.storages.allocate(storage, vmid, size, drive.options.get("format", "raw")), size)
            elif not drive.cdrom and not _same_volume(drive, config.current.get(key), key):
                drive = drive.with_options(size=format_size(self.storages.path(drive.file).stat().st_size))
            value = str(drive)
            self._forget(config, key)
            for unused in [name for name, volume in config.current.items() if _unused(name) and volume == drive.file]:
                del config.current[unused]
        config.doomed.pop(key, None)
        config.pending[key] = value

    def _forget(self, config: VmConfig, key: str) -> None:
        """Drop a value that waits; the volume of a disk that was never plugged becomes unused."""
        waiting = config.pending.pop(key, None)
        if waiting and bus_of(key) and not _same_volume(drive := parse_drive(key, waiting), config.current.get(key), key):
            _keep(config, drive)

    def _take_effect(self, vmid: int, config: VmConfig, selection: set[str]) -> dict[str, str]:
        """Apply what can be applied now; the rest stays pending. Returns the hot-plug problems.

        A running machine takes what this very call has asked for, no matter what waits besides; a stopped one takes everything.
        """
        errors: dict[str, str] = {}
        changes: list[tuple[str, str | None]] = [(key, None) for key in config.doomed]
        for key, value in [*changes, *config.pending.items()]:
            try:
                if self.running(vmid) and (key not in selection or not self._hotplug(vmid, config, key, value)):
                    continue
                self._commit(config, key, value)
            except (GuestError, ApiError) as error:
                errors[key] = f"hotplug problem - {error}"
        return errors

    def _hotplug(self, vmid: int, config: VmConfig, key: str, value: str | None) -> bool:
        """Do to the running guest what a change asks for; false when the change has to wait for a restart."""
        bus = bus_of(key)
        if not bus:
            return key in LIVE_OPTIONS
        old = parse_drive(key, config.current[key]) if key in config.current else None
        new = parse_drive(key, value) if value else None
        if old and new and old.file == new.file:
            return all(old.options.get(option) == new.options.get(option) for option in COLD_OPTIONS)
        if bus in ("ide", "sata") or "disk" not in _hotplug_features(config):
            return False
        if old:
            self.guest.unplug(vmid, key)
        if new and not new.cdrom:
            self.guest.plug(vmid, key, self._guest_disk(config, key, new))
        return True

    def _commit(self, config: VmConfig, key: str, value: str | None) -> None:
        """Write a change that has taken effect; a volume which nothing refers to any more becomes unused."""
        force = config.doomed.pop(key, False)
        config.pending.pop(key, None)
        old = config.current.pop(key, None)
        if value is not None:
            config.current[key] = value
        if old and bus_of(key):
            drive = parse_drive(key, old)
            if not drive.cdrom and (value is None or parse_drive(key, value).file != drive.file):
                if force:
                    self.storages.free_volume(drive.file)
                else:
                    _keep(config, drive)

    def _destroy_unused(self, config: VmConfig, key: str) -> None:
        if key in config.current:
            self.storages.free_volume(config.current.pop(key))

    # -- size --------------------------------------------------------------------------------------------------------------

    def resize(self, access: Access, node: str, vmid: int, disk: str, size: str, digest: str | None, skiplock: bool | None) -> str:
        """Grow a disk. Everything is looked at inside the task, the digest and the lock too."""
        access.check(f"/vms/{vmid}", "VM.Config.Disk")
        self.store.load(vmid, node)

        def work() -> None:
            with self._locked(vmid):
                config = self._guarded(vmid, node, digest, skiplock, access)
                if disk not in config.current:
                    raise failure(f"disk '{disk}' does not exist")
                drive = parse_drive(disk, config.current[disk])
                if drive.cdrom:
                    raise failure("you can't resize a cdrom")
                access.check(f"/storage/{drive.file.partition(':')[0]}", "Datastore.AllocateSpace")
                old = self.storages.path(drive.file).stat().st_size
                new = parse_size(size.removeprefix("+")) + (old if size.startswith("+") else 0)
                new += -new % UNITS["K"]
                if new < old:
                    raise failure("shrinking disks is not supported")
                if new == old:
                    return
                self.storages.grow(drive.file, new)
                if self.running(vmid):
                    self.guest.resize(vmid, disk, new)
                config.current[disk] = str(drive.with_options(size=format_size(new)))
                self.store.save(vmid, config)

        return self.tasks.start(node, "resize", vmid, access.name, work)

    # -- power -------------------------------------------------------------------------------------------------------------

    def start(self, access: Access, node: str, vmid: int) -> str:
        """Start a machine with its pending values applied."""
        return self._power(access, node, vmid, "qmstart", lambda: self._boot(vmid))

    def stop(self, access: Access, node: str, vmid: int) -> str:
        """Switch a machine off."""
        return self._power(access, node, vmid, "qmstop", lambda: self._halt(vmid))

    def _power(self, access: Access, node: str, vmid: int, kind: str, work: Callable[[], None]) -> str:
        access.check(f"/vms/{vmid}", "VM.PowerMgmt")
        self.store.load(vmid, node)

        def locked() -> None:
            with self._locked(vmid):
                work()

        return self.tasks.start(node, kind, vmid, access.name, locked)

    def _boot(self, vmid: int) -> None:
        if self.running(vmid):
            raise failure(f"VM {vmid} already running")
        config = self.store.load(vmid)
        for key, value in [*((key, None) for key in list(config.doomed)), *list(config.pending.items())]:
            self._commit(config, key, value)
        self.store.save(vmid, config)
        try:
            self.resume(vmid)
        except GuestError as error:
            raise failure(f"start failed: {error}") from error
        self.store.set_status(vmid, "running")

    def _halt(self, vmid: int) -> None:
        self.guest.stop(vmid)
        self.store.set_status(vmid, "stopped")

    def resume(self, vmid: int) -> None:
        """Have the guest on, with the disks which its configuration says it has. Raises GuestError when it does not start."""
        config, disks = self.store.load(vmid), {}
        for key, value in config.current.items():
            if bus_of(key) and not (drive := parse_drive(key, value)).cdrom:
                try:
                    disks[key] = self._guest_disk(config, key, drive)
                except ApiError as error:
                    _LOG.warning("VM %s: %s: %s", vmid, key, error)
        self.guest.start(vmid, disks)

    def _guest_disk(self, config: VmConfig, slot: str, drive: Drive) -> GuestDisk:
        path = self.storages.path(drive.file)
        order = config.current.get("boot", "").partition("order=")[2].split(";")
        return GuestDisk(
            path=path,
            size_bytes=path.stat().st_size,
            serial=drive.serial,
            bus=bus_of(slot),
            read_only=drive.options.get("ro") == "1",
            boot=slot in order,
            device_id=device_id(config.current.get("machine"), slot),
        )


def _protect(config: VmConfig, deleted: list[str]) -> None:
    """Keep the disks of a protected machine."""
    kept = [key for key in deleted if bus_of(key) or _unused(key)]
    if kept and config.current.get("protection") == "1":
        raise failure(f"can't remove drive '{kept[0]}' - protection mode enabled")


def _hotplug_features(config: VmConfig) -> list[str]:
    value = config.current.get("hotplug", "1")
    return (DEFAULT_HOTPLUG if value == "1" else value).split(",")


def _keep(config: VmConfig, drive: Drive) -> None:
    """Let the machine know a volume that no slot refers to any more."""
    if not drive.cdrom:
        free = next(name for number in range(UNUSED_SLOTS) if (name := f"unused{number}") not in config.current)
        config.current[free] = drive.file


def _ids(value: str | None) -> list[str]:
    return [key for key in (value or "").replace(";", ",").replace(" ", ",").split(",") if key]


def _unused(key: str) -> bool:
    return key.startswith("unused")


def _known(key: str) -> bool:
    return bool(bus_of(key)) or _unused(key) or key in OPTION_PRIVILEGES


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def _same_volume(drive: Drive, current: str | None, slot: str) -> bool:
    return current is not None and parse_drive(slot, current).file == drive.file
