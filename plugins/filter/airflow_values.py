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
  - Refuses a source of DAGs or notifications that cannot work, such as a repository over SSH without its server's host keys.
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

from ansible_collections.homelab.data_platform.plugins.module_utils.airflow import upgrade
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.admin import admin_job
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.chart import source
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.cleanup import cleanup_job
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.errors import AirflowError
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.secrets import secrets
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.values import render
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.versions import chart_of
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.workloads import resources_to_wait_for
from ansible_collections.homelab.data_platform.plugins.module_utils.ingress.rules import IngressError
from ansible_collections.homelab.data_platform.plugins.plugin_utils.filters import without_traceback


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        works: dict[str, Callable[..., Any]] = {
            "airflow_values": render,
            "airflow_resources": resources_to_wait_for,
            "airflow_secrets": secrets,
            "airflow_admin_job": admin_job,
            "airflow_chart": source,
            "airflow_database_cleanup": cleanup_job,
            "airflow_chart_version": chart_of,
            "airflow_step": upgrade.step,
            "airflow_foretell": upgrade.foretell,
            "airflow_state_job": upgrade.state_job,
            "airflow_judge": upgrade.judge,
            "airflow_imports_job": upgrade.imports_job,
            "airflow_backup_job": upgrade.backup_job,
            "airflow_stop": upgrade.stop,
            "airflow_start": upgrade.start,
        }
        refusing = without_traceback(AirflowError, IngressError)
        return {name: refusing(work) for name, work in works.items()}
