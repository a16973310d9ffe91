# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Secrets of a release of Airflow hold: generated once, composed, or given from a vault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.airflow import database, notifications
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.errors import AirflowError

Secret = dict[str, Any]


def secrets(declaration: Mapping[str, Any], given: Mapping[str, str]) -> list[Secret]:
    """Return what the Secrets of the release hold, as the module kubernetes_secret takes it. `given` is what a vault holds."""
    names = declaration["secrets"]
    wanted = {
        "keys": _keys(declaration),
        "database": _database(declaration, given),
        "admin": _given_or(given, "admin_password", {"generate": {"password": {"length": 24}}}),
        "broker": _broker(declaration),
        "git": _git(declaration, given),
        "notifications": _notifications(declaration, given),
    }
    return [{"name": names[use], "namespace": declaration["namespace"], **secret} for use, secret in wanted.items() if secret]


def _keys(declaration: Mapping[str, Any]) -> Secret:
    hexadecimal = {"format": "hex", "length": 64}
    return {
        "generate": {
            "fernet-key": {"format": "fernet"},
            **dict.fromkeys(("webserver-secret-key", "api-secret-key", "jwt-secret"), hexadecimal),
        },
        # Not stored here: a connection that is not there is named now, and not by pods that cannot start.
        "inputs": _remote_logs_connection(declaration),
    }


def _remote_logs_connection(declaration: Mapping[str, Any]) -> dict[str, Any]:
    """Where the connection of the task logs has to be, for kubernetes_secret to look."""
    logs = declaration["remote_logs"]
    if not logs["folder"]:
        return {}
    if not declaration["connections_secret"]:
        raise AirflowError(
            f"airflow_connections_secret is empty, and airflow_remote_logs_folder is {logs['folder']!r}: nothing says how Airflow "
            "reaches it. Name the Secret with the connection, or set airflow_remote_logs_folder to an empty text."
        )
    return {"connection": {"name": declaration["connections_secret"], "key": f"AIRFLOW_CONN_{logs['connection'].upper()}"}}


def _given_or(given: Mapping[str, str], name: str, otherwise: Secret) -> Secret:
    return {"data": {"password": given[name]}} if given.get(name) else otherwise


def _database(declaration: Mapping[str, Any], given: Mapping[str, str]) -> Secret:
    elsewhere = {"inputs": {"password": {"name": declaration["database"]["secret"], "key": "password"}}}
    return {**_given_or(given, "database_password", elsewhere), "template": {"connection": database.connection(declaration)}}


def _broker(declaration: Mapping[str, Any]) -> Secret:
    if "Celery" not in declaration["executor"]:
        return {}
    return {"generate": {"password": {}}, "template": {"connection": f"redis://:{{password}}@{declaration['release']}-redis:6379/0"}}


def _git(declaration: Mapping[str, Any], given: Mapping[str, str]) -> Secret:
    if given.get("git_ssh_key"):
        # ssh refuses a key whose last line does not end.
        return {"data": {"gitSshKey": given["git_ssh_key"].rstrip("\n") + "\n"}}
    if given.get("git_password"):
        user, password = declaration["dags"].get("username", ""), given["git_password"]
        # The chart wants both spellings, of git-sync 3 and 4.
        return {
            "data": {
                f"{name}_{key}": value for name in ("GIT_SYNC", "GITSYNC") for key, value in (("USERNAME", user), ("PASSWORD", password))
            }
        }
    return {}


def _notifications(declaration: Mapping[str, Any], given: Mapping[str, str]) -> Secret:
    variables = {notifications.SMTP_PASSWORD: given.get("smtp_password"), notifications.WEBHOOK_URL: given.get("webhook_url")}
    data = {name: value for name, value in variables.items() if value}
    return {"data": data} if data and declaration["notifications"] else {}
