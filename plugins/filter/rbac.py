# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter with which the role `rbac` makes its objects."""

from __future__ import annotations

DOCUMENTATION = r"""
name: rbac
author: The homelab.data_platform contributors (@homelab)
version_added: 0.1.0
short_description: Namespaces, accounts, roles and bindings for a declaration
description:
  - Gives the namespaces of Airflow and of the SparkApplications, the accounts C(airflow-sa) and C(spark-sa), and what they may do.
  - With O(withdrawn), gives instead what has to go in the namespaces that are given up.
options:
  _input:
    description: The declaration, as the role C(rbac) composes it.
    type: dict
    required: true
  withdrawn:
    description: Whether the objects are those that have to go.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Have namespaces, accounts and what they may do
  homelab.data_platform.k8s:
    definition: "{{ declaration | homelab.data_platform.rbac }}"
"""

RETURN = r"""
_value:
  description: The objects.
  type: list
  elements: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.rbac import RbacError, objects, withdrawn
from ansible_collections.homelab.data_platform.plugins.plugin_utils.filters import without_traceback


@without_traceback(RbacError)
def rbac(declaration: dict[str, Any], **options: bool) -> list[dict[str, Any]]:
    """Objects of the role for a declaration, or those that have to go."""
    return withdrawn(declaration) if options.get("withdrawn") else objects(declaration)


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"rbac": rbac}
