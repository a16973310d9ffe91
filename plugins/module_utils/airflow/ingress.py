# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Airflow's page behind the declared ingress controller, in the values of its chart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.versions import major
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.web import UI_PORT
from ansible_collections.homelab.data_platform.plugins.module_utils.ingress.rules import root_annotations, tls


def values(declaration: Mapping[str, Any]) -> dict[str, Any]:
    """Return the chart's values for the Ingress of the web interface.

    Below a path Airflow wants to see the whole of it, and to know it from its `base_url`: nothing is cut off, unlike for Spark.
    """
    ingress = declaration["ingress"]
    if not ingress:
        return {}
    path, two = ingress["path"], major(declaration) < 3
    certificate = {"tls": {"enabled": True, "secretName": ingress["tls_secret"]}} if tls(ingress) else {}
    web = {
        "enabled": True,
        "ingressClassName": ingress["class"],
        "annotations": root_annotations(ingress),
        "path": path,
        "pathType": "Prefix",
        "hosts": [{"name": ingress["host"], **certificate}] if ingress["host"] else [],
    }
    wanted: dict[str, Any] = {"ingress": {"web" if two else "apiServer": web}}
    if path != "/" or ingress["host"]:
        base_url = ingress["url"] + path.rstrip("/")
        wanted["config"] = {"webserver" if two else "api": {"base_url": base_url}}
        if not two:
            # Its whole API server moves below the path of its address, but for the part that the chart asks for its health.
            execution = f"http://{declaration['release']}-api-server:{UI_PORT}{urlsplit(base_url).path}/execution/"
            wanted["config"]["core"] = {"execution_api_server_url": execution}
    return wanted
