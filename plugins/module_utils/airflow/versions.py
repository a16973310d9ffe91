# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of Airflow and of its official chart, and which of them fit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.errors import AirflowError

Version = tuple[int, ...]

OLDEST_AIRFLOW: Version = (2, 9)
"""The first one with the provider by which the administrator is made (apache-airflow-providers-fab)."""
OLDEST_CHART: Version = (1, 13)
FIRST_CHART_FOR_AIRFLOW_3: Version = (1, 17)
FIRST_CHART_WITHOUT_OLD_AIRFLOW: Version = (1, 20)
OLDEST_AIRFLOW_OF_NEW_CHARTS: Version = (2, 11)
FIRST_CHART_WITH_CREATE_USER_SWITCH: Version = (1, 19)


def parse_version(text: str, what: str) -> Version:
    """Return the numbers of a version such as `1.16.0`; what follows them (`-rc1`, `+lab`) is left out."""
    match = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    if not match:
        raise AirflowError(f"{what} is {text!r}; wanted a version such as 1.16.0.")
    return tuple(int(number) for number in match.groups(default="0"))


def chart_for(airflow: Version) -> str:
    """Return the chart version to use with an Airflow version."""
    if airflow < OLDEST_AIRFLOW_OF_NEW_CHARTS:
        return "1.16.0"
    if airflow < (3,):
        return "1.22.0"
    if airflow < (3, 1):
        return "1.18.0"
    if airflow < (3, 2):
        return "1.20.0"
    return "1.22.0"


def chart_of(version: object) -> str:
    """Return the chart version to use with an Airflow version as the inventory has it."""
    return chart_for(parse_version(str(version), "airflow_version"))


def check_pair(chart_version: str, airflow_version: str) -> None:
    """Refuse a chart that cannot run the wanted Airflow, and name the one that can."""
    chart = parse_version(chart_version, "airflow_chart_version")
    airflow = parse_version(airflow_version, "airflow_version")
    if airflow < OLDEST_AIRFLOW or airflow >= (4,):
        raise AirflowError(f"Airflow {airflow_version} is not supported; wanted 2.9 up to 3.x (airflow_version).")
    if chart < OLDEST_CHART:
        reason = "charts older than 1.13 take other values"
    elif airflow < OLDEST_AIRFLOW_OF_NEW_CHARTS and chart >= FIRST_CHART_WITHOUT_OLD_AIRFLOW:
        reason = "charts from 1.20 on refuse Airflow below 2.11"
    elif airflow >= (3,) and chart < FIRST_CHART_FOR_AIRFLOW_3:
        reason = "Airflow 3 needs a chart from 1.17 on"
    else:
        return
    raise AirflowError(
        f"Airflow's chart {chart_version} cannot run Airflow {airflow_version}: {reason}. "
        f"Set airflow_chart_version to {chart_for(airflow)}, or choose another airflow_version."
    )


def major(declaration: Mapping[str, Any]) -> int:
    """Return the major version of a declared Airflow, by which most of what differs is decided."""
    return parse_version(declaration["version"], "airflow_version")[0]
