# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Secrets of a release hold."""

from __future__ import annotations

import yaml
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.secrets import secrets
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.values import derive

from tests.unit.plugins.airflow.declared import bare, declaration


def test_broker_of_celery_has_a_secret_of_our_own() -> None:
    found = {secret["name"]: secret for secret in secrets(declaration(executor="CeleryExecutor"))}
    assert found["airflow-broker"]["template"] == {"connection": "redis://:{password}@airflow-redis:6379/0"}
    assert "password" in found["airflow-broker"]["generate"]
    assert "airflow-broker" not in {secret["name"] for secret in secrets(declaration())}


def test_secrets_are_generated_or_composed_but_never_written_down() -> None:
    found = {secret["name"]: secret for secret in secrets(declaration())}
    assert {secret["namespace"] for secret in found.values()} == {"airflow"}
    assert all("data" not in secret for secret in found.values())
    assert found["airflow-keys"]["generate"]["fernet-key"] == {"format": "fernet"}
    assert found["airflow-database"]["template"]["connection"] == "postgresql://air%20flow:{password:url}@postgresql.airflow:5432/airflow"
    assert found["airflow-database"]["inputs"]["password"] == {"name": "postgresql", "key": "password"}


def test_connections_come_from_a_secret_of_another_role_which_is_looked_for() -> None:
    assert yaml.safe_load(derive(declaration(), {})["extraEnvFrom"]) == [{"secretRef": {"name": "airflow-connections"}}]
    keys = secrets(declaration())[0]
    assert keys["inputs"] == {"connection": {"name": "airflow-connections", "key": "AIRFLOW_CONN_MINIO"}}


def test_without_remote_logs_no_connection_is_looked_for() -> None:
    nothing = bare("2.10.4", "1.16.0")
    assert "extraEnvFrom" not in derive(nothing, {})
    assert [secret.get("inputs") for secret in secrets(nothing) if secret["name"] == "airflow-keys"] == [{}]
