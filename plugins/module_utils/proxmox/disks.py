# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a plan to disks: read, plan, write what one call can do, and look again until nothing is left to do."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.proxmox.client import (
    Client,
    FullError,
    LockedError,
    LostError,
    MovedError,
    ProxmoxError,
    RaceError,
)
from ansible_collections.homelab.data_platform.plugins.module_utils.proxmox.drive import DeclarationError, bus_of, format_size
from ansible_collections.homelab.data_platform.plugins.module_utils.proxmox.plan import (
    EXTENT,
    DiskState,
    Plan,
    Step,
    Wanted,
    first_write,
    plan,
)

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
    running: bool

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
    return Vm(int(row["vmid"]), str(row.get("name", "")), str(row["node"]), running=row.get("status") != "stopped")


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
        self._unsure: list[Step] = []
        """What a write was to do of which it is not known whether it was carried out."""
        self._setbacks = 0
        self._waiting_since: float | None = None
        self._waited = ""

    def run(self) -> None:
        """Plan, and unless it is a check, write what one call can do and look again.

        Every write carries the digest of the configuration which it was planned on. A write whose answer was lost is therefore
        never repeated blindly: either it shows in the next look, or Proxmox refuses the second one.
        """
        written: list[Step] = []
        while (current := self._look()).steps and not self.check:
            steps = first_write(current.steps)
            if again := [step for step in steps if step in written]:
                raise ProxmoxError(
                    f"{self._what(again)} ended well and changed nothing in the configuration; "
                    f"run 'qm disk rescan --vmid {self.vm.vmid}' on {self.vm.node}, so that it tells the volume's real size"
                )
            try:
                self._write(steps)
            except (LockedError, LostError, RaceError) as error:
                self._bear(error, steps)
            else:
                self.outcome.done += steps
                written = steps
                self._unsure = []
                self._end_waiting()
        self._end_waiting()

    def _look(self) -> Plan:
        """Read the machine's configuration, current and pending values in one call, and plan."""
        rows = self._rows()
        config = {row["key"]: row["value"] for row in rows if "value" in row}
        try:
            current = plan(config, rows, self.wanted, running=self.vm.running)
        except DeclarationError as error:
            raise ProxmoxError(f"{self.vm}: {error}") from None
        self.outcome.last = current
        self.outcome.config = config
        if self.outcome.first is None:
            self.outcome.first = current
            self.outcome.warnings += current.warnings
            creations = [step for step in current.steps if step.action == "create"]
            self._check_storages(creations)
            self._check_detached(creations)
        self.outcome.done += [step for step in self._unsure if not _planned(step, current)]
        self._unsure = [step for step in self._unsure if _planned(step, current)]
        return current

    def _rows(self) -> list[dict[str, Any]]:
        try:
            return list(self.client.get(f"{self.vm.path}/pending"))
        except MovedError:
            # The operation that was waited for has been a migration.
            self.vm = find_vm(self.client, self.vm.vmid, None)
            return list(self.client.get(f"{self.vm.path}/pending"))

    def _check_storages(self, creations: Sequence[Step]) -> None:
        """Find out before the first write whether the storages are there and have room.

        A single volume is left to Proxmox, which allocates it or not; of several, those before a failure would be left behind.
        """
        if len(creations) < 2 and not self.check:
            return
        for certain, text in self._shortages(creations):
            if certain:
                raise ProxmoxError(text)
            self.outcome.warnings.append(f"{text}; it is left to the storage whether it promises more than it has")

    def _shortages(self, steps: Sequence[Step], *, full: bool = False) -> Iterator[tuple[bool, str]]:
        """What the storages lack for some steps, and whether that is certain: thin ones may promise more than they have.

        Where one has said that it is ``full``, its figures are told in any case.
        """
        needs: dict[str, int] = {}
        for step in steps:
            needs[step.storage] = needs.get(step.storage, 0) + step.size
        listed = {row["storage"]: row for row in self.client.get(f"nodes/{self.vm.node}/storage", content="images")} if needs else {}
        for storage, need in needs.items():
            row = listed.get(storage)
            if row is None:
                yield (
                    True,
                    f"storage {storage} was not found on {self.vm.node}; "
                    f"for disks the API token sees: {', '.join(sorted(listed)) or 'none'}. "
                    "Check its name, that its content includes images, and that the token has Datastore.AllocateSpace on it",
                )
            elif full or need > row.get("avail", need):
                free, total = (f"{row.get(key, 0) / 1024**3:.1f}G" for key in ("avail", "total"))
                yield (
                    row.get("type") == "lvm",
                    f"storage {storage} on {self.vm.node} has {free} free of {total}, {format_size(need)} is wanted",
                )

    def _check_detached(self, creations: Sequence[Step]) -> None:
        """Make no empty disk where a detached volume may be the very one that is meant: a missing disk must not look like a new one."""
        named = {disk.volume for disk in self.wanted}
        detached = {value: key for key, value in self.outcome.config.items() if key.startswith("unused") and not {key, value} & named}
        for storage in {step.storage for step in creations} & {volume.partition(":")[0] for volume in detached}:
            rows = self.client.get(f"nodes/{self.vm.node}/storage/{storage}/content", content="images", vmid=self.vm.vmid)
            sizes = {row["volid"]: row["size"] for row in rows if row["volid"] in detached}
            for step in (step for step in creations if step.storage == storage):
                for volume in (volume for volume, size in sizes.items() if abs(size - step.size) < EXTENT):
                    raise ProxmoxError(
                        f"{self.vm}: disk {step.label} is not there, but {detached[volume]} ({volume}) is a detached volume of its size, "
                        f"{format_size(sizes[volume])}, and may be the disk with its data. To attach it, declare the disk with volume: "
                        f"{volume}. To have an empty disk all the same, declare the detached one too: state: absent with that volume"
                    )

    def _write(self, steps: Sequence[Step]) -> None:
        """Have the steps done by one call, and wait for its task."""
        config = self.outcome.config
        if "lock" in config:
            raise LockedError(f"VM is locked ({config['lock']})")
        try:
            if upid := self._send(steps, config["digest"]):
                warnings = self.client.wait(self.vm.node, upid, self.task_timeout)
                self.outcome.warnings += [f"{self._what(steps)}: {text}" for text in warnings]
        except (LostError, RaceError, LockedError):
            raise
        except ProxmoxError as error:
            raise ProxmoxError(self._failed(error, steps)) from None

    def _send(self, steps: Sequence[Step], digest: str) -> Any:
        if steps[0].action == "resize":
            return self.client.write("PUT", f"{self.vm.path}/resize", disk=steps[0].slot, size=steps[0].value, digest=digest)
        return self.client.write("POST", f"{self.vm.path}/config", digest=digest, **_values(steps))

    def _failed(self, error: ProxmoxError, steps: Sequence[Step]) -> str:
        """What to say about a write that failed. Another look tells what it has done before, and what the result then holds."""
        self._unsure = list(steps)
        full = isinstance(error, FullError)
        reasons = []
        with suppress(ProxmoxError):
            self._look()
            if full or steps[0].action == "create":
                reasons = [text for _certain, text in self._shortages(self._unsure, full=full)]
        advice = ": free some, extend it, or declare another storage" if full else ""
        return f"{self._what(self._unsure or steps)}: {error}" + (f" ({'; '.join(reasons)}{advice})" if reasons else "")

    def _bear(self, error: ProxmoxError, steps: Sequence[Step]) -> None:
        """Wait before the next look: for as long as somebody is at work on the machine, else a few times only."""
        if isinstance(error, LockedError) or (self._unsure and isinstance(error, RaceError)):
            self._wait_for_others(error, steps)
            return
        if isinstance(error, LostError):
            self._unsure = list(dict.fromkeys([*self._unsure, *steps]))
        self._setbacks += 1
        if self._setbacks > _RETRIES:
            raise ProxmoxError(f"{self._what(steps)}: gave up after {self._setbacks} attempts: {error}")
        time.sleep(0.2 * self._setbacks)

    def _wait_for_others(self, error: ProxmoxError, steps: Sequence[Step]) -> None:
        now = time.monotonic()
        pause = min(1.0, self.lock_timeout / 10)
        self._waiting_since = self._waiting_since or now
        self._waited = f"{self.vm}: {error}; waited {now - self._waiting_since + pause:.1f} s for that to end"
        if now - self._waiting_since > self.lock_timeout:
            raise ProxmoxError(
                f"{self._what(steps)}: {error}, for {self.lock_timeout:g} s so far; "
                "run again when that operation has ended, or raise lock_timeout"
            )
        time.sleep(pause)

    def _end_waiting(self) -> None:
        if self._waiting_since is not None:
            self.outcome.warnings.append(self._waited)
            self._waiting_since = None

    def _what(self, steps: Sequence[Step]) -> str:
        names = ", ".join(f"{step.label} ({step.slot})" for step in steps)
        return f"{self.vm}: {steps[0].action} {'disks' if len(steps) > 1 else 'disk'} {names}"

    def result(self) -> dict[str, Any]:
        """The module's return values, as far as the run came."""
        outcome = self.outcome
        if outcome.first is None or outcome.last is None:
            return {}
        steps = outcome.first.steps if self.check else outcome.done
        states = outcome.last.after if self.check or not outcome.last.steps else outcome.last.before
        disks = [_describe(state, steps) for state in states]
        waits = [state.label for state in outcome.last.going if state.lingers]
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


def _values(steps: Sequence[Step]) -> dict[str, Any]:
    """What some steps of one kind write to the configuration."""
    slots = ",".join(step.slot for step in steps)
    if steps[0].action == "detach":
        return {"delete": slots}
    if steps[0].action == "destroy":
        # Without force, the volume of an attached disk stays as unusedN; that of an unusedN goes either way.
        return {"delete": slots, "force": 1}
    return {step.slot: step.value for step in steps}


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
