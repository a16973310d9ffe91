# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run kubernetes.core.k8s_taint without showing the kubeconfig, and with the diff that it lacks."""

from __future__ import annotations

from typing import Any, Optional

from ansible_collections.homelab.data_platform.plugins.plugin_utils.kubernetes_core import KubernetesCoreAction

Taint = dict[str, Any]


class ActionModule(KubernetesCoreAction):
    """Taints a node."""

    def call(self, arguments: dict[str, Any], task_vars: Optional[dict[str, Any]]) -> dict[str, Any]:
        """Where a diff is asked for, look at the node first: the module does not say what was there."""
        before = self._taints(arguments, task_vars) if self._task.diff else []
        returned = super().call(arguments, task_vars)
        if returned.get("changed") and self._task.diff:
            header = f"Node {arguments.get('name')}"
            taints = {"before": _shown(before), "after": _shown(planned(before, arguments))}
            returned["diff"] = {"before_header": header, "after_header": header, **taints}
        return returned

    def _taints(self, arguments: dict[str, Any], task_vars: Optional[dict[str, Any]]) -> list[Taint]:
        connection = {key: value for key, value in arguments.items() if key not in ("name", "state", "taints", "replace")}
        asked = {**connection, "kind": "Node", "name": arguments.get("name")}
        found = self._execute_module("kubernetes.core.k8s_info", module_args=asked, task_vars=task_vars).get("resources") or [{}]
        return list(found[0].get("spec", {}).get("taints") or [])


def planned(before: list[Taint], arguments: dict[str, Any]) -> list[Taint]:
    """The taints of a node once the module has done its work."""
    named: list[Taint] = arguments.get("taints") or []
    if arguments.get("state") == "absent":
        return [taint for taint in before if not any(_same(taint, one) for one in named)]
    kept = [] if arguments.get("replace") else [taint for taint in before if not any(_same(taint, one) for one in named)]
    return [*kept, *named]


def _same(taint: Taint, named: Taint) -> bool:
    return bool(taint["key"] == named.get("key") and named.get("effect", taint["effect"]) == taint["effect"])


def _shown(taints: list[Taint]) -> dict[str, list[Taint]]:
    fields = ("key", "value", "effect")
    return {"taints": [{field: taint[field] for field in fields if taint.get(field)} for taint in taints]}
