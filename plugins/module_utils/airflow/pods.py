# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods of our own that run Airflow's command line or its libraries beside the release."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.airflow import images, trust
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.versions import major

Object = dict[str, Any]

AIRFLOW_UID = 50000
HOME = "/opt/airflow"
RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
"""The security context of our containers, as Kubernetes' restricted standard wants it."""


def labels(declaration: Mapping[str, Any], component: str) -> dict[str, str]:
    """Return labels as the chart's own."""
    return {"tier": "airflow", "component": component, "release": declaration["release"]}


def pod(declaration: Mapping[str, Any], container: Object, volumes: list[Object]) -> Object:
    """Return a pod that reads the release's configuration and keys, with the rest of its one container and of its volumes."""
    names = declaration["secrets"]
    web = ("WEBSERVER", "webserver") if major(declaration) < 3 else ("API", "api")
    keys = {"AIRFLOW__CORE__FERNET_KEY": "fernet-key", f"AIRFLOW__{web[0]}__SECRET_KEY": f"{web[1]}-secret-key"}
    return {
        "restartPolicy": "OnFailure",
        "automountServiceAccountToken": False,
        "securityContext": {"runAsUser": AIRFLOW_UID, "fsGroup": 0},
        "nodeSelector": declaration["node_selector"],
        "tolerations": declaration["tolerations"],
        **pull_secrets(declaration),
        "containers": [
            {
                "image": images.airflow(declaration),
                "resources": declaration["resources"]["migration"],
                "securityContext": RESTRICTED,
                **container,
                "env": [
                    {"name": "AIRFLOW_HOME", "value": HOME},
                    *container.get("env", []),
                    secret_variable("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", names["database"], "connection"),
                    *(secret_variable(name, names["keys"], key) for name, key in keys.items()),
                ],
                "volumeMounts": [
                    {"name": "config", "mountPath": f"{HOME}/airflow.cfg", "subPath": "airflow.cfg", "readOnly": True},
                    *trust.mounts(declaration),
                    *container.get("volumeMounts", []),
                ],
            }
        ],
        "volumes": [
            {"name": "config", "configMap": {"name": f"{declaration['release']}-config"}},
            *trust.volumes(declaration),
            *volumes,
        ],
    }


def pull_secrets(declaration: Mapping[str, Any]) -> Object:
    """Return the part of a pod that names the login of the images' registry, where the chart is given one."""
    return {"imagePullSecrets": [{"name": declaration["pull_secret"]}]} if declaration["pull_secret"] else {}


def secret_variable(name: str, secret: str, key: str) -> Object:
    """Return a variable whose value is a Secret's."""
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
