# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter with which the shared defaults read the administrator's kubeconfig."""

from __future__ import annotations

DOCUMENTATION = r"""
name: one_context
author: The homelab.data_platform contributors (@homelab)
version_added: 0.1.0
short_description: A kubeconfig with one context, under neutral names
description:
  - Keeps of a kubeconfig its current context (or the named one), the cluster and the user of that, and nothing else. Only what a task needs
    travels with it.
  - Gives them neutral names. Ansible masks every word of a C(no_log) option in all output, so a cluster called V(lab) would turn
    C(available) into C(avai********le); C(apiVersion) and C(kind) are left out for the same reason.
  - Of an empty kubeconfig it makes one that connects to nothing, so that no module falls back to a file on the host where it runs.
positional: context
options:
  _input:
    description: The kubeconfig.
    type: dict
    required: true
  context:
    description: Name of the context, the current one when empty.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Talk to the cluster of another context
  homelab.data_platform.kubernetes_ready:
    kubeconfig: "{{ lookup('ansible.builtin.file', '~/.kube/config') | from_yaml | homelab.data_platform.one_context('homelab') }}"
    resources:
      - {kind: Namespace, name: default}
"""

RETURN = r"""
_value:
  description: The kubeconfig with that context.
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

NAME = "data-platform-connection"


def one_context(kubeconfig: Mapping[str, Any] | None, context: str = "") -> dict[str, Any]:
    """Return a kubeconfig with one context, under neutral names."""
    wanted = context or (kubeconfig or {}).get("current-context")
    if not kubeconfig or not wanted:
        return {"current-context": NAME, "contexts": [], "clusters": [], "users": []}
    chosen = _named(kubeconfig, "contexts", wanted)["context"]
    reduced: dict[str, Any] = {"cluster": NAME, "user": NAME}
    if chosen.get("namespace"):
        reduced["namespace"] = chosen["namespace"]
    return {
        "current-context": NAME,
        "contexts": [{"name": NAME, "context": reduced}],
        "clusters": [{**_named(kubeconfig, "clusters", chosen.get("cluster")), "name": NAME}],
        "users": [{**_named(kubeconfig, "users", chosen.get("user")), "name": NAME}],
    }


def _named(kubeconfig: Mapping[str, Any], part: str, name: str | None) -> Mapping[str, Any]:
    entries: list[Mapping[str, Any]] = kubeconfig.get(part) or []
    for entry in entries:
        if entry.get("name") == name:
            return entry
    known = ", ".join(str(entry.get("name")) for entry in entries) or "none"
    raise AnsibleFilterError(f"The kubeconfig has no {name!r} among its {part}; there are: {known}.")


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        """Filters by name."""
        return {"one_context": one_context}
