# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run kubernetes.core.k8s without showing the kubeconfig, with a diff of each object, and truthfully where a namespace is only planned."""

from __future__ import annotations

import re
from typing import Any, Optional

from ansible_collections.homelab.data_platform.plugins.plugin_utils import object_diffs
from ansible_collections.homelab.data_platform.plugins.plugin_utils.kubernetes_core import KubernetesCoreAction

# What the server keeps for itself: no one's change, and pages of it in a diff.
BOOKKEEPING = ["metadata.managedFields", "metadata.resourceVersion", "metadata.uid", "metadata.creationTimestamp", "status"]
MISSING_NAMESPACE = re.compile(r'namespaces \\*"[^"]*" not found')


class ActionModule(KubernetesCoreAction):
    """Declares objects."""

    def call(self, arguments: dict[str, Any], task_vars: Optional[dict[str, Any]]) -> dict[str, Any]:
        """Show what is declared. In check mode, count an object whose namespace is not there yet as one that will be created."""
        arguments = {"hidden_fields": BOOKKEEPING, **arguments}
        if self._task.check_mode:
            # The server tries objects out (dry run), which it cannot do in a namespace that this task or one before only plans.
            arguments["continue_on_error"] = True
        returned = super().call(arguments, task_vars)
        if returned.get("failed"):
            return returned
        unmade = errors(returned) if self._task.check_mode else {}
        unexpected = [message for message in unmade.values() if not MISSING_NAMESPACE.search(message)]
        if unexpected:
            return {**returned, "failed": True, "msg": "\n".join(unexpected)}
        if self._task.diff:
            returned["diff"] = object_diffs.diffs(arguments, returned, unmade)
        return {**returned, "changed": bool(returned.get("changed") or unmade)}


def errors(returned: dict[str, Any]) -> dict[int, str]:
    """What went wrong, by the object's place in the result."""
    found = enumerate(object_diffs.entries(returned))
    return {place: str(entry["error"].get("msg")) for place, entry in found if entry.get("error")}
