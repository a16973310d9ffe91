"""What a running virtual machine does when Proxmox plugs a disk: here, for a machine that is a container.

The disk is a loop device on the volume's file. A loop device has no serial of its own, so the node's udev database gets the entry that a
SCSI disk's would be: one of the lab's stand-ins.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from lab.machine import Machine
from lab.proxmox.guest import GuestDisk, GuestError
from lab.settings import STATE
from lab.shell import LabError, run

_LOG = logging.getLogger(__name__)


class NspawnGuest:
    """The machines behind the lab's virtual machine numbers."""

    def __init__(self, machines: dict[int, Machine]) -> None:
        self._machines = machines

    def start(self, vmid: int, disks: Mapping[str, GuestDisk]) -> None:
        """Show the machine its disks; the lab itself switches its containers on and off."""
        for slot, disk in disks.items():
            try:
                self.plug(vmid, slot, disk)
            except GuestError as error:
                _LOG.warning("VM %s: %s: %s", vmid, slot, error)

    def stop(self, vmid: int) -> None:
        """Leave the container to the lab."""

    def plug(self, vmid: int, slot: str, disk: GuestDisk) -> None:
        """Show the disk to the machine; harmless when it is there already, and for a boot disk, which a container does without."""
        machine = self._machines.get(vmid)
        if machine is None or disk.boot:
            return
        record = _record(vmid, slot)
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps({"file": str(disk.path), "serial": disk.serial, "device_id": disk.device_id}))
        if machine.leader is not None:
            try:
                _show(machine, record)
            except LabError as error:
                raise GuestError(str(error)) from error

    def unplug(self, vmid: int, slot: str) -> None:
        """Take the disk away from the machine, unless it is mounted there."""
        machine, record = self._machines.get(vmid), _record(vmid, slot)
        if machine is None or not record.exists():
            return
        device = _loop(Path(json.loads(record.read_text())["file"]))
        if device is not None:
            number = _number(device)
            if machine.leader is not None:
                if any(line.split()[2] == number for line in machine.execute("cat", "/proc/self/mountinfo").splitlines()):
                    raise GuestError(f"{device} is mounted in {machine.host.name}")
                machine.execute("rm", "-f", device, f"/run/udev/data/b{number}")
            run(["losetup", "--detach", device])
        record.unlink()

    def resize(self, vmid: int, slot: str, size_bytes: int) -> None:  # noqa: ARG002 - a loop device reads the size from its file
        """Let the machine see the disk's new size."""
        record = _record(vmid, slot)
        device = _loop(Path(json.loads(record.read_text())["file"])) if record.exists() else None
        if device is not None:
            run(["losetup", "--set-capacity", device])

    def replug(self, vmid: int) -> None:
        """Show a machine that was switched on all the disks that it had."""
        for record in sorted(_record(vmid, "").parent.glob("*.json")):
            _show(self._machines[vmid], record)


def detach_below(directory: Path) -> None:
    """Detach the loop devices of every file below a directory."""
    for entry in _loops():
        if entry["back-file"].startswith(f"{directory}/"):
            run(["losetup", "--detach", entry["name"]])


def _show(machine: Machine, record: Path) -> None:
    disk = json.loads(record.read_text())
    file, serial = Path(disk["file"]), disk["serial"]
    # As udev reads the page with the disk's names: what the disk calls itself, the serial where that is all it has.
    name = disk.get("device_id") or serial or f"drive-{record.stem}"
    device = _loop(file) or Path(run(["losetup", "--find", "--show", file]).strip())
    properties = {"DEVTYPE": "disk", "ID_BUS": "scsi", "ID_MODEL": "QEMU_HARDDISK", "ID_SERIAL": f"0QEMU_QEMU_HARDDISK_{name}"}
    if serial:
        properties["ID_SCSI_SERIAL"] = serial
    number = _number(device)
    machine.execute("mkdir", "-p", "/run/udev/data")
    machine.execute("tee", f"/run/udev/data/b{number}", stdin="".join(f"E:{key}={value}\n" for key, value in properties.items()))
    machine.execute("sh", "-c", f"test -b {device} || mknod -m 0660 {device} b {number.replace(':', ' ')}")


def _record(vmid: int, slot: str) -> Path:
    return STATE / "plugged" / str(vmid) / f"{slot}.json"


def _number(device: Path) -> str:
    number = device.stat().st_rdev
    return f"{os.major(number)}:{os.minor(number)}"


def _loops() -> list[dict[str, str]]:
    listing = run(["losetup", "--list", "--json", "--output", "NAME,BACK-FILE"]).strip()
    return json.loads(listing)["loopdevices"] if listing else []


def _loop(file: Path) -> Path | None:
    return next((Path(entry["name"]) for entry in _loops() if entry["back-file"] == str(file)), None)
