# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter with which the role `spark_history_server` makes its objects."""

from __future__ import annotations

DOCUMENTATION = r"""
name: spark_history_server
author: The homelab.data_platform contributors (@homelab)
version_added: 0.1.0
short_description: Objects of Spark's History Server for a declaration
description:
  - Gives the namespace, the ConfigMap, the Service, the Deployment and the Ingress of a History Server that reads event logs in an object
    store.
  - Keys are in none of them. The pod takes them from the environment, and that from a Secret.
options:
  _input:
    description: The declaration, as the role C(spark_history_server) composes it.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Run the History Server
  homelab.data_platform.k8s:
    definition: "{{ declaration | homelab.data_platform.spark_history_server }}"
"""

RETURN = r"""
_value:
  description: The objects.
  type: list
  elements: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.ingress.rules import IngressError
from ansible_collections.homelab.data_platform.plugins.module_utils.spark_history_server import SparkHistoryServerError, objects
from ansible_collections.homelab.data_platform.plugins.plugin_utils.filters import without_traceback


@without_traceback(SparkHistoryServerError, IngressError)
def spark_history_server(declaration: dict[str, Any]) -> list[dict[str, Any]]:
    """Objects of the History Server for a declaration."""
    return objects(declaration)


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"spark_history_server": spark_history_server}
