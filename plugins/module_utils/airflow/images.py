# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images that a release may run, as values of Airflow's chart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_OPTIONAL = {
    "statsd": "quay.io/prometheus/statsd-exporter",
    "pgbouncer": "docker.io/apache/airflow",
    "pgbouncerExporter": "docker.io/apache/airflow",
}
"""Parts that are off unless the user's own values turn them on. Their tags are the chart's."""


def airflow(declaration: Mapping[str, Any]) -> str:
    """Return Airflow's own image."""
    return f"{declaration['image']['repository']}:{declaration['image']['tag']}"


def values(declaration: Mapping[str, Any]) -> dict[str, Any]:
    """Return the images; behind a prefix, also those of what the user may turn on."""
    images, prefix = declaration["images"], declaration["image_prefix"]
    chosen = {part: {"repository": f"{prefix}{repository}"} for part, repository in _OPTIONAL.items()} if prefix else {}
    return {
        "defaultAirflowRepository": declaration["image"]["repository"],
        "defaultAirflowTag": declaration["image"]["tag"],
        "images": {**chosen, "gitSync": dict(images["git_sync"]), "redis": dict(images["redis"])},
    }
