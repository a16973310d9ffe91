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
from typing import Any, Optional

from ansible_collections.homelab.data_platform.plugins.module_utils.airflow import dags, trust
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.chart_keys import check_keys
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.versions import (
    FIRST_CHART_WITH_CREATE_USER_SWITCH,
    check_pair,
    parse_version,
)

Values = dict[str, Any]
Checksums = Mapping[str, Optional[str]]

UI_PORT = 8080


def merge(base: Mapping[str, Any], top: Mapping[str, Any]) -> Values:
    """Lay `top` over `base`: mappings are merged at every level, anything else replaces what was there."""
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def _config(declaration: Mapping[str, Any], major: int) -> Values:
    config: Values = {"webserver" if major < 3 else "api": {"workers": str(declaration["webserver_workers"])}}
    if declaration["remote_logs"]["folder"]:
        config["logging"] = {
            "remote_logging": "True",
            "remote_base_log_folder": declaration["remote_logs"]["folder"],
            "remote_log_conn_id": declaration["remote_logs"]["connection"],
            "encrypt_s3_logs": "False",
        }
    return config


def _exec_probes() -> Values:
    """Each probe starts a Python of its own, which takes seconds on a small machine; a start with a cold cache takes minutes."""
    return {
        "livenessProbe": {"timeoutSeconds": 60, "periodSeconds": 60, "failureThreshold": 5},
        "startupProbe": {"timeoutSeconds": 60, "periodSeconds": 10, "failureThreshold": 60},
    }


def _annotations(declaration: Mapping[str, Any], checksums: Checksums) -> dict[str, str]:
    """Annotations that change, and so restart a pod, with the Secrets of the release. Check mode may not know a checksum yet.

    Connections and the CA are other roles' to keep; those restart what reads them.
    """
    read = [name for use, name in declaration["secrets"].items() if use != "admin"]
    return {f"checksum/{name}": checksums[name] or "not known yet" for name in read if name in checksums}


def _web(declaration: Mapping[str, Any], annotations: dict[str, str]) -> Values:
    """Webserver of Airflow 2, API server of Airflow 3."""
    port: Values = {"name": "airflow-ui", "port": UI_PORT}
    service: Values = {"type": "ClusterIP", "ports": [port]}
    if declaration["node_port"]:
        service["type"] = "NodePort"
        port["nodePort"] = declaration["node_port"]
    return {
        "resources": declaration["resources"]["webserver"],
        "podAnnotations": annotations,
        "service": service,
        "startupProbe": {"timeoutSeconds": 20, "periodSeconds": 10, "failureThreshold": 60},
    }


def derive(declaration: Mapping[str, Any], checksums: Checksums) -> Values:
    """Return the chart's values for a declaration, without the user's own."""
    check_pair(declaration["chart_version"], declaration["version"])
    chart = parse_version(declaration["chart_version"], "airflow_chart_version")
    major = parse_version(declaration["version"], "airflow_version")[0]
    executor: str = declaration["executor"]
    names, resources = declaration["secrets"], declaration["resources"]
    annotations = _annotations(declaration, checksums)
    account = {"serviceAccount": {"create": False, "name": declaration["service_account"]}}
    # Logs live in the object store and go with the pod: nothing to groom.
    common = {"podAnnotations": annotations, "logGroomerSidecar": {"enabled": False}}
    # Neither job is a Helm hook: Helm would wait for jobs that wait for pods that wait for the migration.
    job = {"useHelmHooks": False, "applyCustomEnv": False}

    values: Values = {
        "airflowVersion": declaration["version"],
        "defaultAirflowRepository": declaration["image"]["repository"],
        "defaultAirflowTag": declaration["image"]["tag"],
        "images": {
            "migrationsWaitTimeout": 600,
            "gitSync": {"repository": declaration["git_sync"]["image"]["repository"], "tag": declaration["git_sync"]["image"]["tag"]},
        },
        "executor": executor,
        "nodeSelector": declaration["node_selector"],
        "tolerations": declaration["tolerations"],
        "fernetKeySecretName": names["keys"],
        "data": {"metadataSecretName": names["database"], "brokerUrlSecretName": names["broker"]},
        "postgresql": {"enabled": False},
        # For Celery only. Unless they are named, the chart makes its Secrets anyway, with new values at each rendering.
        "redis": {"persistence": {"enabled": False}, "passwordSecretName": names["broker"]},
        "statsd": {"enabled": False},
        "config": _config(declaration, major),
        "createUserJob": {**job, "serviceAccount": {"create": False}},
        "migrateDatabaseJob": {**job, "resources": resources["migration"]},
        "scheduler": {"resources": resources["scheduler"], **common, **_exec_probes(), **account},
        "triggerer": {"enabled": declaration["triggerer"], "persistence": {"enabled": False}},
        "workers": {"persistence": {"enabled": False}, "resources": resources["task"], **account},
    }
    if declaration["triggerer"]:
        values["triggerer"].update({"resources": resources["triggerer"], **common, **account})
    if major < 3:
        values["webserver"] = _web(declaration, annotations)
        values["webserverSecretKeySecretName"] = names["keys"]
    else:
        values["apiServer"] = _web(declaration, annotations)
        values["dagProcessor"] = {"resources": resources["dag_processor"], **common}
        values["apiSecretKeySecretName"] = names["keys"]
        values["jwtSecretName"] = names["keys"]
    # The chart would put the administrator's password into a Job's arguments.
    if chart >= FIRST_CHART_WITH_CREATE_USER_SWITCH:
        values["createUserJob"]["enabled"] = False
    else:
        values.setdefault("webserver", {})["defaultUser"] = {"enabled": False}
    if declaration["git_sync"]["repo"]:
        values["dags"] = {"gitSync": dags.git_sync(declaration)}
    if declaration["ca_config_map"]:
        values["volumes"] = [trust.volume(declaration["ca_config_map"])]
        values["volumeMounts"] = [trust.mount()]
        values["extraEnv"] = _yaml([{"name": name, "value": value} for name, value in trust.environment().items()])
    if declaration["connections_secret"]:
        values["extraEnvFrom"] = _yaml([{"secretRef": {"name": declaration["connections_secret"]}}])
    return values


def _yaml(entries: list[Values]) -> str:
    """The chart wants a string of YAML where it takes environments; an entry in JSON is one, too."""
    return "".join(f"- {json.dumps(entry)}\n" for entry in entries)


def render(declaration: Mapping[str, Any], own: Mapping[str, Any], checksums: Checksums) -> Values:
    """Return the chart's values for a declaration with the user's own values laid over them.

    `checksums` holds those of the Secrets, by name.
    """
    check_keys(own)
    return merge(derive(declaration, checksums), own)
