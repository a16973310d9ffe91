# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Job that keeps Airflow's administrator."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.versions import parse_version

Object = dict[str, Any]

AIRFLOW_UID = 50000


def _secret_variable(name: str, secret: str, key: str) -> Object:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def admin_job(declaration: Mapping[str, Any], admin: Mapping[str, str], script: str, checksums: Mapping[str, Optional[str]]) -> Object:
    """Return the Job that creates or updates the administrator.

    The password comes from a mounted Secret. The Job's name carries a checksum of all that it does, so that a change makes a new
    Job (a Job's pod template cannot be changed) and a repeated run finds the finished one.
    """
    names = declaration["secrets"]
    major = parse_version(declaration["version"], "airflow_version")[0]
    home = "/opt/airflow"
    keys = {"AIRFLOW__CORE__FERNET_KEY": "fernet-key"}
    keys.update({"AIRFLOW__WEBSERVER__SECRET_KEY": "webserver-secret-key"} if major < 3 else {"AIRFLOW__API__SECRET_KEY": "api-secret-key"})
    container: Object = {
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
    pod: Object = {
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
