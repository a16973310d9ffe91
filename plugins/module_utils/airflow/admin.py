# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Job that keeps Airflow's administrator."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.homelab.data_platform.plugins.module_utils.airflow import pods

PASSWORD_DIRECTORY = "/run/secrets/airflow-admin"  # noqa: S105 - a place


def admin_job(
    declaration: Mapping[str, Any], admin: Mapping[str, str], script: str, checksums: Mapping[str, Optional[str]]
) -> dict[str, Any]:
    """Return the Job that creates or updates the administrator.

    The password comes from a mounted Secret. The Job's name carries a checksum of all that it does, so that a change makes a new
    Job (a Job's pod template cannot be changed) and a repeated run finds the finished one.
    """
    secret = declaration["secrets"]["admin"]
    container = {
        "name": "admin-user",
        "args": ["python", "-c", script],
        "env": [
            {"name": "ADMIN_USER", "value": json.dumps(admin, sort_keys=True)},
            {"name": "ADMIN_PASSWORD_FILE", "value": f"{PASSWORD_DIRECTORY}/password"},
        ],
        "volumeMounts": [{"name": "password", "mountPath": PASSWORD_DIRECTORY, "readOnly": True}],
    }
    password = {"name": "password", "secret": {"secretName": secret, "items": [{"key": "password", "path": "password"}]}}
    labels = pods.labels(declaration, "admin-user")
    # Another database knows no administrator yet.
    read = (secret, declaration["secrets"]["database"])
    annotations = {f"checksum/{name}": checksums.get(name) or "not known yet" for name in read}
    template = {"metadata": {"labels": labels, "annotations": annotations}, "spec": pods.pod(declaration, container, [password])}
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
