# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stand-in asks of a running virtual machine: take a disk, give it back, notice a new size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class GuestError(Exception):
    """The guest refused a hot-plug operation; Proxmox reports it as a ``hotplug problem``."""


@dataclass(frozen=True)
class GuestDisk:
    """A volume as the guest gets to see it.

    ``boot`` is true for a disk in the machine's boot order: a guest which boots from something else leaves it alone.
    ``device_id`` is what a SCSI disk calls itself instead of its serial; None where it goes by the serial.
    """

    path: Path
    size_bytes: int
    serial: str | None = None
    bus: str = "scsi"
    read_only: bool = False
    boot: bool = False
    device_id: str | None = None


class Guest(Protocol):
    """A running virtual machine, or something that plays one. All calls are safe to repeat."""

    def start(self, vmid: int, disks: Mapping[str, GuestDisk]) -> None:
        """Switch the machine on with these disks by slot; one that is on already gets those that it lacks.

        A disk which cannot be had is logged and keeps no other back; a machine which cannot start raises :class:`GuestError`.
        """

    def stop(self, vmid: int) -> None:
        """Switch the machine off at once, as if its plug were pulled."""

    def plug(self, vmid: int, slot: str, disk: GuestDisk) -> None:
        """Make the disk appear in the guest; a disk which is there already stays as it is."""

    def unplug(self, vmid: int, slot: str) -> None:
        """Take the disk out of the guest, or raise :class:`GuestError` when the guest holds on to it."""

    def resize(self, vmid: int, slot: str, size_bytes: int) -> None:
        """Tell the guest that the disk has grown."""


class NoGuest:
    """Virtual machines without an inside, for a daemon that runs alone."""

    def start(self, vmid: int, disks: Mapping[str, GuestDisk]) -> None:
        """Nothing to switch on."""

    def stop(self, vmid: int) -> None:
        """Nothing to switch off."""

    def plug(self, vmid: int, slot: str, disk: GuestDisk) -> None:
        """Nothing to show the disk to."""

    def unplug(self, vmid: int, slot: str) -> None:
        """Nothing to take the disk from."""

    def resize(self, vmid: int, slot: str, size_bytes: int) -> None:
        """Nobody to tell."""
