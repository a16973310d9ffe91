# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter that reads what went wrong in a task of `kubernetes.core.k8s` with several objects."""

from __future__ import annotations

DOCUMENTATION = r"""
name: kubernetes_failures
author: The homelab.data_platform contributors (@homelab)
version_added: 0.1.0
short_description: What failed in a result of kubernetes.core.k8s
description:
  - Lists the errors in a result of M(kubernetes.core.k8s), with or without its option C(continue_on_error).
  - Leaves out objects that could not be tried out because their namespace does not exist. With C(continue_on_error) in check mode only,
    these are the objects whose namespace is planned by the same task or by a role before.
options:
  _input:
    description: The registered result.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Declare several objects
  kubernetes.core.k8s:
    definition: "{{ objects }}"
    continue_on_error: "{{ ansible_check_mode }}"
  register: declared
  failed_when: declared | homelab.data_platform.kubernetes_failures | length > 0
"""

RETURN = r"""
_value:
  description: The errors.
  type: list
  elements: str
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

MISSING_NAMESPACE = re.compile(r'namespaces \\*"[^"]*" not found')


def kubernetes_failures(result: Mapping[str, Any]) -> list[str]:
    """Return the errors in a result, without those of namespaces that are only planned."""
    if result.get("failed"):
        return [str(result.get("msg"))]
    results = (result.get("result") or {}).get("results") or [result]
    messages = [str(entry["error"].get("msg")) for entry in results if entry.get("error")]
    return [message for message in messages if not MISSING_NAMESPACE.search(message)]


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        """Filters by name."""
        return {"kubernetes_failures": kubernetes_failures}
