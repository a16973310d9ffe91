# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters with which the role `airflow` renders the chart's values and its own objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow_values import (
    AirflowValuesError,
    admin_job,
    render,
    resources_to_wait_for,
    secrets,
)


def airflow_values(declaration: dict[str, Any], own: dict[str, Any], checksums: dict[str, Any]) -> dict[str, Any]:
    """Values of Airflow's chart for a declaration, with the user's own values laid over them."""
    try:
        return render(declaration, own, checksums)
    except AirflowValuesError as error:
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
