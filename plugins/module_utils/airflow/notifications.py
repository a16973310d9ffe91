# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages about failed tasks and runs: a module of Airflow's local settings that every DAG gets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.errors import AirflowError
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.fields import with_defaults

EVENTS = ("dag_run", "task")
"""Airflow 2 calls no callback of a task whose pod was killed; its run fails, and that is told."""
SETTINGS = "DATA_PLATFORM_NOTIFICATIONS"
SMTP_PASSWORD = "DATA_PLATFORM_SMTP_PASSWORD"  # noqa: S105 - a variable's name
WEBHOOK_URL = "DATA_PLATFORM_WEBHOOK_URL"
TLS = ("none", "starttls", "implicit")

_MAIL = {"port": 587, "tls": "starttls", "username": "", "timeout": 10}


def settings(declaration: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is to be said where, without the secrets, or nothing where nothing is declared."""
    declared, given = declaration["notifications"], declaration["given"]
    if not declared:
        if "webhook_url" in given or "smtp_password" in given:
            raise AirflowError(
                "airflow_webhook_url or airflow_smtp_password is given, but airflow_notifications is empty: "
                "declare airflow_notifications.webhook or airflow_notifications.mail."
            )
        return {}
    wanted = with_defaults("airflow_notifications", declared, {"events": ["dag_run"], "mail": {}, "webhook": False})
    for event in wanted["events"]:
        if event not in EVENTS:
            raise AirflowError(f"airflow_notifications.events has {event!r}; wanted some of {', '.join(EVENTS)}.")
    if wanted["webhook"] != ("webhook_url" in given):
        raise AirflowError(
            "airflow_notifications.webhook and airflow_webhook_url (in a vault: whoever knows it may write) belong together; "
            "one of them is missing."
        )
    result: dict[str, Any] = {"events": wanted["events"], "webhook": wanted["webhook"]}
    if wanted["mail"]:
        result["mail"] = _mail(wanted["mail"], "smtp_password" in given)
    elif not wanted["webhook"]:
        raise AirflowError("airflow_notifications names neither mail nor webhook; declare one of them, or leave it empty.")
    return result


def _mail(declared: Mapping[str, Any], password: bool) -> dict[str, Any]:
    to = declared.get("to")
    addresses = [to] if isinstance(to, str) and to else to
    if not isinstance(addresses, list) or not addresses:
        raise AirflowError(f"airflow_notifications.mail.to is {to!r}; wanted one address or a list of them.")
    rest = {key: value for key, value in declared.items() if key != "to"}
    mail = with_defaults("airflow_notifications.mail", rest, _MAIL, required=["host", "from"])
    if mail["tls"] not in TLS:
        raise AirflowError(f"airflow_notifications.mail.tls is {mail['tls']!r}; wanted one of {', '.join(TLS)}.")
    if bool(mail["username"]) != password:
        raise AirflowError("airflow_notifications.mail.username and airflow_smtp_password belong together; one of them is missing.")
    if mail["username"] and mail["tls"] == "none":
        raise AirflowError(
            "airflow_notifications.mail.tls is 'none', which would send the password for everybody to read; wanted starttls."
        )
    return {**mail, "to": addresses}


def values(declaration: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that bring the module to every container."""
    return {"airflowLocalSettings": declaration["scripts"]["local_settings"]} if settings(declaration) else {}


def environment(declaration: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables that the module reads, but for the secrets."""
    said = settings(declaration)
    return {SETTINGS: json.dumps(said, sort_keys=True)} if said else {}


def check_own(declaration: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Refuse local settings of the user's own beside ours: the file can be one only."""
    if declaration["notifications"] and "airflowLocalSettings" in own:
        raise AirflowError(
            "airflow_values.airflowLocalSettings would replace the module that airflow_notifications needs: "
            "leave airflow_notifications empty, or bring your own settings as a plugin in the image."
        )
