# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs the tasks, as values of Airflow's chart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

REDIS_UID = 999
"""The user `redis` of the official image, which the chart would run as root."""


def values(declaration: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the declared executor. Nothing waits for a volume that nobody provisions."""
    executor, resources, celery = declaration["executor"], declaration["resources"], declaration["celery"]
    result: dict[str, Any] = {
        "executor": executor,
        "config": {"core": {"parallelism": str(declaration["parallelism"])}},
        "workers": {"persistence": {"enabled": False}, "resources": resources["task"]},
    }
    if "Local" in executor:
        # The scheduler runs the tasks.
        result["scheduler"] = {"resources": resources["local_scheduler"]}
    if "Celery" in executor:
        result["config"]["celery"] = {"worker_concurrency": str(celery["concurrency"])}
        result["workers"] |= {
            "resources": resources["worker"],
            "replicas": celery["workers"],
            # Each ping of Celery starts a Python of its own, which takes seconds on a small machine.
            "livenessProbe": {"initialDelaySeconds": 60, "timeoutSeconds": 60, "periodSeconds": 120},
        }
        result["redis"] = {"uid": REDIS_UID, "resources": resources["redis"]}
    return result
