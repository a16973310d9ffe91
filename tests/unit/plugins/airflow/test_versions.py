# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Charts and the Airflow that they run."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow import versions
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.errors import AirflowError
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.values import derive

from tests.unit.plugins.airflow.declared import PAIRS, declaration


@pytest.mark.parametrize(("chart", "version"), PAIRS)
def test_pairs_that_work(chart: str, version: str) -> None:
    versions.check_pair(chart, version)


@pytest.mark.parametrize(
    ("chart", "version", "said"),
    [
        ("1.22.0", "2.10.4", "refuse Airflow below 2.11. Set airflow_chart_version to 1.16.0"),
        ("1.20.0", "2.10.5", "refuse Airflow below 2.11. Set airflow_chart_version to 1.16.0"),
        ("1.16.0", "3.0.2", "Airflow 3 needs a chart from 1.17 on. Set airflow_chart_version to 1.18.0"),
        ("1.13.1", "3.2.2", "Airflow 3 needs a chart from 1.17 on. Set airflow_chart_version to 1.22.0"),
        ("1.11.0", "2.10.4", "charts older than 1.13 take other values. Set airflow_chart_version to 1.16.0"),
        ("1.16.0", "1.10.15", "Airflow 1.10.15 is not supported"),
        ("latest", "2.10.4", "airflow_chart_version is 'latest'"),
    ],
)
def test_pairs_that_cannot_work_name_the_one_that_can(chart: str, version: str, said: str) -> None:
    with pytest.raises(AirflowError, match=said.replace(".", r"\.")):
        derive(declaration(version, chart), {})


@pytest.mark.parametrize("version", ["2.9.0", "2.10.4", "2.11.0", "3.0.2", "3.1.7", "3.2.2"])
def test_the_named_chart_is_one_that_works(version: str) -> None:
    versions.check_pair(versions.chart_for(versions.parse_version(version, "airflow_version")), version)
