# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release of Airflow runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.versions import major


def dag_readers(declaration: Mapping[str, Any]) -> list[str]:
    """Name the components, as the chart's values do, that read DAGs."""
    readers = ["workers"]
    if major(declaration) < 3 or "Local" in declaration["executor"]:
        readers.append("scheduler")
    if major(declaration) >= 3:
        readers.append("dagProcessor")
    if declaration["triggerer"]:
        readers.append("triggerer")
    return readers


def resources_to_wait_for(declaration: Mapping[str, Any]) -> list[dict[str, str]]:
    """Name what must be ready once the release is deployed."""
    deployments = ["scheduler", "webserver"] if major(declaration) < 3 else ["scheduler", "api-server", "dag-processor"]
    if declaration["triggerer"]:
        deployments.append("triggerer")
    celery = "Celery" in declaration["executor"]
    if celery:
        deployments.append("worker")
    wanted = [("StatefulSet", "redis")] if celery else []
    wanted += [("Deployment", name) for name in deployments]
    release, namespace = declaration["release"], declaration["namespace"]
    return [{"api_version": "apps/v1", "kind": kind, "name": f"{release}-{name}", "namespace": namespace} for kind, name in wanted]
