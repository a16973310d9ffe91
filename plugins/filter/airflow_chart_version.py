# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter that names the chart for a version of Airflow."""

from __future__ import annotations

DOCUMENTATION = r"""
name: airflow_chart_version
author: The homelab.data_platform contributors (@homelab)
version_added: 0.1.0
short_description: Version of Airflow's official Helm chart for a version of Airflow
description:
  - Names the chart that the role C(airflow) was tried with, so that an upgrade is one variable.
options:
  _input:
    description: Version of Airflow.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show the chart for Airflow 3.2.2
  ansible.builtin.debug:
    msg: "{{ '3.2.2' | homelab.data_platform.airflow_chart_version }}"
"""

RETURN = r"""
_value:
  description: Version of the chart.
  type: str
  sample: 1.22.0
"""

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.errors import AirflowError
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.versions import chart_for, parse_version


def airflow_chart_version(version: object) -> str:
    """Version of the chart for a version of Airflow."""
    try:
        return chart_for(parse_version(str(version), "airflow_version"))
    except AirflowError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by name."""
        return {"airflow_chart_version": airflow_chart_version}
