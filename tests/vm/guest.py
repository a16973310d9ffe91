"""How the checks look at the disks of the virtual machine: what its kernel, udev and systemd say, never what the playbook returned."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from lab.settings import WORKER_1
from tests.platform.reality import on


@dataclass(frozen=True)
class Mounted:
    """A mounted filesystem; `id` is the kernel's number of the mount, `size` what the filesystem offers, in bytes."""

    id: int
    device: str
    fstype: str
    uuid: str
    options: tuple[str, ...]
    size: int


def say(command: str) -> str:
    """What a command prints in the guest, as root, without the last line's end."""
    return on(WORKER_1, command).strip()


def shell(script: str) -> str:
    """The same for a script without single quotes."""
    return say(f"sh -c '{script}'")


def device(serial: str) -> str:
    """The node in /dev of the one disk with this serial."""
    listing = json.loads(say("lsblk --json --nodeps --paths --output NAME,SERIAL"))
    (path,) = [disk["name"] for disk in listing["blockdevices"] if disk["serial"] == serial]
    return str(path)


def links(path: str) -> set[str]:
    """The names in /dev/disk/by-id that udev gave a device, once it has done with it."""
    listing = shell("udevadm settle; cd /dev/disk/by-id; for link in *; do echo $link $(readlink -f $link); done")
    return {name for name, _, target in (line.partition(" ") for line in listing.splitlines()) if target == path}


def properties(path: str) -> dict[str, str]:
    """Udev's properties of a device."""
    return dict(line.split("=", 1) for line in say(f"udevadm info --query=property {path}").splitlines())


def mounted(place: str) -> Mounted | None:
    """What is mounted at a place; None where nothing is."""
    output = "ID,SOURCE,FSTYPE,UUID,OPTIONS,SIZE"
    listing = shell(f"findmnt --json --bytes --mountpoint {place} --output {output} || true")
    if not listing:
        return None
    entry: dict[str, Any] = json.loads(listing)["filesystems"][0]
    options = tuple(entry["options"].split(","))
    return Mounted(entry["id"], entry["source"], entry["fstype"], entry["uuid"], options, int(entry["size"]))


def there(place: str) -> Mounted:
    """What is mounted at a place where something must be."""
    found = mounted(place)
    assert found is not None, f"nothing is mounted at {place}:\n{say('findmnt --real')}"
    return found


def fstab(place: str) -> tuple[str, str, str]:
    """Device, type and options of a mount point's one line in fstab."""
    (line,) = [line.split() for line in say("cat /etc/fstab").splitlines() if place in line.split()]
    return line[0], line[2], line[3]


def sentinel(place: str) -> str:
    """Write a MiB of noise unless it is there, down to the disk; its checksum."""
    file = f"{place}/sentinel"
    shell(f"test -e {file} || head -c 1048576 /dev/urandom > {file}; sync -f {file}")
    return checksum(place)


def checksum(place: str) -> str:
    """The checksum of what `sentinel` wrote."""
    return say(f"sha256sum {place}/sentinel").split()[0]
