# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a plan to disks: read, plan, write one step, and look again until nothing is left to do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.proxmox.client import (
    Client,
    FullError,
    LockedError,
    LostError,
    ProxmoxError,
    RaceError,
)
from ansible_collections.homelab.data_platform.plugins.module_utils.proxmox.drive import DeclarationError, bus_of, format_size
from ansible_collections.homelab.data_platform.plugins.module_utils.proxmox.plan import EXTENT, DiskState, Plan, Step, Wanted, plan

_RETRIES = 5
_DONE = {
    "attach": "attached",
    "configure": "configured",
    "create": "created",
    "destroy": "destroyed",
    "detach": "detached",
    "resize": "resized",
}


@dataclass(frozen=True)
class Vm:
    """Where a virtual machine is."""

    vmid: int
    name: str
    node: str

    def __str__(self) -> str:
        return f"VM {self.vmid} ({self.name}) on {self.node}"

    @property
    def path(self) -> str:
        """Where the API has it."""
        return f"nodes/{self.node}/qemu/{self.vmid}"


@dataclass
class Outcome:
    """What was found and done, also as far as it came before an error."""

    first: Plan | None = None
    last: Plan | None = None
    config: dict[str, Any] = field(default_factory=dict)
    done: list[Step] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def find_vm(client: Client, vmid: int | None, name: str | None) -> Vm:
    """The machine with this number or this name."""
    rows = client.get("cluster/resources", type="vm")
    found = [row for row in rows if (row["vmid"] == vmid if vmid is not None else row.get("name") == name)]
    what = f"VM {vmid if vmid is not None else name}"
    token = f"{client.connection.user}!{client.connection.token_id}"
    if not found:
        known = ", ".join(f"{row['vmid']} ({row.get('name', '')})" for row in sorted(rows, key=lambda row: int(row["vmid"]))) or "none"
        raise ProxmoxError(
            f"{what} was not found at {client.connection.host}; the API token {token} sees: {known}. "
            "Check the number, and that the token has VM.Audit on the machine"
        )
    if len(found) > 1:
        raise ProxmoxError(f"{what} is the name of machines {', '.join(str(row['vmid']) for row in found)}: use vmid")
    row = found[0]
    if row.get("type") != "qemu" or row.get("template"):
        raise ProxmoxError(f"{what} is a {'template' if row.get('type') == 'qemu' else 'container'}: only a virtual machine gets disks")
    return Vm(int(row["vmid"]), str(row.get("name", "")), str(row["node"]))


class Converger:
    """Brings the declared disks of one machine about."""

    def __init__(self, client: Client, vm: Vm, wanted: Sequence[Wanted], *, check: bool, lock_timeout: float, task_timeout: float) -> None:
        self.client = client
        self.vm = vm
        self.wanted = wanted
        self.check = check
        self.lock_timeout = lock_timeout
        self.task_timeout = task_timeout
        self.outcome = Outcome()

    def run(self) -> None:
        """Plan, and unless it is a check, do one step after the other with a fresh look before each.

        Every write carries the digest of the configuration which it was planned on. A write whose answer was lost is therefore
        never repeated blindly: either it shows in the next look, or Proxmox refuses the second one.
        """
        unsure: Step | None = None
        setbacks = 0
        patience = time.monotonic() + self.lock_timeout
        while True:
            config = self.client.get(f"{self.vm.path}/config", current=1)
            current = self._plan(config)
            if unsure and not _planned(unsure, current):
                self.outcome.done.append(unsure)
                unsure = None
            if self.check or not current.steps:
                return
            step = current.steps[0]
            if self.outcome.done and self.outcome.done[-1] == step:
                raise ProxmoxError(
                    f"{self._what(step)} ended well and changed nothing in the configuration; run 'qm disk rescan --vmid {self.vm.vmid}' "
                    f"on {self.vm.node}, so that it tells the volume's real size"
                )
            try:
                self._write(step, config)
            except LockedError as error:
                if time.monotonic() > patience:
                    raise ProxmoxError(
                        f"{self._what(step)}: {error}, for {self.lock_timeout:g} s so far; "
                        "run again when that operation has ended, or raise lock_timeout"
                    ) from None
                time.sleep(min(1.0, self.lock_timeout / 10))
            except (LostError, RaceError) as error:
                unsure = step if isinstance(error, LostError) else unsure
                setbacks += 1
                if setbacks > _RETRIES:
                    raise ProxmoxError(f"{self._what(step)}: gave up after {setbacks} attempts: {error}") from None
                time.sleep(0.2 * setbacks)
            else:
                unsure = None
                self.outcome.done.append(step)
                patience = time.monotonic() + self.lock_timeout

    def _plan(self, config: dict[str, Any]) -> Plan:
        pending = self.client.get(f"{self.vm.path}/pending")
        try:
            current = plan(config, pending, self.wanted)
        except DeclarationError as error:
            raise ProxmoxError(f"{self.vm}: {error}") from None
        self.outcome.last = current
        self.outcome.config = config
        if self.outcome.first is None:
            self.outcome.first = current
            self.outcome.warnings += current.warnings
            self._check_storages(current)
            self._check_detached(current)
        return current

    def _check_storages(self, current: Plan) -> None:
        """Find out before the first write whether the storages are there and have room."""
        needs: dict[str, int] = {}
        for step in current.steps:
            if step.action == "create":
                needs[step.storage] = needs.get(step.storage, 0) + step.size
        if not needs:
            return
        listed = {row["storage"]: row for row in self.client.get(f"nodes/{self.vm.node}/storage", content="images")}
        for storage, need in needs.items():
            row = listed.get(storage)
            if row is None:
                raise ProxmoxError(
                    f"storage {storage} was not found on {self.vm.node}; "
                    f"for disks the API token sees: {', '.join(sorted(listed)) or 'none'}. "
                    "Check its name, that its content includes images, and that the token has Datastore.AllocateSpace on it"
                )
            if row.get("type") == "lvm" and need > row.get("avail", need):
                raise ProxmoxError(self._full(row, need))
            if need > row.get("avail", need):
                self.outcome.warnings.append(f"{self._full(row, need)}; it is left to the storage whether it promises more than it has")

    def _check_detached(self, current: Plan) -> None:
        """Make no empty disk where a detached volume may be the very one that is meant: a missing disk must not look like a new one."""
        named = {disk.volume for disk in self.wanted}
        detached = {value: key for key, value in self.outcome.config.items() if key.startswith("unused") and not {key, str(value)} & named}
        for step in current.steps:
            if step.action != "create" or not any(volume.startswith(f"{step.storage}:") for volume in detached):
                continue
            for row in self.client.get(f"nodes/{self.vm.node}/storage/{step.storage}/content", content="images", vmid=self.vm.vmid):
                if row["volid"] in detached and abs(row["size"] - step.size) < EXTENT:
                    raise ProxmoxError(
                        f"{self.vm}: disk {step.label} is not there, but {detached[row['volid']]} ({row['volid']}) is a detached volume of "
                        f"its size, {format_size(row['size'])}, and may be the disk with its data. "
                        f"To attach it, declare the disk with volume: {row['volid']}. "
                        "To have an empty disk all the same, declare the detached one too: state: absent with that volume"
                    )

    def _full(self, row: dict[str, Any], need: int) -> str:
        free, total = (f"{row[key] / 1024**3:.1f}G" for key in ("avail", "total"))
        return f"storage {row['storage']} on {self.vm.node} has {free} free of {total}, {format_size(need)} is wanted"

    def _write(self, step: Step, config: dict[str, Any]) -> None:
        if "lock" in config:
            raise LockedError(f"VM is locked ({config['lock']})")
        digest = config["digest"]
        try:
            if step.action == "resize":
                upid = self.client.write("PUT", f"{self.vm.path}/resize", disk=step.slot, size=step.value, digest=digest)
            else:
                upid = self.client.write("POST", f"{self.vm.path}/config", digest=digest, **_values(step))
            if upid:
                warnings = self.client.wait(self.vm.node, upid, self.task_timeout)
                self.outcome.warnings += [f"{self._what(step)}: {text}" for text in warnings]
        except FullError as error:
            row = self.client.get(f"nodes/{self.vm.node}/storage/{step.storage}/status")
            raise ProxmoxError(
                f"{self._what(step)}: {error} ({self._full({**row, 'storage': step.storage}, step.size)}: "
                "free some, extend it, or declare another storage)"
            ) from None
        except (LostError, RaceError, LockedError):
            raise
        except ProxmoxError as error:
            raise ProxmoxError(f"{self._what(step)}: {error}") from None

    def _what(self, step: Step) -> str:
        return f"{self.vm}: {step.action} disk {step.label} ({step.slot})"

    def result(self) -> dict[str, Any]:
        """The module's return values, as far as the run came."""
        outcome = self.outcome
        if outcome.first is None or outcome.last is None:
            return {}
        steps = outcome.first.steps if self.check else outcome.done
        states = outcome.last.after if self.check or not outcome.last.steps else outcome.last.before
        disks = [_describe(state, steps) for state in states]
        waits = [state.label for state in outcome.last.going] if not self.check else []
        return {
            "changed": bool(steps),
            "removed": [_describe_removed(state, steps, outcome.config, waits) for state in outcome.first.going],
            "vmid": self.vm.vmid,
            "name": self.vm.name,
            "node": self.vm.node,
            "disks": disks,
            "restart_required": bool(waits) or any(disk["pending"] for disk in disks),
            "diff": {
                "before_header": str(self.vm),
                "after_header": str(self.vm),
                "before": {state.label: state.view for state in [*outcome.first.before, *outcome.first.going]},
                "after": {state.label: state.view for state in states if state not in outcome.first.going},
            },
        }


def _planned(step: Step, current: Plan) -> bool:
    """Whether a step is still to be done."""
    return any((other.action, other.label) == (step.action, step.label) for other in current.steps)


def _describe(state: DiskState, steps: Sequence[Step]) -> dict[str, Any]:
    drive = state.drive
    return {
        "serial": drive.serial,
        "slot": drive.slot,
        "storage": drive.storage,
        "volume": drive.volume or None,
        "size": drive.size,
        "by_id": _by_id(drive.slot, drive.serial),
        "pending": state.pending,
        "actions": [_DONE[step.action] for step in steps if step.label == state.label],
    }


def _values(step: Step) -> dict[str, Any]:
    """What a step writes to the configuration."""
    if step.action == "detach":
        return {"delete": step.slot}
    if step.action == "destroy":
        # Without force, the volume of an attached disk stays as unusedN; that of an unusedN goes either way.
        return {"delete": step.slot, "force": 1}
    return {step.slot: step.value}


def _describe_removed(state: DiskState, steps: Sequence[Step], config: dict[str, Any], waits: Sequence[str]) -> dict[str, Any]:
    volume = state.drive.volume
    return {
        "serial": state.drive.serial,
        "slot": state.drive.slot,
        "volume": volume,
        "unused": next((key for key, value in config.items() if key.startswith("unused") and value == volume), None),
        "pending": state.label in waits,
        "actions": [_DONE[step.action] for step in steps if step.label == state.label],
    }


def _by_id(slot: str, serial: str | None) -> list[str]:
    """Names that udev may give the disk in the guest. Newer machine types (10 and later) put the drive's name where the serial was."""
    bus = bus_of(slot)
    if bus == "virtio":
        return [f"/dev/disk/by-id/virtio-{serial}"] if serial else []
    if bus == "scsi":
        return [f"/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_{name}" for name in (serial, f"drive-{slot}") if name]
    return [f"/dev/disk/by-id/ata-QEMU_HARDDISK_{serial}"] if serial else []
