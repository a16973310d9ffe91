"""Disks and filesystems on a real virtual machine, from hot-plug to a boot without the disk. The tests tell one story, in their order."""

from __future__ import annotations

from subprocess import CalledProcessError, TimeoutExpired
from typing import Any

from lab.settings import WORKER_1
from lab.virtual_machine import VirtualMachine
from tests.platform.reality import wait_for
from tests.vm.conftest import Call, Run
from tests.vm.guest import (
    boot_id,
    checksum,
    device,
    fstab,
    links,
    mounted,
    properties,
    say,
    sentinel,
    shell,
    there,
    wait_until_mounted,
)

GIB = 1024**3
DISK, MOUNT = "airflow-data", "/mnt/airflow-data"
SCRATCH: dict[str, Any] = {
    "name": "scratch",
    "storage": "local-lvm",
    "size": "1G",
    "bus": "virtio",
    "mount": "/mnt/scratch",
    "fstype": "xfs",
}
GROWN = {**SCRATCH, "size": "2G"}


def test_a_scsi_disk_is_known_by_its_serial_and_mounted_by_its_uuid() -> None:
    path = device(DISK)
    assert f"scsi-0QEMU_QEMU_HARDDISK_{DISK}" in links(path)
    now = there(MOUNT)
    assert (now.device, now.fstype) == (path, "ext4")
    assert say(f"blkid -p -s UUID -o value {path}") == now.uuid
    assert fstab(MOUNT) == (f"UUID={now.uuid}", "ext4", "nofail,noatime")
    assert "noatime" in now.options
    assert shell(f"stat --format=%u:%a {MOUNT}/postgresql") == "999:700"


def test_a_virtio_disk_is_plugged_into_the_running_guest_and_becomes_xfs(run: Run) -> None:
    before = boot_id()
    assert run(SCRATCH) > 0
    path = device("scratch")
    assert links(path) == {"virtio-scratch"}
    now = there(SCRATCH["mount"])
    assert (now.device, now.fstype) == (path, "xfs")
    assert fstab(SCRATCH["mount"]) == (f"UUID={now.uuid}", "xfs", "nofail,noatime")
    assert boot_id() == before


def test_filesystems_grow_while_they_are_mounted(run: Run, declared: dict[str, Any]) -> None:
    data, scratch = there(MOUNT), there(SCRATCH["mount"])
    sums = sentinel(MOUNT), sentinel(SCRATCH["mount"])
    assert run({**declared, "size": "9G"}, GROWN) > 0
    for before, size in ((data, 9), (scratch, 2)):
        assert say(f"blockdev --getsize64 {before.device}") == str(size * GIB)
    grown, grown_scratch = there(MOUNT), there(SCRATCH["mount"])
    # The very same mounts: nothing was unmounted in between.
    assert (grown.id, grown_scratch.id) == (data.id, scratch.id)
    assert grown.size - data.size > 0.9 * GIB
    assert grown_scratch.size - scratch.size > 0.9 * GIB
    assert (checksum(MOUNT), checksum(SCRATCH["mount"])) == sums
    assert run({**declared, "size": "9G"}, GROWN) == 0


def test_a_reboot_brings_every_mount_back(run: Run, declared: dict[str, Any]) -> None:
    before = boot_id()
    uuids = there(MOUNT).uuid, there(SCRATCH["mount"]).uuid
    sums = sentinel(MOUNT), sentinel(SCRATCH["mount"])
    # The answer may be lost with the connection.
    shell("systemd-run --quiet --on-active=1 --timer-property=AccuracySec=100ms systemctl reboot")
    wait_for("the reboot", lambda: rebooted(before), 300)
    assert (wait_until_mounted(MOUNT).uuid, wait_until_mounted(SCRATCH["mount"]).uuid) == uuids
    assert (checksum(MOUNT), checksum(SCRATCH["mount"])) == sums
    assert run({**declared, "size": "9G"}, GROWN) == 0


def test_a_missing_disk_does_not_look_like_an_empty_one(run: Run, proxmox: Call, declared: dict[str, Any]) -> None:
    machine = VirtualMachine(WORKER_1)
    uuid, sum_before = there(MOUNT).uuid, sentinel(MOUNT)
    shell("systemd-run --quiet --on-active=1 --timer-property=AccuracySec=100ms systemctl poweroff")
    wait_for("the power to go off", lambda: not machine.on, 180)
    proxmox("POST", "/status/stop")
    proxmox("PUT", "/unlink", idlist="scsi1")
    # The next start is also that of a machine whose SCSI disks name themselves.
    proxmox("PUT", "/config", machine="pc-i440fx-10.0")
    proxmox("POST", "/status/start")
    machine.wait()

    assert mounted(MOUNT) is None
    assert say(f"ls -A {MOUNT}") == ""
    assert "i" in say(f"lsattr -d {MOUNT}").split()[0]
    assert "Operation not permitted" in shell(f"touch {MOUNT}/lost 2>&1 || true")
    wait_until_mounted(SCRATCH["mount"])

    volume = proxmox("GET", "/config")["unused0"]
    proxmox("POST", "/config", scsi1=f"{volume},serial={DISK}")
    run({**declared, "size": "9G"}, GROWN)
    assert there(MOUNT).uuid == uuid
    assert checksum(MOUNT) == sum_before


def test_a_scsi_disk_that_names_itself_is_found_by_the_value_of_its_serial(run: Run, declared: dict[str, Any]) -> None:
    path = there(MOUNT).device
    assert links(path) == {"scsi-0QEMU_QEMU_HARDDISK_drive-scsi1"}
    assert properties(path)["ID_SCSI_SERIAL"] == DISK
    assert properties(path)["ID_SERIAL_SHORT"] == "drive-scsi1"
    assert run({**declared, "size": "9G"}, GROWN) == 0


def rebooted(before: str) -> bool:
    """Whether the guest answers, and its boot is another one."""
    return shell_or_nothing("cat /proc/sys/kernel/random/boot_id") not in ("", before)


def shell_or_nothing(script: str) -> str:
    try:
        return shell(script)
    except (CalledProcessError, TimeoutExpired):
        return ""
