# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read, plan, act, and read again until nothing is left to do."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.storage.act import carry_out, require_tools
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.current import Current, Files
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.disks import Disk
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.plan import plan
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.state import read, wait_for_devices
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.steps import Step, WriteFile
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.system import Paths, StorageError

# Stands in a prediction where the real run has the UUID of the filesystem that it makes.
UNKNOWN_UUID = "(made-by-mkfs)"
# The second plan makes the directories of a filesystem that had to be mounted to be looked at; the third must be empty.
# One more where a disk is let go of, whose place is looked at before another one takes it.
ROUNDS = 4


@dataclass
class Outcome:
    """What was done (in check mode: would be), and the state that was found last."""

    steps: list[Step] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    current: Current = field(default_factory=lambda: Current({}))


def files_of(paths: Paths, kubelet_unit: str) -> Files:
    """The files that a plan writes."""
    order = f"{paths.units}/{kubelet_unit}.d/10-data-platform-mounts.conf"
    return Files(fstab=paths.fstab, order=order, kubelet_unit=kubelet_unit)


def predict(disks: Sequence[Disk], paths: Paths, kubelet_unit: str, outcome: Outcome) -> None:
    """Plan without acting. A disk that is not there yet is taken for one that the layer below is going to make."""
    files = files_of(paths, kubelet_unit)
    outcome.current = read(disks, paths, files, predict=True)
    planned = plan(outcome.current, disks, {disk.name: UNKNOWN_UUID for disk in disks}, files)
    outcome.steps = list(planned.steps)
    outcome.warnings += planned.notes
    for disk in disks:
        if disk.adopted and not disk.absent and not outcome.current.disks[disk.name].device:
            outcome.warnings.append(
                f"Disk {disk.name}: no filesystem with the UUID {disk.uuid} is there; outside check mode that is an error."
            )


def converge(disks: Sequence[Disk], paths: Paths, kubelet_unit: str, timeout: float, outcome: Outcome) -> None:
    """Bring the disks to what is wanted. ``outcome`` grows as steps are done, so that it also tells what a failure came after."""
    files = files_of(paths, kubelet_unit)
    outcome.warnings += wait_for_devices(disks, paths, timeout)
    for _round in range(ROUNDS):
        outcome.current = read(disks, paths, files)
        planned = plan(outcome.current, disks, {disk.name: str(uuid.uuid4()) for disk in disks}, files)
        outcome.warnings += [note for note in planned.notes if note not in outcome.warnings]
        if not planned.steps:
            return
        require_tools(planned.steps)
        for step in planned.next:
            carry_out(step, paths)
            outcome.steps.append(step)
    left = "; ".join(str(step) for step in planned.steps)
    raise StorageError(
        f"Something undoes what was done, this stays to do: {left}. See whether another program manages these files or mounts."
    )


def results(disks: Sequence[Disk], outcome: Outcome) -> list[dict[str, Any]]:
    """Describe each disk as it was found last."""
    described = []
    for disk in disks:
        state = outcome.current.disks.get(disk.name)
        device = state.device if state else None
        filesystem = device.filesystem if device else None
        described.append(
            {
                "name": disk.name,
                "device": device.path if device else None,
                "device_size": device.size if device else None,
                "uuid": filesystem.uuid if filesystem else disk.uuid,
                "fstype": filesystem.type if filesystem else disk.fstype,
                "size": filesystem.size if filesystem else None,
                "mount": disk.mount or None,
                "mounted": bool(state and device and state.place.mount and device.carries(state.place.mount)),
                "actions": [str(step) for step in outcome.steps if step.disk == disk.name],
            }
        )
    return described


def diff(outcome: Outcome) -> list[dict[str, str]]:
    """The change of each file, and the steps as the lines that are new."""
    changes = [
        {"before_header": step.path, "after_header": step.path, "before": step.before, "after": step.after}
        for step in outcome.steps
        if isinstance(step, WriteFile)
    ]
    if outcome.steps:
        lines = "".join(f"{step.disk}: {step}\n" if step.disk else f"{step}\n" for step in outcome.steps)
        changes.append({"before_header": "steps", "after_header": "steps", "before": "", "after": lines})
    return changes
