# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release of Airflow runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.versions import parse_version


def resources_to_wait_for(declaration: Mapping[str, Any]) -> list[dict[str, str]]:
    """Name what must be ready once the release is deployed."""
    major = parse_version(declaration["version"], "airflow_version")[0]
    components = ["scheduler", "webserver"] if major < 3 else ["scheduler", "api-server", "dag-processor"]
    if declaration["triggerer"]:
        components.append("triggerer")
    if "Celery" in declaration["executor"]:
        components.append("worker")
    release, namespace = declaration["release"], declaration["namespace"]
    return [{"api_version": "apps/v1", "kind": "Deployment", "name": f"{release}-{name}", "namespace": namespace} for name in components]
