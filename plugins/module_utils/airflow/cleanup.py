# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CronJob that forgets old runs. Newer charts have one of their own; this one serves them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.airflow import pods
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.errors import AirflowError
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.fields import with_defaults

# Without --skip-archive the rows would move to tables beside, and the disk would hold as much as before.
COMMAND = 'exec airflow db clean --yes --skip-archive --clean-before-timestamp "$(date --utc --date="$DAYS days ago" +%FT%T+00:00)"'
IDLE = {"schedule": "0 4 * * 0", "days": 90}


def cleanup_job(declaration: Mapping[str, Any]) -> dict[str, Any]:
    """Return the CronJob; where none is declared, its name alone, so that it can be removed."""
    job: dict[str, Any] = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": f"{declaration['release']}-db-clean", "namespace": declaration["namespace"]},
    }
    if not declaration["database_cleanup"]:
        return job
    wanted = with_defaults("airflow_database_cleanup", declaration["database_cleanup"], IDLE)
    if wanted["days"] < 1:
        raise AirflowError(f"airflow_database_cleanup.days is {wanted['days']}; wanted how many days to keep, at least 1.")
    if not wanted["schedule"].startswith("@") and len(wanted["schedule"].split()) != 5:
        raise AirflowError(
            f"airflow_database_cleanup.schedule is {wanted['schedule']!r}; wanted five fields as of cron, such as '0 4 * * 0'."
        )
    labels = pods.labels(declaration, "database-cleanup")
    container = {"name": "database-cleanup", "args": ["bash", "-c", COMMAND], "env": [{"name": "DAYS", "value": str(wanted["days"])}]}
    job["metadata"]["labels"] = labels
    job["spec"] = {
        "schedule": wanted["schedule"],
        "concurrencyPolicy": "Forbid",
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 1,
        "jobTemplate": {
            "spec": {"backoffLimit": 2, "template": {"metadata": {"labels": labels}, "spec": pods.pod(declaration, container, [])}}
        },
    }
    return job
