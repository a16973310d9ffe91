# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From one small declaration to the values of Airflow's official Helm chart.

What is rendered holds for the charts 1.13 to 1.22. They differ by Airflow's major version (webserver or API server, webserver key
or API and JWT keys) and by where the chart lets its own administrator be switched off.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Optional
from urllib.parse import quote

Values = dict[str, Any]
Version = tuple[int, ...]
Checksums = Mapping[str, Optional[str]]

CA_DIRECTORY = "/etc/data-platform/ca"
CA_KEY = "ca-bundle.crt"
"""The private CA with the public roots: each of the variables that name it replaces what a client trusts otherwise."""
AIRFLOW_UID = 50000
UI_PORT = 8080

OLDEST_CHART: Version = (1, 13)
FIRST_CHART_FOR_AIRFLOW_3: Version = (1, 17)
FIRST_CHART_WITHOUT_OLD_AIRFLOW: Version = (1, 20)
OLDEST_AIRFLOW_OF_NEW_CHARTS: Version = (2, 11)
FIRST_CHART_WITH_CREATE_USER_SWITCH: Version = (1, 19)

_KNOWN = """
    affinity airflowConfigAnnotations airflowHome airflowLocalSettings airflowPodAnnotations airflowVersion allowJobLaunching
    allowPodLaunching apiSecretAnnotations apiSecretKey apiSecretKeySecretName apiServer cleanup config containerLifecycleHooks
    createUserJob dagProcessor dags data databaseCleanup defaultAirflowDigest defaultAirflowRepository defaultAirflowTag
    elasticsearch enableBuiltInSecretEnvVars enableServiceLinks env executor extraConfigMaps extraEnv extraEnvFrom extraSecrets
    fernetKey fernetKeySecretAnnotations fernetKeySecretName flower fullnameOverride gid images imagePullSecrets ingress jwtSecret
    jwtSecretAnnotations jwtSecretName kerberos labels limits logs migrateDatabaseJob multiNamespaceMode nameOverride
    networkPolicies nodeSelector opensearch otelCollector pgbouncer podTemplate ports postgresql priorityClasses quotas rbac redis
    registry revisionHistoryLimit scheduler schedulerName secret securityContext securityContexts statsd tolerations
    topologySpreadConstraints triggerer uid useStandardNaming volumeMounts volumes webserver webserverSecretAnnotations
    webserverSecretKey webserverSecretKeySecretName workers
"""
KNOWN_KEYS = frozenset(_KNOWN.split())
"""Every top-level value of the charts 1.13.1 to 1.22.0, whose schemas leave the top level open: a mistyped key would do nothing."""


class AirflowValuesError(ValueError):
    """The declaration cannot become values: the message says what was found, what was wanted and what to do."""


def parse_version(text: str, what: str) -> Version:
    """Return the numbers of a version such as `1.16.0`; what follows them (`-rc1`, `+lab`) is left out."""
    match = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    if not match:
        raise AirflowValuesError(f"{what} is {text!r}; wanted a version such as 1.16.0.")
    return tuple(int(number) for number in match.groups(default="0"))


def chart_for(airflow: Version) -> str:
    """Return the chart version to use with an Airflow version."""
    if airflow < OLDEST_AIRFLOW_OF_NEW_CHARTS:
        return "1.16.0"
    if airflow < (3,):
        return "1.22.0"
    if airflow < (3, 1):
        return "1.18.0"
    if airflow < (3, 2):
        return "1.20.0"
    return "1.22.0"


def check_pair(chart_version: str, airflow_version: str) -> None:
    """Refuse a chart that cannot run the wanted Airflow, and name the one that can."""
    chart = parse_version(chart_version, "airflow_chart_version")
    airflow = parse_version(airflow_version, "airflow_version")
    if airflow < (2, 7) or airflow >= (4,):
        raise AirflowValuesError(f"Airflow {airflow_version} is not supported; wanted 2.7 up to 3.x (airflow_version).")
    if chart < OLDEST_CHART:
        reason = "charts older than 1.13 take other values"
    elif airflow < OLDEST_AIRFLOW_OF_NEW_CHARTS and chart >= FIRST_CHART_WITHOUT_OLD_AIRFLOW:
        reason = "charts from 1.20 on refuse Airflow below 2.11"
    elif airflow >= (3,) and chart < FIRST_CHART_FOR_AIRFLOW_3:
        reason = "Airflow 3 needs a chart from 1.17 on"
    else:
        return
    raise AirflowValuesError(
        f"Airflow's chart {chart_version} cannot run Airflow {airflow_version}: {reason}. "
        f"Set airflow_chart_version to {chart_for(airflow)}, or choose another airflow_version."
    )


def check_keys(values: Mapping[str, Any]) -> None:
    """Refuse a top-level key that no chart knows."""
    for key in sorted(set(values) - KNOWN_KEYS):
        near = difflib.get_close_matches(key, KNOWN_KEYS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise AirflowValuesError(f"airflow_values has the key {key!r}, which Airflow's chart does not know and would silently ignore{hint}")


def merge(base: Mapping[str, Any], top: Mapping[str, Any]) -> Values:
    """Lay `top` over `base`: mappings are merged at every level, anything else replaces what was there."""
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def secrets(declaration: Mapping[str, Any]) -> list[Values]:
    """Return what the Secrets of the release hold, as the module kubernetes_secret takes it."""
    names, namespace, database = declaration["secrets"], declaration["namespace"], declaration["database"]
    address = f"{database['host']}:{database['port']}/{quote(database['name'], safe='')}"
    wanted: list[Values] = [
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


def _remote_logs_connection(declaration: Mapping[str, Any]) -> Values:
    """Where the connection of the task logs has to be, for kubernetes_secret to look."""
    logs = declaration["remote_logs"]
    if not logs["folder"]:
        return {}
    return {"connection": {"name": declaration["connections_secret"], "key": f"AIRFLOW_CONN_{logs['connection'].upper()}"}}


def _ca_environment() -> dict[str, str]:
    path = f"{CA_DIRECTORY}/{CA_KEY}"
    return {"AWS_CA_BUNDLE": path, "REQUESTS_CA_BUNDLE": path, "SSL_CERT_FILE": path, "GIT_SSL_CAINFO": path}


def _git_sync(declaration: Mapping[str, Any]) -> Values:
    sync = declaration["git_sync"]
    values: Values = {
        "enabled": True,
        "repo": sync["repo"],
        "branch": sync["branch"],
        "ref": sync["branch"],
        "subPath": sync["subpath"],
        "depth": 1,
        "period": sync["period"],
        # A repository that is away for a while must not restart the scheduler.
        "maxFailures": 10,
        "resources": declaration["resources"]["git_sync"],
    }
    for key, name in (("credentialsSecret", "credentials_secret"), ("sshKeySecret", "ssh_key_secret"), ("knownHosts", "known_hosts")):
        if sync[name]:
            values[key] = sync[name]
    if declaration["ca_config_map"]:
        values["env"] = [{"name": "GIT_SSL_CAINFO", "value": _ca_environment()["GIT_SSL_CAINFO"]}]
        values["extraVolumeMounts"] = [_ca_mount()]
    return values


def _ca_mount() -> Values:
    return {"name": "data-platform-ca", "mountPath": CA_DIRECTORY, "readOnly": True}


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
        values["dags"] = {"gitSync": _git_sync(declaration)}
    if declaration["ca_config_map"]:
        values["volumes"] = [{"name": "data-platform-ca", "configMap": {"name": declaration["ca_config_map"]}}]
        values["volumeMounts"] = [_ca_mount()]
        values["extraEnv"] = _yaml([{"name": name, "value": value} for name, value in _ca_environment().items()])
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


def _secret_variable(name: str, secret: str, key: str) -> Values:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def admin_job(declaration: Mapping[str, Any], admin: Mapping[str, str], script: str, checksums: Checksums) -> Values:
    """Return the Job that creates or updates the administrator.

    The password comes from a mounted Secret. The Job's name carries a checksum of all that it does, so that a change makes a new
    Job (a Job's pod template cannot be changed) and a repeated run finds the finished one.
    """
    names = declaration["secrets"]
    major = parse_version(declaration["version"], "airflow_version")[0]
    home = "/opt/airflow"
    keys = {"AIRFLOW__CORE__FERNET_KEY": "fernet-key"}
    keys.update({"AIRFLOW__WEBSERVER__SECRET_KEY": "webserver-secret-key"} if major < 3 else {"AIRFLOW__API__SECRET_KEY": "api-secret-key"})
    container: Values = {
        "name": "admin-user",
        "image": f"{declaration['image']['repository']}:{declaration['image']['tag']}",
        "args": ["python", "-c", script],
        "env": [
            {"name": "AIRFLOW_HOME", "value": home},
            {"name": "ADMIN_USER", "value": json.dumps(admin, sort_keys=True)},
            {"name": "ADMIN_PASSWORD_FILE", "value": "/run/secrets/airflow-admin/password"},
            _secret_variable("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", names["database"], "connection"),
            *(_secret_variable(name, names["keys"], key) for name, key in keys.items()),
        ],
        "resources": declaration["resources"]["migration"],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [
            {"name": "config", "mountPath": f"{home}/airflow.cfg", "subPath": "airflow.cfg", "readOnly": True},
            {"name": "password", "mountPath": "/run/secrets/airflow-admin", "readOnly": True},
        ],
    }
    pod: Values = {
        "restartPolicy": "OnFailure",
        "automountServiceAccountToken": False,
        "securityContext": {"runAsUser": AIRFLOW_UID, "fsGroup": 0},
        "nodeSelector": declaration["node_selector"],
        "tolerations": declaration["tolerations"],
        "containers": [container],
        "volumes": [
            {"name": "config", "configMap": {"name": f"{declaration['release']}-config"}},
            {"name": "password", "secret": {"secretName": names["admin"], "items": [{"key": "password", "path": "password"}]}},
        ],
    }
    labels = {"tier": "airflow", "component": "admin-user", "release": declaration["release"]}
    checksum = checksums.get(names["admin"]) or "not known yet"
    template = {"metadata": {"labels": labels, "annotations": {f"checksum/{names['admin']}": checksum}}, "spec": pod}
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"{declaration['release']}-admin-user-{digest}",
            "namespace": declaration["namespace"],
            "labels": {**labels, "checksum": digest},
        },
        # It goes on trying: one that had given up would have to be deleted by hand.
        "spec": {"backoffLimit": 1000000, "template": template},
    }
