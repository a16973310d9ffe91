# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From one small declaration to the values of Airflow's official Helm chart.

What is rendered holds for the charts 1.13 to 1.22. They differ by Airflow's major version (webserver or API server, webserver key
or API and JWT keys) and by where the chart lets its own administrator be switched off.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import reduce
from typing import Any, Optional

from ansible_collections.homelab.data_platform.plugins.module_utils.airflow import (
    dags,
    executors,
    images,
    ingress,
    notifications,
    trust,
    web,
)
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.chart_keys import check_keys
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.versions import (
    FIRST_CHART_WITH_CREATE_USER_SWITCH,
    check_pair,
    major,
    parse_version,
)

Values = dict[str, Any]
Checksums = Mapping[str, Optional[str]]

LIVENESS = {"timeoutSeconds": 60, "periodSeconds": 60, "failureThreshold": 5}
"""Each probe starts a Python of its own, which takes seconds on a small machine."""
STARTUP = {"timeoutSeconds": 60, "periodSeconds": 10, "failureThreshold": 60}
"""A start with a cold cache takes minutes."""


def merge(base: Mapping[str, Any], top: Mapping[str, Any]) -> Values:
    """Lay `top` over `base`: mappings are merged at every level, anything else replaces what was there."""
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def render(declaration: Mapping[str, Any], own: Mapping[str, Any], checksums: Checksums) -> Values:
    """Return the chart's values for a declaration with the user's own values laid over them.

    `checksums` holds those of the Secrets, by name.
    """
    check_keys(own)
    derived = derive(declaration, checksums)
    notifications.check_own(declaration, own)
    return merge(derived, own)


def derive(declaration: Mapping[str, Any], checksums: Checksums) -> Values:
    """Return the chart's values for a declaration, without the user's own. A later part wins over an earlier one."""
    check_pair(declaration["chart_version"], declaration["version"])
    annotations = _annotations(declaration, checksums)
    parts: list[Values] = [
        _release(declaration),
        _components(declaration, annotations),
        images.values(declaration),
        web.values(declaration, annotations),
        ingress.values(declaration),
        executors.values(declaration),
        dags.values(declaration),
        dags.scan(declaration),
        _logs(declaration),
        notifications.values(declaration),
        _environment(declaration),
        _administrator(declaration),
    ]
    return reduce(merge, parts)


def _annotations(declaration: Mapping[str, Any], checksums: Checksums) -> dict[str, str]:
    """Annotations that change, and so restart a pod, with the Secrets of the release. Check mode may not know a checksum yet.

    Connections and the CA are other roles' to keep; those restart what reads them.
    """
    read = [name for use, name in declaration["secrets"].items() if use != "admin"]
    return {f"checksum/{name}": checksums[name] or "not known yet" for name in read if name in checksums}


def _release(declaration: Mapping[str, Any]) -> Values:
    names = declaration["secrets"]
    # Neither job is a Helm hook: Helm would wait for jobs that wait for pods that wait for the migration.
    job = {"useHelmHooks": False, "applyCustomEnv": False}
    return {
        "airflowVersion": declaration["version"],
        "images": {"migrationsWaitTimeout": 600},
        # What the account may do is the role `rbac`'s to say; the chart would let it look into every pod of the namespace (pods/exec).
        "allowPodLaunching": False,
        "nodeSelector": declaration["node_selector"],
        "tolerations": declaration["tolerations"],
        "fernetKeySecretName": names["keys"],
        "data": {"metadataSecretName": names["database"], "brokerUrlSecretName": names["broker"]},
        "postgresql": {"enabled": False},
        # For Celery only. Unless they are named, the chart makes its Secrets anyway, with new values at each rendering.
        "redis": {"persistence": {"enabled": False}, "passwordSecretName": names["broker"]},
        "statsd": {"enabled": False},
        "createUserJob": {**job, "serviceAccount": {"create": False}},
        "migrateDatabaseJob": {**job, "resources": declaration["resources"]["migration"]},
    }


def _components(declaration: Mapping[str, Any], annotations: dict[str, str]) -> Values:
    resources = declaration["resources"]
    account = {"serviceAccount": {"create": False, "name": declaration["service_account"]}}
    # Logs live in the object store and go with the pod: nothing to groom.
    common = {"podAnnotations": annotations, "logGroomerSidecar": {"enabled": False}, "livenessProbe": LIVENESS}
    values: Values = {
        "scheduler": {"resources": resources["scheduler"], **common, "startupProbe": STARTUP, **account},
        "triggerer": {"enabled": declaration["triggerer"], "persistence": {"enabled": False}},
        "workers": dict(account),
    }
    if "Celery" in declaration["executor"]:
        # A task's pod reads the Secrets when it starts; a worker lives on.
        values["workers"]["podAnnotations"] = annotations
    if declaration["triggerer"]:
        values["triggerer"].update({"resources": resources["triggerer"], **common, **account})
    if major(declaration) >= 3:
        values["dagProcessor"] = {"resources": resources["dag_processor"], **common, **account}
    return values


def _logs(declaration: Mapping[str, Any]) -> Values:
    logs = declaration["remote_logs"]
    if not logs["folder"]:
        return {}
    options = {
        "remote_logging": "True",
        "remote_base_log_folder": logs["folder"],
        "remote_log_conn_id": logs["connection"],
        "encrypt_s3_logs": "False",
    }
    return {"config": {"logging": options}}


def _environment(declaration: Mapping[str, Any]) -> Values:
    """The environment of every container, and the private CA that it names."""
    values: Values = {}
    # Airflow looks for Variables in the environment first.
    variables = {f"AIRFLOW_VAR_{name.upper()}": _text(value) for name, value in declaration["variables"].items()}
    variables |= notifications.environment(declaration)
    if declaration["ca_config_map"]:
        values |= {"volumes": trust.volumes(declaration), "volumeMounts": trust.mounts(declaration)}
        variables |= trust.environment(declaration)
    loaded = [declaration["connections_secret"]] if declaration["connections_secret"] else []
    if {"smtp_password", "webhook_url"} & set(declaration["given"]):
        loaded.append(declaration["secrets"]["notifications"])
    if variables:
        values["extraEnv"] = _yaml([{"name": name, "value": value} for name, value in variables.items()])
    if loaded:
        values["extraEnvFrom"] = _yaml([{"secretRef": {"name": name}} for name in loaded])
    return values


def _text(value: Any) -> str:
    """A Variable as Airflow reads it: a text, or JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def _yaml(entries: list[Values]) -> str:
    """The chart wants a string of YAML where it takes environments; an entry in JSON is one, too. It takes the string for a template."""
    return "".join(f"- {json.dumps(entry)}\n" for entry in entries).replace("{{", "{{ `{{` }}")


def _administrator(declaration: Mapping[str, Any]) -> Values:
    """The chart would put the administrator's password into a Job's arguments."""
    if parse_version(declaration["chart_version"], "airflow_chart_version") >= FIRST_CHART_WITH_CREATE_USER_SWITCH:
        return {"createUserJob": {"enabled": False}}
    return {"webserver": {"defaultUser": {"enabled": False}}}
