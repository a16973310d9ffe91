# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run kubernetes.core.helm without showing the kubeconfig, say what a failure means, and lead out of an unfinished release when told."""

from __future__ import annotations

from typing import Any, Optional

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.homelab.data_platform.plugins.plugin_utils.kubernetes_core import KubernetesCoreAction

IN_PROGRESS = "another operation (install/upgrade/rollback) is in progress"
"""What helm says of a release whose record it finds pending."""
PENDING_RELEASE = "homelab.data_platform.helm_pending_release"


class ActionModule(KubernetesCoreAction):
    """Deploys a release."""

    def call(self, arguments: dict[str, Any], task_vars: Optional[dict[str, Any]]) -> dict[str, Any]:
        """Run the module; look for an unfinished release only where there may be one, so that a release in order costs nothing more."""
        recover = boolean(arguments.pop("recover", False))
        returned = super().call(arguments, task_vars)
        if self._may_be_pending(returned):
            # What was tried in check mode has changed nothing.
            found = self._pending(arguments, task_vars, drop=recover and not self._task.check_mode)
            if found.get("failed"):
                return found
            if found["pending"] and not recover:
                return {"failed": True, "changed": False, "msg": "\n".join(record["cause"] for record in found["pending"])}
            if found["pending"]:
                returned = returned if self._task.check_mode else super().call(arguments, task_vars)
                returned = {**returned, "recovered": found["pending"]}
        elif revision := _failed_before(returned):
            returned = self._once_more(revision, returned, arguments, task_vars)
        return readable(returned, arguments)

    def _once_more(
        self, revision: str, returned: dict[str, Any], arguments: dict[str, Any], task_vars: Optional[dict[str, Any]]
    ) -> dict[str, Any]:
        """Deploy what a helm before has failed to. A record that says so is final: nobody's helm is at it."""
        if self._task.check_mode:
            return {**returned, "changed": True}
        found = self._pending(arguments, task_vars, drop=True, revision=revision)
        return found if found.get("failed") else {**super().call(arguments, task_vars), "recovered": found["pending"]}

    def _may_be_pending(self, returned: dict[str, Any]) -> bool:
        if returned.get("failed"):
            return IN_PROGRESS in f"{returned.get('stderr')} {returned.get('msg')}"
        # Check mode tells of a release that is not finished as of one that is not there.
        return bool(self._task.check_mode and returned.get("changed") and not _release(returned))

    def _pending(self, arguments: dict[str, Any], task_vars: Optional[dict[str, Any]], *, drop: bool, revision: str = "") -> dict[str, Any]:
        wanted: dict[str, Any] = {
            "name": arguments.get("name", arguments.get("release_name")),
            "namespace": arguments.get("release_namespace", arguments.get("namespace")),
            "drop": drop,
            "revision": revision,
        }
        wanted.update((name, arguments[name]) for name in ("kubeconfig", "context") if name in arguments)
        returned: dict[str, Any] = self._execute_module(PENDING_RELEASE, module_args=wanted, task_vars=task_vars)
        return returned


def _release(returned: dict[str, Any]) -> dict[str, Any]:
    """What the module tells of the release that is there: in check mode, two levels deeper."""
    status = returned.get("status") or {}
    found: dict[str, Any] = status if "revision" in status else (status.get("values") or {}).get("declared") or {}
    return found


def _failed_before(returned: dict[str, Any]) -> str:
    """The revision that helm has failed to deploy, where it sees nothing to do: it compares with what it wanted then.

    So does helm-diff (databus23/helm-diff, issue 306).
    """
    found = _release(returned)
    done = returned.get("failed") or returned.get("changed")
    return "" if done or found.get("status") != "failed" else str(found["revision"])


def readable(returned: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Put helm's own words in place of what the module says of its call."""
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
