# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the chart comes from, by one variable."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.chart import source
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.errors import AirflowError


@pytest.mark.parametrize(
    ("chart", "ref", "repository"),
    [
        ("https://airflow.apache.org", "airflow", "https://airflow.apache.org"),
        ("http://mirror.lan/airflow/", "airflow", "http://mirror.lan/airflow/"),
        ("oci://registry.lan/charts/airflow", "oci://registry.lan/charts/airflow", ""),
        ("https://mirror.lan/airflow-1.16.0.tgz", "https://mirror.lan/airflow-1.16.0.tgz", ""),
        ("/srv/charts/airflow", "/srv/charts/airflow", ""),
    ],
)
def test_one_variable_says_where(chart: str, ref: str, repository: str) -> None:
    assert source(chart) == {"ref": ref, "repository": repository}


@pytest.mark.parametrize("chart", ["", "airflow", "apache-airflow/airflow", "charts/airflow", "git://x"])
def test_what_names_no_place_is_refused(chart: str) -> None:
    with pytest.raises(AirflowError, match="wanted a repository"):
        source(chart)
