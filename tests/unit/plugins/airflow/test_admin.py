# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Job that keeps the administrator."""

from __future__ import annotations

from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.admin import admin_job

from tests.unit.plugins.airflow.declared import CHECKSUMS, declaration

ADMIN = {"username": "admin", "email": "admin@example.com", "first_name": "A", "last_name": "B", "role": "Admin"}


def _job(**changes: Any) -> dict[str, Any]:
    return admin_job(declaration(), {**ADMIN, **changes}, "print()", CHECKSUMS)


def test_administrators_password_stands_in_no_argument_and_no_variable() -> None:
    pod = _job()["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["args"] == ["python", "-c", "print()"]
    assert {"name": "ADMIN_PASSWORD_FILE", "value": "/run/secrets/airflow-admin/password"} in container["env"]
    sources = [variable["valueFrom"]["secretKeyRef"]["name"] for variable in container["env"] if "valueFrom" in variable]
    assert "airflow-admin" not in sources
    assert [volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume] == ["airflow-admin"]


def test_administrators_job_is_made_anew_only_when_something_changed() -> None:
    name = _job()["metadata"]["name"]
    assert name == "airflow-admin-user-" + _job()["metadata"]["labels"]["checksum"]
    assert name == _job()["metadata"]["name"]
    assert name != _job(email="other@example.com")["metadata"]["name"]
    assert name != admin_job(declaration(), ADMIN, "print()", {"airflow-admin": "other"})["metadata"]["name"]
    assert name != admin_job(declaration(), ADMIN, "pass", CHECKSUMS)["metadata"]["name"]
    other = admin_job(declaration(), ADMIN, "print()", {**CHECKSUMS, "airflow-database": "other"})
    assert name != other["metadata"]["name"], "another database does not know the administrator"
    assert name == admin_job(declaration(), ADMIN, "print()", {**CHECKSUMS, "airflow-keys": "other"})["metadata"]["name"]
