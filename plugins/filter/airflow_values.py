# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters with which the role `airflow` renders the chart's values and its own objects."""

from __future__ import annotations

DOCUMENTATION = r"""
name: airflow_values
author: The homelab.data_platform contributors (@homelab)
version_added: 0.1.0
short_description: Values of Airflow's official Helm chart for a declaration
description:
  - Derives the chart's values from the declaration of the role C(airflow) and lays the user's own values over them.
  - Refuses a chart that cannot run the wanted Airflow, and names the one that can.
  - Refuses a top-level key in the user's values that no chart knows, which the chart itself would silently ignore.
positional: own, checksums
options:
  _input:
    description: The declaration, as the role C(airflow) composes it.
    type: dict
    required: true
  own:
    description: Values that win over the derived ones.
    type: dict
    required: true
  checksums:
    description: Checksums by name of Secret or ConfigMap. A pod restarts when one of what it reads changes.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the values
  ansible.builtin.debug:
    msg: "{{ declaration | homelab.data_platform.airflow_values({'scheduler': {'replicas': 2}}, {}) }}"
"""

RETURN = r"""
_value:
  description: Values of the chart.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.admin import admin_job
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.errors import AirflowError
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.secrets import secrets
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.values import render
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.workloads import resources_to_wait_for


def airflow_values(declaration: dict[str, Any], own: dict[str, Any], checksums: dict[str, Any]) -> dict[str, Any]:
    """Values of Airflow's chart for a declaration, with the user's own values laid over them."""
    try:
        return render(declaration, own, checksums)
    except AirflowError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "airflow_values": airflow_values,
            "airflow_resources": resources_to_wait_for,
            "airflow_secrets": secrets,
            "airflow_admin_job": admin_job,
        }
