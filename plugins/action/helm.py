# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run kubernetes.core.helm without showing the kubeconfig, which that module repeats in its result."""

from __future__ import annotations

from typing import Any, Optional

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Hands everything on, and keeps what was handed on out of the result: -vvv would print the keys in it."""

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        """Return the result of kubernetes.core.helm, which still has its message, status and diff."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        result.update(self._execute_module("kubernetes.core.helm", module_args=self._task.args, task_vars=task_vars))
        result["invocation"] = {"module_args": {key: value for key, value in self._task.args.items() if key != "kubeconfig"}}
        return result
