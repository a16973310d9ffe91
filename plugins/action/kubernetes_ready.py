# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait in short rounds of the module of the same name, and show in between what is not ready yet and why."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Optional

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

MODULE = "homelab.data_platform.kubernetes_ready"
FIRST_ROUND, ROUND = 5, 12
"""Seconds. A round costs a process on the control host; what is ready is seen within the first one."""
HEARTBEAT = 30
"""Seconds after which something is shown that has not changed."""

display = Display()


class ActionModule(ActionBase):
    """Waits for objects of a cluster."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        """Return what the last round of the module returns."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        variables = task_vars or {}
        if self._task.async_val:
            # Nobody looks on: one wait to the end.
            result.update(self._execute_module(MODULE, module_args=arguments, task_vars=variables, wrap_async=True))
            return result
        arguments.pop("round", None)
        result.update(self._rounds(arguments, variables))
        # What is shown of the call is what the task says, not what one round was told.
        result.get("invocation", {}).get("module_args", {}).pop("round", None)
        return result

    def _rounds(self, arguments: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        began = time.monotonic()
        progress = Progress()
        round_: dict[str, Any] = {"seconds": FIRST_ROUND}
        while True:
            returned: dict[str, Any] = self._execute_module(MODULE, module_args={**arguments, "round": round_}, task_vars=variables)
            memory = returned.get("round")
            if memory is None:
                return returned
            waited = time.monotonic() - began
            self._show(progress.lines(returned, waited), variables)
            # The time between rounds counts as well.
            round_ = {**memory, "seconds": ROUND, "waited": waited}

    def _show(self, lines: Iterator[str], variables: Mapping[str, Any]) -> None:
        if self._task.no_log:
            return
        for line in lines:
            # On the error stream, as all that is no result: what a callback writes to the other one may be read by a program.
            display.display(f"waiting: [{variables.get('inventory_hostname')}] {line}", color=constants.COLOR_SKIP, stderr=True)


class Progress:
    """What was shown of a wait, so that only what is new is shown, or what has not changed for long."""

    def __init__(self) -> None:
        self._shown: dict[str, tuple[str, float]] = {}

    def lines(self, returned: Mapping[str, Any], waited: float) -> Iterator[str]:
        """One line for each object that has something new."""
        entries = list(returned.get("progress", []))
        if returned.get("error"):
            entries.append({"object": "the API", "state": "no answer", "why": returned["error"]})
        for entry in entries:
            text, at = self._shown.get(entry["object"], ("", 0.0))
            said = f"{entry['state']} {entry['why']}"
            if said == text and waited - at < HEARTBEAT and not display.verbosity:
                continue
            self._shown[entry["object"]] = (said, waited)
            yield f"{entry['object']}: {entry['state']} ({waited:.0f} s){': ' + entry['why'] if entry['why'] else ''}"
