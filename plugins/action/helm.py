# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run kubernetes.core.helm without showing the kubeconfig, and say what a failure means."""

from __future__ import annotations

from typing import Any, Optional

from ansible_collections.homelab.data_platform.plugins.plugin_utils.kubernetes_core import KubernetesCoreAction


class ActionModule(KubernetesCoreAction):
    """Deploys a release."""

    def call(self, arguments: dict[str, Any], task_vars: Optional[dict[str, Any]]) -> dict[str, Any]:
        """Run the module, and put helm's own words in place of what the module says of its call."""
        returned = super().call(arguments, task_vars)
        if not returned.get("failed") or "Error: " not in str(returned.get("stderr")):
            return returned
        message = f"Release {arguments.get('name')}: {returned['stderr'].partition('Error: ')[2].strip()}"
        if " show chart " in str(returned.get("command")):
            message = (
                f"{message}. The chart {described(arguments)} cannot be fetched, and nothing was deployed. Check its name, version and "
                "address and the control host's network, or name a mirror."
            )
        # Newer versions of ansible-core show the exception in place of the message.
        returned.pop("exception", None)
        return {**returned, "msg": message}


def described(arguments: dict[str, Any]) -> str:
    """The chart of a task, as a person would name it."""
    parts = [
        arguments.get("chart_ref"),
        arguments.get("chart_version"),
        arguments.get("chart_repo_url") and f"of {arguments['chart_repo_url']}",
    ]
    return " ".join(str(part) for part in parts if part)
