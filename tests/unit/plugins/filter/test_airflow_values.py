# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters as a playbook meets them."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.data_platform.plugins.filter.airflow_values import FilterModule


def test_filters() -> None:
    named = {"values", "secrets", "resources", "admin_job", "chart", "database_cleanup", "chart_version"}
    named |= {"step", "foretell", "state_job", "judge", "imports_job", "backup_job", "stop", "start"}
    assert set(FilterModule().filters()) == {f"airflow_{name}" for name in named}


def test_what_cannot_work_is_an_error_of_the_filter_and_no_traceback() -> None:
    render = FilterModule().filters()["airflow_values"]
    with pytest.raises(AnsibleFilterError, match=r"chart 1\.22\.0 cannot run Airflow 2\.10\.4"):
        render({"chart_version": "1.22.0", "version": "2.10.4"}, {}, {})
    with pytest.raises(AnsibleFilterError, match="did you mean 'executor'"):
        render({"chart_version": "1.16.0", "version": "2.10.4"}, {"exekutor": "LocalExecutor"}, {})
