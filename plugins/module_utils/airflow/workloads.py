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


def resources_to_wait_for(declaration: Mapping[str, Any], values: Mapping[str, Any]) -> list[dict[str, str]]:
    """Name what must be ready once the release is deployed with these values, the user's own among them."""
    web = ["scheduler", "webserver"] if major(declaration) < 3 else ["scheduler", "api-server", "dag-processor"]
    wanted = [("Deployment", name) for name in web]
    if values["triggerer"]["enabled"]:
        wanted.append((_kind(values["triggerer"]), "triggerer"))
    if "Celery" in values["executor"]:
        wanted.append((_kind(values["workers"]), "worker"))
        if values["redis"].get("enabled", True):
            wanted.insert(0, ("StatefulSet", "redis"))
    release, namespace = declaration["release"], declaration["namespace"]
    return [{"api_version": "apps/v1", "kind": kind, "name": f"{release}-{name}", "namespace": namespace} for kind, name in wanted]


def _kind(component: Mapping[str, Any]) -> str:
    """The chart makes a StatefulSet of what has volumes of its own."""
    return "StatefulSet" if component["persistence"]["enabled"] else "Deployment"
