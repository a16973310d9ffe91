# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Secrets of a release of Airflow hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote


def secrets(declaration: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what the Secrets of the release hold, as the module kubernetes_secret takes it."""
    names, namespace, database = declaration["secrets"], declaration["namespace"], declaration["database"]
    address = f"{database['host']}:{database['port']}/{quote(database['name'], safe='')}"
    wanted: list[dict[str, Any]] = [
        {
            "name": names["keys"],
            "generate": {
                "fernet-key": {"format": "fernet"},
                **{key: {"format": "hex", "length": 64} for key in ("webserver-secret-key", "api-secret-key", "jwt-secret")},
            },
            # Not stored here: a connection that is not there is named now, and not by pods that cannot start.
            "inputs": _remote_logs_connection(declaration),
        },
        {
            "name": names["database"],
            "inputs": {"password": {"name": database["secret"], "key": "password"}},
            "template": {"connection": f"postgresql://{quote(database['user'], safe='')}:{{password:url}}@{address}"},
        },
        {"name": names["admin"], "generate": {"password": {"length": 24}}},
    ]
    if "Celery" in declaration["executor"]:
        url = f"redis://:{{password}}@{declaration['release']}-redis:6379/0"
        wanted.append({"name": names["broker"], "generate": {"password": {}}, "template": {"connection": url}})
    return [{**secret, "namespace": namespace} for secret in wanted]


def _remote_logs_connection(declaration: Mapping[str, Any]) -> dict[str, Any]:
    """Where the connection of the task logs has to be, for kubernetes_secret to look."""
    logs = declaration["remote_logs"]
    if not logs["folder"]:
        return {}
    return {"connection": {"name": declaration["connections_secret"], "key": f"AIRFLOW_CONN_{logs['connection'].upper()}"}}
