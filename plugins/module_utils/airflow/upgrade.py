# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upgrades of Airflow: which step may be taken, and the Jobs and changes that belong to it. Pure functions of what the cluster says."""

from __future__ import annotations

import base64
import copy
import gzip
import json
import posixpath
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Optional

from ansible_collections.homelab.data_platform.plugins.module_utils.airflow import database, images, pods, trust
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.errors import AirflowError
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.versions import major, parse_version

Object = dict[str, Any]

BRIDGE = (2, 11)
"""The last Airflow 2: it warns of everything that Airflow 3 has not any more."""
NEWEST_BRIDGE = "2.11.2"
DOCUMENTATION = "docs/upgrades.md"

STOPPED = "homelab.data-platform/replicas"
"""On what an upgrade has stopped: how many pods it had."""
STOP_ORDER = (("dag-processor", "scheduler", "triggerer", "webserver", "worker"), ("api-server",))
"""The components of Airflow that speak to its database. Airflow 3's tasks speak to its API server, and end well only while it is there."""
DAG_READERS = ("dag-processor", "scheduler")
"""What reads the DAGs: Airflow 3's DAG processor, or else the scheduler."""

SQLITE = "sqlite:////tmp/airflow.db"
OWN_DATABASE = ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CORE__SQL_ALCHEMY_CONN", "AIRFLOW_CONN_AIRFLOW_DB")
BACKUPS = "/backups"


def running(secrets: Iterable[Mapping[str, Any]]) -> Optional[str]:
    """Return the version of Airflow in Helm's newest record that is deployed, or else in the newest of all; nothing without a record."""
    records = sorted(secrets, key=lambda secret: (_label(secret, "status") == "deployed", int(_label(secret, "version") or 0)))
    if not records:
        return None
    try:
        # Base64 twice: Helm's and the Secret's.
        release = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(records[-1]["data"]["release"]))))
    except (KeyError, ValueError, OSError) as error:
        raise AirflowError(f"Helm's record {records[-1]['metadata']['name']} of the release cannot be read: {error}.") from error
    chart = (release.get("chart") or {}).get("metadata") or {}
    defaults = (release.get("chart") or {}).get("values") or {}
    version = (release.get("config") or {}).get("airflowVersion") or defaults.get("airflowVersion") or chart.get("appVersion")
    return str(version) if version else None


def _label(secret: Mapping[str, Any], name: str) -> str:
    return str(((secret.get("metadata") or {}).get("labels") or {}).get(name, ""))


def step(records: Iterable[Mapping[str, Any]], wanted: object) -> dict[str, Any]:
    """Return what a wanted version means for the one in Helm's records."""
    return between(running(records), str(wanted))


def between(found: Optional[str], wanted: str) -> dict[str, Any]:
    """Return what a run has to do: `install`, `keep` or `upgrade`. A step that cannot be taken is an error with the one that can."""
    if found is None:
        return {"action": "install", "found": None, "wanted": wanted}
    old, new = parse_version(found, "the version that runs"), parse_version(wanted, "airflow_version")
    if new < old:
        raise AirflowError(
            f"Airflow {found} runs here, and platform_versions_airflow is {wanted}: Airflow does not go back, because an older one cannot "
            f"read the database of a newer one. Nothing was changed. Set platform_versions_airflow to {found} or a newer one; or remove "
            f"the release and restore the backup that was taken before the upgrade, as {DOCUMENTATION} says."
        )
    if old < BRIDGE and new >= (3,):
        raise AirflowError(
            f"Airflow {found} runs here, and platform_versions_airflow is {wanted}: the way there is by 2.11, which says what of your DAGs "
            f"Airflow 3 does not know any more. Nothing was changed. Set platform_versions_airflow to {NEWEST_BRIDGE} and run the "
            f"playbook, then to {wanted}."
        )
    return {"action": "upgrade" if new > old else "keep", "found": found, "wanted": wanted}


def foretell(planned: Mapping[str, Any], claim: str) -> list[str]:
    """Return the lines that say what an upgrade is going to do."""
    backup = f"a backup of the database into the claim {claim}" if claim else "no backup (airflow_backup_claim is empty)"
    return [
        f"Airflow {planned['found']} -> {planned['wanted']}",
        f"DAGs are imported by Airflow {planned['wanted']}; those that it cannot import are reported",
        f"Airflow is stopped once its tasks have ended; then {backup}",
        "the database is migrated, and Airflow started again",
    ]


def state_job(declaration: Mapping[str, Any], script: str) -> Object:
    """Return the Job that asks the wanted Airflow what it makes of the database."""
    environment = [
        {"name": "CONNECTION_CHECK_MAX_COUNT", "value": "0"},
        pods.secret_variable("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", declaration["secrets"]["database"], "connection"),
    ]
    container = {
        "name": "state",
        "image": images.airflow(declaration),
        "args": ["python", "-c", script],
        "env": environment,
        "resources": declaration["resources"]["migration"],
        "securityContext": pods.RESTRICTED,
        "volumeMounts": trust.mounts(declaration),
    }
    pod = {
        "securityContext": {"runAsUser": pods.AIRFLOW_UID, "fsGroup": 0},
        "containers": [container],
        "volumes": trust.volumes(declaration),
    }
    return _job(declaration, "database-state", pod)


def judge(planned: Mapping[str, Any], state: Mapping[str, Any]) -> bool:
    """Return whether there is something to lose, and so to back up. A database of a newer Airflow is refused."""
    if state["state"] == "unknown":
        found = f"The release says Airflow {planned['found']}" if planned["found"] else "There is no release of Airflow"
        raise AirflowError(
            f"{found}, but the database is at revision {', '.join(state['found'])}, which Airflow {planned['wanted']} does not know: "
            "a newer Airflow has migrated it. The database was not changed. Set platform_versions_airflow to the one that did, or restore "
            f"the backup that was taken before, as {DOCUMENTATION} says."
        )
    return bool(state["state"] == "older" or (state["state"] == "current" and planned["action"] == "upgrade"))


def imports_job(declaration: Mapping[str, Any], workloads: Sequence[Mapping[str, Any]], script: str) -> Optional[Object]:
    """Return the Job that imports the DAGs by the wanted Airflow, without the database; nothing where nothing reads DAGs yet.

    It is what reads the DAGs now, with another image and another command, and so finds the DAGs wherever they come from.
    """
    reader = _reader(workloads)
    if reader is None:
        return None
    pod = copy.deepcopy(dict(reader["spec"]["template"]["spec"]))
    component = reader["metadata"]["labels"]["component"]
    container = next(found for found in pod["containers"] if found["name"] == component)
    own = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": SQLITE,
        "AIRFLOW__CORE__EXECUTOR": "SequentialExecutor" if major(declaration) < 3 else "LocalExecutor",
        "AIRFLOW__LOGGING__REMOTE_LOGGING": "False",
        "CONNECTION_CHECK_MAX_COUNT": "0",
    }
    kept = [variable for variable in container.get("env", []) if variable["name"] not in {*own, *OWN_DATABASE}]
    imports = {key: container[key] for key in ("envFrom", "volumeMounts", "resources", "securityContext") if key in container}
    imports.update(
        name="imports",
        image=images.airflow(declaration),
        args=["python", "-c", script],
        env=[*kept, *({"name": name, "value": value} for name, value in own.items())],
    )
    before = [found for found in pod.get("initContainers", []) if found["name"] != "wait-for-airflow-migrations"]
    spec = {key: pod[key] for key in ("serviceAccountName", "securityContext", "volumes", "imagePullSecrets", "hostAliases") if key in pod}
    return _job(declaration, "dag-imports", {**spec, "initContainers": before, "containers": [imports]})


def _reader(workloads: Sequence[Mapping[str, Any]]) -> Optional[Mapping[str, Any]]:
    by_component = {found["metadata"]["labels"].get("component"): found for found in workloads}
    return next((by_component[name] for name in DAG_READERS if name in by_component), None)


def stop(workloads: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the steps by which Airflow is stopped: patches, which remember how much of it ran, and the components whose pods then go."""
    return [{"components": list(step), "patches": _stopped(workloads, step)} for step in STOP_ORDER]


def _stopped(workloads: Sequence[Mapping[str, Any]], components: Collection[str]) -> list[Object]:
    ours = [found for found in workloads if found["metadata"]["labels"].get("component") in components]
    return [_patch(found, 0, str(found["spec"].get("replicas", 1))) for found in ours if found["spec"].get("replicas", 1)]


def start(workloads: Sequence[Mapping[str, Any]]) -> list[Object]:
    """Return the patches that start what an upgrade has stopped, unless something else did."""
    stopped = [(found, (found["metadata"].get("annotations") or {}).get(STOPPED)) for found in workloads]
    return [_patch(found, found["spec"].get("replicas") or int(before), None) for found, before in stopped if before]


def _patch(found: Mapping[str, Any], replicas: int, remembered: Optional[str]) -> Object:
    metadata = {"name": found["metadata"]["name"], "namespace": found["metadata"]["namespace"], "annotations": {STOPPED: remembered}}
    return {"apiVersion": "apps/v1", "kind": found["kind"], "metadata": metadata, "spec": {"replicas": replicas}}


def backup_job(declaration: Mapping[str, Any], backup: Mapping[str, Any], found: Optional[str], script: str) -> Object:
    """Return the Job that dumps the database into a volume, reads the dump again and drops the oldest ones."""
    if backup["keep"] < 1:
        raise AirflowError(f"airflow_backup_keep is {backup['keep']}; wanted how many backups to keep, at least 1.")
    place = declaration["database"]
    environment = {
        "PGHOST": place["host"],
        "PGPORT": str(place["port"]),
        "PGUSER": place["user"],
        "PGDATABASE": place["name"],
        "BACKUP_STEM": f"{declaration['release']}-{found or 'unknown'}",
        "BACKUP_PATTERN": f"{declaration['release']}-*.dump",
        "BACKUP_KEEP": str(backup["keep"]),
        # As Airflow itself reaches it.
        **{f"PG{option.upper()}": value for option, value in database.tls(declaration).items()},
    }
    container = {
        "name": "backup",
        "image": backup["image"],
        "command": ["bash", "-c", script],
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "resources": declaration["resources"]["migration"],
        "securityContext": pods.RESTRICTED,
        "volumeMounts": [
            {"name": "backups", "mountPath": BACKUPS},
            {"name": "password", "mountPath": "/run/secrets/postgresql", "readOnly": True},
            *trust.mounts(declaration),
        ],
    }
    # A volume that was provisioned for the claim belongs to root; one that the inventory declares belongs to the user already.
    security = {
        "runAsUser": backup["uid"],
        "runAsGroup": backup["gid"],
        "runAsNonRoot": True,
        "fsGroup": backup["gid"],
        "fsGroupChangePolicy": "OnRootMismatch",
    }
    # A password that the inventory gives lies with the connection.
    secret = declaration["secrets"]["database"] if "database_password" in declaration["given"] else place["secret"]
    volumes = [
        {"name": "backups", "persistentVolumeClaim": {"claimName": backup["claim"]}},
        {"name": "password", "secret": {"secretName": secret, "items": [{"key": "password", "path": "password"}]}},
        *trust.volumes(declaration),
    ]
    pod = {"securityContext": security, "containers": [container], "volumes": volumes}
    if database.tls(declaration).get("sslrootcert") == database.SYSTEM_ROOTS:
        _lend_roots(declaration, pod)
    return _job(declaration, "database-backup", pod)


def _lend_roots(declaration: Mapping[str, Any], pod: Object) -> None:
    """Give a pod the public roots of Airflow's image: PostgreSQL's has none."""
    (container,) = pod["containers"]
    copying = {"name": "roots", "image": images.airflow(declaration), "command": ["cp", database.SYSTEM_ROOTS, "/roots"]}
    limits = {"resources": container["resources"], "securityContext": pods.RESTRICTED}
    pod["initContainers"] = [{**copying, **limits, "volumeMounts": [{"name": "roots", "mountPath": "/roots"}]}]
    container["volumeMounts"].append({"name": "roots", "mountPath": posixpath.dirname(database.SYSTEM_ROOTS)})
    pod["volumes"].append({"name": "roots", "emptyDir": {}})


def _job(declaration: Mapping[str, Any], purpose: str, pod: Mapping[str, Any]) -> Object:
    labels = pods.labels(declaration, purpose)
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "nodeSelector": declaration["node_selector"],
        "tolerations": declaration["tolerations"],
        **pods.pull_secrets(declaration),
        **pod,
    }
    return {
        "metadata": {"name": f"{declaration['release']}-{purpose}", "namespace": declaration["namespace"], "labels": labels},
        "spec": {"backoffLimit": 0, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }
