# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a chart comes from, by one variable."""

from __future__ import annotations

from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.errors import AirflowError


def source(chart: str, name: str = "airflow") -> dict[str, Any]:
    """Return the reference and the repository that helm wants for a repository, an OCI registry, an archive or a directory."""
    web = chart.startswith(("https://", "http://"))
    if web and not chart.endswith((".tgz", ".tar.gz")):
        return {"ref": name, "repository": chart}
    if web or chart.startswith(("oci://", "/")):
        return {"ref": chart, "repository": ""}
    raise AirflowError(
        f"airflow_chart is {chart!r}; wanted a repository (https://airflow.apache.org), an OCI registry "
        "(oci://registry.lan/charts/airflow), an archive (https://mirror.lan/airflow-1.16.0.tgz), or a directory or archive "
        "on the control host (/srv/charts/airflow)."
    )
