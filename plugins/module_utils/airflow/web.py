# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The web interface: webserver of Airflow 2, API server of Airflow 3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.versions import major

UI_PORT = 8080
TASK_PATIENCE = "30"
"""Seconds that a task of Airflow 3 waits for an answer of the API server. By default it is 5, and a small machine that does much else
was seen to take longer five times in a row, after which the task fails. Airflow knows the option from 3.1.1 on."""


def values(declaration: Mapping[str, Any], annotations: dict[str, str]) -> dict[str, Any]:
    """Return the values of the web interface, its key and its Service."""
    # The chart's Ingress goes by the name.
    port: dict[str, Any] = {"name": "airflow-ui" if major(declaration) < 3 else "api-server", "port": UI_PORT}
    service: dict[str, Any] = {"type": "ClusterIP", "ports": [port]}
    if declaration["node_port"]:
        service["type"] = "NodePort"
        port["nodePort"] = declaration["node_port"]
    part = {
        "resources": declaration["resources"]["webserver"],
        "podAnnotations": annotations,
        "service": service,
        "startupProbe": {"timeoutSeconds": 20, "periodSeconds": 10, "failureThreshold": 60},
        # The first call of a task of Airflow 3 keeps the server from answering anybody: on a busy machine for more than the minute after
        # which the chart's own probe would have it killed.
        "livenessProbe": {"timeoutSeconds": 30, "periodSeconds": 30, "failureThreshold": 5},
    }
    keys, processes = declaration["secrets"]["keys"], {"workers": str(declaration["webserver_workers"])}
    if major(declaration) < 3:
        # Scripts give name and password; the page goes by its session.
        api = {"auth_backends": "airflow.api.auth.backend.basic_auth,airflow.api.auth.backend.session"}
        return {"webserver": part, "webserverSecretKeySecretName": keys, "config": {"webserver": processes, "api": api}}
    config = {"api": processes, "workers": {"execution_api_timeout": TASK_PATIENCE}}
    return {"apiServer": part, "apiSecretKeySecretName": keys, "jwtSecretName": keys, "config": config}
