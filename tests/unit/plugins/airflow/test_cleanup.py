# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CronJob that forgets old runs."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.cleanup import cleanup_job
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.errors import AirflowError

from tests.unit.plugins.airflow.declared import declaration


def job(cleanup: dict[str, Any]) -> dict[str, Any]:
    return cleanup_job(declaration(database_cleanup=cleanup))


def test_schedule_and_days() -> None:
    made = job({"schedule": "@daily", "days": 30})
    (container,) = made["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert made["spec"]["schedule"] == "@daily"
    assert {"name": "DAYS", "value": "30"} in container["env"]
    assert "airflow db clean" in container["args"][-1]


def test_connection_comes_from_the_secret_and_stands_in_no_argument() -> None:
    (container,) = job({"days": 30})["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    (connection,) = [variable for variable in container["env"] if variable["name"] == "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    assert connection["valueFrom"]["secretKeyRef"] == {"name": "airflow-database", "key": "connection"}
    assert "postgresql" not in " ".join(container["args"])


def test_nothing_declared_names_what_is_to_be_removed() -> None:
    assert job({}) == {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "airflow-db-clean", "namespace": "airflow"}}


@pytest.mark.parametrize(
    ("cleanup", "said"),
    [
        ({"days": 0}, "days is 0; wanted how many days to keep"),
        ({"days": "90"}, "days is '90'; wanted a number"),
        ({"days": True}, "days is True; wanted a number"),
        ({"schedule": "4 am"}, "schedule is '4 am'; wanted five fields"),
        ({"retention": 3}, "has the key 'retention', which is not one of schedule, days"),
    ],
)
def test_what_cannot_work_is_refused(cleanup: dict[str, Any], said: str) -> None:
    with pytest.raises(AirflowError, match=said):
        job(cleanup)
