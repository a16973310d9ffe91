"""What a running virtual machine does when Proxmox plugs a disk: the real thing, over QEMU's monitor.

QEMU itself knows what is plugged, so nothing is recorded beside it, and each call looks before it acts.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lab.proxmox.guest import GuestDisk, GuestError
from lab.qmp import Qmp, QmpError
from lab.shell import LabError
from lab.virtual_machine import VirtualMachine

UNPLUG_SECONDS = 60
"""How long a guest may take to let go of a disk; without KVM it is slow."""
_LOG = logging.getLogger(__name__)


class QemuGuest:
    """The virtual machines behind the lab's virtual machine numbers; numbers without one are passed over."""

    def __init__(self, machines: Mapping[int, VirtualMachine]) -> None:
        self._machines = machines

    def start(self, vmid: int, disks: Mapping[str, GuestDisk]) -> None:
        """Switch the machine on with these disks; one that is on gets those that it lacks."""
        machine = self._machines.get(vmid)
        if machine is None:
            return
        with _refusals():
            machine.power_on()
            with machine.monitor() as monitor:
                for slot, disk in disks.items():
                    _plug_or_log(monitor, vmid, slot, disk)
                # A machine that runs takes this as well.
                monitor.execute("cont")

    def stop(self, vmid: int) -> None:
        """Switch the machine off at once."""
        machine = self._machines.get(vmid)
        if machine is not None:
            machine.power_off()

    def plug(self, vmid: int, slot: str, disk: GuestDisk) -> None:
        """Plug the disk in unless it is; a machine that is off gets it when it starts."""
        with _refusals(), self._running(vmid) as monitor:
            if monitor:
                plug(monitor, slot, disk)

    def unplug(self, vmid: int, slot: str) -> None:
        """Pull the disk out, and wait until the guest has let go of it."""
        with _refusals(), self._running(vmid) as monitor:
            if monitor:
                unplug(monitor, slot)

    def resize(self, vmid: int, slot: str, size_bytes: int) -> None:
        """Let the guest see the disk's new size, while it runs."""
        with _refusals(), self._running(vmid) as monitor:
            if monitor:
                monitor.execute("block_resize", node_name=_backend(slot), size=size_bytes)

    @contextmanager
    def _running(self, vmid: int) -> Iterator[Qmp | None]:
        """The monitor of a machine that is on, else None."""
        machine = self._machines.get(vmid)
        if machine is None or not machine.on:
            yield None
            return
        with machine.monitor() as monitor:
            yield monitor


@contextmanager
def _refusals() -> Iterator[None]:
    """What the lab cannot do is what Proxmox hears from a guest that refuses."""
    try:
        yield
    except LabError as error:
        raise GuestError(str(error)) from error


def plug(monitor: Qmp, slot: str, disk: GuestDisk) -> None:
    """Open the volume and show it to the guest. Raises QmpError, and leaves nothing open then."""
    if slot in _plugged(monitor):
        return
    device = _device(slot, disk)
    _close(monitor, slot)
    file = {"driver": "file", "filename": str(disk.path), "read-only": disk.read_only}
    options = {"driver": "raw", "node-name": _backend(slot), "read-only": disk.read_only, "discard": "unmap", "file": file}
    monitor.send("blockdev-add", options)
    try:
        monitor.send("device_add", device)
    except QmpError:
        _close(monitor, slot)
        raise


def unplug(monitor: Qmp, slot: str, seconds: float = UNPLUG_SECONDS) -> None:
    """Ask the guest to let go of the disk, wait that many seconds for it, and close the volume.

    Raises QmpError when the guest refuses or takes longer; the disk stays plugged then.
    """
    if slot in _plugged(monitor):
        try:
            monitor.execute("device_del", id=slot)
        except QmpError as error:
            # The guest has been asked before and took its time; it may let go yet.
            if "already in the process of unplug" not in str(error):
                raise
        _await_unplugged(monitor, slot, seconds)
    _close(monitor, slot)


def _await_unplugged(monitor: Qmp, slot: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds

    def about_it(event: Mapping[str, Any]) -> bool:
        ends = event["event"] in ("DEVICE_DELETED", "DEVICE_UNPLUG_GUEST_ERROR")
        return ends and event["data"].get("device") == slot

    while slot in _plugged(monitor):
        event = monitor.event(about_it, max(0.0, deadline - time.monotonic()))
        if event is None:
            raise QmpError(f"error unplugging device '{slot}': the guest did not let go of it within {seconds:.0f} s")
        if event["event"] == "DEVICE_UNPLUG_GUEST_ERROR":
            raise QmpError(f"error unplugging device '{slot}': the guest refused")


def _plug_or_log(monitor: Qmp, vmid: int, slot: str, disk: GuestDisk) -> None:
    try:
        plug(monitor, slot, disk)
    except QmpError as error:
        _LOG.warning("VM %s: %s: %s", vmid, slot, error)


def _device(slot: str, disk: GuestDisk) -> dict[str, Any]:
    """The device as qemu-server makes it: its name is the slot's."""
    number = int(re.sub(r"\D", "", slot))
    device: dict[str, Any] = {"id": slot, "drive": _backend(slot)}
    if disk.serial:
        device["serial"] = disk.serial
    if disk.bus == "scsi":
        if disk.device_id:
            device["device_id"] = disk.device_id
        return {"driver": "scsi-hd", "bus": "scsihw0.0", "channel": 0, "scsi-id": number, "lun": 0, **device}
    if disk.bus == "virtio":
        return {"driver": "virtio-blk-pci", "bus": "pci.0", **device}
    raise QmpError(f"the lab's virtual machines have no controller for {slot}")


def _backend(slot: str) -> str:
    return f"drive-{slot}"


def _plugged(monitor: Qmp) -> set[str]:
    return {entry["name"] for entry in monitor.execute("qom-list", path="/machine/peripheral")}


def _close(monitor: Qmp, slot: str) -> None:
    """Close the volume if it is open."""
    if any(node.get("node-name") == _backend(slot) for node in monitor.execute("query-named-block-nodes")):
        monitor.execute("blockdev-del", node_name=_backend(slot))
