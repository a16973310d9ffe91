"""Disks and filesystems on a real virtual machine, from hot-plug to a boot without the disk. The tests build on one another."""

from __future__ import annotations

from subprocess import CalledProcessError, TimeoutExpired
from typing import Any

from lab import virtual_machine
from lab.settings import WORKER_1
from tests.platform.reality import wait_for
from tests.proxmox import VirtualMachine
from tests.vm.conftest import Run
from tests.vm.guest import Mounted, checksum, device, fstab, links, mounted, properties, say, sentinel, shell, there

GIB = 1024**3
DISK, MOUNT = "airflow-data", "/mnt/airflow-data"
SCRATCH, PLACE = "scratch", "/mnt/scratch"
XFS: dict[str, Any] = {"name": SCRATCH, "storage": "local-lvm", "size": "1G", "bus": "virtio", "mount": PLACE, "fstype": "xfs"}
GROWN = {**XFS, "size": "2G"}


def test_a_scsi_disk_is_known_by_its_serial_and_mounted_by_its_uuid() -> None:
    path = device(DISK)
    assert links(path) == {f"scsi-0QEMU_QEMU_HARDDISK_{DISK}"}
    now = there(MOUNT)
    assert (now.device, now.fstype) == (path, "ext4")
    assert say(f"blkid -p -s UUID -o value {path}") == now.uuid
    assert fstab(MOUNT) == (f"UUID={now.uuid}", "ext4", "nofail,noatime")
    assert "noatime" in now.options
    assert say(f"stat --format=%u:%a {MOUNT}/postgresql") == "999:700"


def test_a_virtio_disk_is_plugged_into_the_running_guest_and_becomes_xfs(run: Run, data: dict[str, Any]) -> None:
    before = boot_id()
    assert run(data, XFS) > 0
    path = device(SCRATCH)
    assert links(path) == {f"virtio-{SCRATCH}"}
    now = there(PLACE)
    assert (now.device, now.fstype) == (path, "xfs")
    assert fstab(PLACE) == (f"UUID={now.uuid}", "xfs", "nofail,noatime")
    assert boot_id() == before


def test_filesystems_grow_while_they_are_mounted(run: Run, data: dict[str, Any]) -> None:
    before = {place: (there(place), sentinel(place)) for place in (MOUNT, PLACE)}
    larger = {**data, "size": "9G"}
    assert run(larger, GROWN) > 0
    for place, size in ((MOUNT, 9), (PLACE, 2)):
        was, content = before[place]
        now = there(place)
        assert say(f"blockdev --getsize64 {now.device}") == str(size * GIB)
        # The very same mount: nothing was unmounted in between.
        assert (now.id, now.uuid) == (was.id, was.uuid)
        assert now.size - was.size > 0.9 * GIB
        assert checksum(place) == content
    assert run(larger, GROWN) == 0


def test_a_reboot_brings_every_mount_back(run: Run, data: dict[str, Any]) -> None:
    before = {place: (there(place).uuid, sentinel(place)) for place in (MOUNT, PLACE)}
    boot = boot_id()
    soon("reboot")
    wait_for("the next boot", lambda: boot_id() not in ("", boot), 300)
    for place, state in before.items():
        assert (wait_until_mounted(place).uuid, checksum(place)) == state
    assert run({**data, "size": "9G"}, GROWN) == 0


def test_a_missing_disk_does_not_look_like_an_empty_one(run: Run, virtual: VirtualMachine, data: dict[str, Any]) -> None:
    machine = virtual_machine.VirtualMachine(WORKER_1)
    before = there(MOUNT).uuid, sentinel(MOUNT)
    slot = virtual.slot(DISK)
    volume = virtual.volume(slot)
    soon("poweroff")
    wait_for("the power to go off", lambda: not machine.on, 180)
    virtual.stop()
    virtual.detach(slot)
    # From this start on, SCSI disks name themselves.
    virtual.set(machine="pc-i440fx-10.0")
    virtual.start()
    machine.wait()

    wait_until_mounted(PLACE)
    assert mounted(MOUNT) is None
    assert say(f"ls -A {MOUNT}") == ""
    assert "i" in say(f"lsattr -d {MOUNT}").split()[0]
    assert "Operation not permitted" in shell(f"touch {MOUNT}/lost 2>&1 || true")

    assert virtual.config["unused0"] == volume
    assert run({**data, "size": "9G", "volume": "unused0"}, GROWN) > 0
    assert (there(MOUNT).uuid, checksum(MOUNT)) == before


def test_a_scsi_disk_that_names_itself_is_found_by_the_value_of_its_serial(run: Run, virtual: VirtualMachine, data: dict[str, Any]) -> None:
    path, slot = there(MOUNT).device, virtual.slot(DISK)
    assert device(DISK) == path
    assert links(path) == {f"scsi-0QEMU_QEMU_HARDDISK_drive-{slot}"}
    known = properties(path)
    assert (known["ID_SCSI_SERIAL"], known["ID_SERIAL_SHORT"]) == (DISK, f"drive-{slot}")
    assert run({**data, "size": "9G"}, GROWN) == 0


def test_a_disk_is_unplugged_and_plugged_again_while_the_guest_runs(virtual: VirtualMachine) -> None:
    before = there(PLACE).uuid, sentinel(PLACE)
    slot = virtual.slot(SCRATCH)
    volume = virtual.volume(slot)
    say(f"umount {PLACE}")
    virtual.detach(slot)
    assert SCRATCH not in say("lsblk --nodeps --output SERIAL")
    virtual.attach(slot, volume, serial=SCRATCH, ro="1")
    assert say(f"blockdev --getro {wait_until_plugged(SCRATCH)}") == "1"
    virtual.detach(slot)
    virtual.attach(slot, volume, serial=SCRATCH)
    wait_until_plugged(SCRATCH)
    shell(f"findmnt {PLACE} || mount {PLACE}")
    assert (there(PLACE).uuid, checksum(PLACE)) == before


def soon(action: str) -> None:
    """Let systemd do it when this connection has had its answer."""
    say(f"systemd-run --quiet --on-active=1 --timer-property=AccuracySec=100ms systemctl {action}")


def boot_id() -> str:
    """What changes with every boot; nothing while the guest cannot be asked."""
    try:
        return say("cat /proc/sys/kernel/random/boot_id")
    except (CalledProcessError, TimeoutExpired):
        return ""


def wait_until_mounted(place: str) -> Mounted:
    """What is mounted at a place: sshd may answer before all disks have been checked."""
    wait_for(f"the mount of {place}", lambda: mounted(place), 120)
    return there(place)


def wait_until_plugged(serial: str) -> str:
    """The node of a VirtIO disk, once udev has made its link."""
    link = f"/dev/disk/by-id/virtio-{serial}"
    return str(wait_for(link, lambda: shell(f"readlink -e {link} || true"), 60))
