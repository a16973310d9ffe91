# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Secrets of a release hold."""

from __future__ import annotations

import json

import yaml
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.secrets import secrets
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.values import derive

from tests.unit.plugins.airflow.declared import bare, declaration

SSH = {"source": "git", "repository": "git@git.lab.test:dags.git", "known_hosts": "git.lab.test ssh-ed25519 AAAA"}
NOTIFICATIONS = {"webhook": True, "mail": {"host": "mail.lan", "username": "bot", "from": "a@example.com", "to": "b@example.com"}}


def test_broker_of_celery_has_a_secret_of_our_own() -> None:
    found = {secret["name"]: secret for secret in secrets(declaration(executor="CeleryExecutor"), {})}
    assert found["airflow-broker"]["template"] == {"connection": "redis://:{password}@airflow-redis:6379/0"}
    assert "password" in found["airflow-broker"]["generate"]
    assert "airflow-broker" not in {secret["name"] for secret in secrets(declaration(), {})}


def test_secrets_are_generated_or_composed_but_never_written_down() -> None:
    found = {secret["name"]: secret for secret in secrets(declaration(), {})}
    assert {secret["namespace"] for secret in found.values()} == {"airflow"}
    assert all("data" not in secret for secret in found.values())
    assert found["airflow-keys"]["generate"]["fernet-key"] == {"format": "fernet"}
    assert found["airflow-database"]["template"]["connection"] == "postgresql://air%20flow:{password:url}@postgresql.airflow:5432/airflow"
    assert found["airflow-database"]["inputs"]["password"] == {"name": "postgresql", "key": "password"}


def test_connections_come_from_a_secret_of_another_role_which_is_looked_for() -> None:
    assert yaml.safe_load(derive(declaration(), {})["extraEnvFrom"]) == [{"secretRef": {"name": "airflow-connections"}}]
    keys = secrets(declaration(), {})[0]
    assert keys["inputs"] == {"connection": {"name": "airflow-connections", "key": "AIRFLOW_CONN_MINIO"}}


def test_without_remote_logs_no_connection_is_looked_for() -> None:
    nothing = bare("2.10.4", "1.16.0")
    assert "extraEnvFrom" not in derive(nothing, {})
    assert [secret.get("inputs") for secret in secrets(nothing, {}) if secret["name"] == "airflow-keys"] == [{}]


def test_external_database() -> None:
    database = {"host": "db.lan", "port": 5433, "name": "af", "user": "af", "secret": "unused", "sslmode": "verify-full"}
    ours = {secret["name"]: secret for secret in secrets(declaration(database=database), {"database_password": "s3cret"})}[
        "airflow-database"
    ]
    assert ours["data"] == {"password": "s3cret"}
    assert "inputs" not in ours
    bundle = "/etc/data-platform/ca/ca-bundle.crt"
    wanted = "postgresql://af:{password:url}@db.lan:5433/af?sslmode=verify-full&sslrootcert="
    assert ours["template"]["connection"] == wanted + bundle
    public = {secret["name"]: secret for secret in secrets(declaration(database=database, ca_config_map=""), {})}["airflow-database"]
    assert public["template"]["connection"] == wanted + "/etc/ssl/certs/ca-certificates.crt"
    assert public["inputs"] == {"password": {"name": "unused", "key": "password"}}


def test_values_of_a_vault_go_to_their_secrets_and_nowhere_else() -> None:
    given = {name: f"s3cret {name}" for name in ("admin_password", "git_ssh_key", "smtp_password", "webhook_url")}
    wanted = declaration(given=list(given), notifications=NOTIFICATIONS, dags=SSH)
    found = {secret["name"]: secret for secret in secrets(wanted, given)}
    assert found["airflow-admin"]["data"] == {"password": "s3cret admin_password"}
    assert found["airflow-git"]["data"] == {"gitSshKey": "s3cret git_ssh_key\n"}
    assert set(found["airflow-notifications"]["data"].values()) == {"s3cret smtp_password", "s3cret webhook_url"}
    assert "s3cret" not in json.dumps(derive(wanted, {}))


def test_password_of_a_repository_has_every_key_that_the_chart_wants() -> None:
    dags = {"source": "git", "repository": "https://git.lab.test/d.git", "username": "bot"}
    found = {secret["name"]: secret for secret in secrets(declaration(dags=dags, given=["git_password"]), {"git_password": "pw"})}
    assert found["airflow-git"]["data"] == {
        "GIT_SYNC_USERNAME": "bot",
        "GITSYNC_USERNAME": "bot",
        "GIT_SYNC_PASSWORD": "pw",
        "GITSYNC_PASSWORD": "pw",
    }
