# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The declaration of Airflow and the values that come of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ansible_collections.homelab.data_platform.plugins.module_utils import airflow_values as subject

ROLE = Path(__file__).resolve().parents[4] / "roles/airflow"
SCHEMAS = Path(__file__).resolve().parents[5] / "shared/reference/data"


def declaration(version: str = "2.10.4", chart: str = "1.16.0", **changes: Any) -> dict[str, Any]:
    return {
        "release": "airflow",
        "namespace": "airflow",
        "version": version,
        "chart_version": chart,
        "executor": "KubernetesExecutor",
        "service_account": "airflow-sa",
        "image": {"repository": "docker.io/apache/airflow", "tag": f"{version}-python3.12"},
        "git_sync": {
            "image": {"repository": "registry.k8s.io/git-sync/git-sync", "tag": "v4.3.0"},
            "repo": "https://git.lab.test/data-platform-core.git",
            "branch": "main",
            "subpath": "dags",
            "period": "60s",
            "credentials_secret": "",
            "ssh_key_secret": "",
            "known_hosts": "",
        },
        "remote_logs": {"folder": "s3://datalake/logs/airflow-logs", "connection": "minio"},
        "connections_secret": "airflow-connections",
        "database": {"host": "postgresql.airflow", "port": 5432, "name": "airflow", "user": "air flow", "secret": "postgresql"},
        "secrets": {use: f"airflow-{use}" for use in ("keys", "database", "admin", "broker")},
        "node_port": 30998,
        "node_selector": {"workload": "orchestration"},
        "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "orchestration", "effect": "NoSchedule"}],
        "resources": yaml.safe_load((ROLE / "defaults/main.yml").read_text())["airflow_resources"],
        "triggerer": False,
        "webserver_workers": 2,
        "ca_config_map": "data-platform-ca",
        **changes,
    }


CHECKSUMS = {"airflow-keys": "0123", "airflow-database": None, "airflow-admin": "4567"}


def bare(version: str, chart: str) -> dict[str, Any]:
    """No DAG repository, object store, private CA or NodePort, but the triggerer."""
    empty = declaration(version, chart, ca_config_map="", connections_secret="", node_port=0, triggerer=True)
    empty["git_sync"]["repo"] = empty["remote_logs"]["folder"] = ""
    return empty


PAIRS = [("1.13.1", "2.10.4"), ("1.16.0", "2.10.4"), ("1.18.0", "3.0.2"), ("1.19.0", "2.10.4"), ("1.22.0", "2.11.0"), ("1.22.0", "3.2.2")]


@pytest.mark.parametrize(("chart", "version"), PAIRS)
def test_pairs_that_work(chart: str, version: str) -> None:
    subject.check_pair(chart, version)


@pytest.mark.parametrize(
    ("chart", "version", "said"),
    [
        ("1.22.0", "2.10.4", "refuse Airflow below 2.11. Set airflow_chart_version to 1.16.0"),
        ("1.20.0", "2.10.5", "refuse Airflow below 2.11. Set airflow_chart_version to 1.16.0"),
        ("1.16.0", "3.0.2", "Airflow 3 needs a chart from 1.17 on. Set airflow_chart_version to 1.18.0"),
        ("1.13.1", "3.2.2", "Airflow 3 needs a chart from 1.17 on. Set airflow_chart_version to 1.22.0"),
        ("1.11.0", "2.10.4", "charts older than 1.13 take other values. Set airflow_chart_version to 1.16.0"),
        ("1.16.0", "1.10.15", "Airflow 1.10.15 is not supported"),
        ("latest", "2.10.4", "airflow_chart_version is 'latest'"),
    ],
)
def test_pairs_that_cannot_work_name_the_one_that_can(chart: str, version: str, said: str) -> None:
    with pytest.raises(subject.AirflowValuesError, match=said.replace(".", r"\.")):
        subject.derive(declaration(version, chart), {})


@pytest.mark.parametrize("version", ["2.7.0", "2.10.4", "2.11.0", "3.0.2", "3.1.7", "3.2.2"])
def test_the_named_chart_is_one_that_works(version: str) -> None:
    subject.check_pair(subject.chart_for(subject.parse_version(version, "airflow_version")), version)


def test_merge_goes_into_mappings_and_replaces_the_rest() -> None:
    base = {"a": {"b": 1, "c": [1, 2]}, "d": "kept"}
    assert subject.merge(base, {"a": {"c": [3]}, "e": {"f": None}}) == {"a": {"b": 1, "c": [3]}, "d": "kept", "e": {"f": None}}
    assert base == {"a": {"b": 1, "c": [1, 2]}, "d": "kept"}


def test_own_values_win() -> None:
    values = subject.render(declaration(), {"scheduler": {"replicas": 2}, "config": {"webserver": {"workers": "4"}}}, {})
    assert values["scheduler"]["replicas"] == 2
    assert values["scheduler"]["serviceAccount"] == {"create": False, "name": "airflow-sa"}
    assert values["config"]["webserver"]["workers"] == "4"
    assert values["config"]["logging"]["remote_logging"] == "True"


def test_mistyped_top_level_key_is_refused_with_the_one_meant() -> None:
    with pytest.raises(subject.AirflowValuesError, match=r"'webServer'.*did you mean 'webserver'\?"):
        subject.render(declaration(), {"webServer": {"replicas": 2}}, {})


@pytest.mark.parametrize("chart", ["1.13.1", "1.22.0"])
def test_every_top_level_key_of_the_charts_is_known(chart: str) -> None:
    assert set(_schema(chart)["properties"]) <= subject.KNOWN_KEYS


@pytest.mark.parametrize(("chart", "version"), [("1.13.1", "2.10.4"), ("1.22.0", "2.11.0"), ("1.22.0", "3.2.2")])
@pytest.mark.parametrize("make", [declaration, bare])
@pytest.mark.parametrize("executor", ["KubernetesExecutor", "CeleryExecutor", "LocalExecutor"])
def test_values_hold_for_the_schema_of_their_chart(chart: str, version: str, make: Any, executor: str) -> None:
    values = subject.derive({**make(version, chart), "executor": executor}, CHECKSUMS)
    jsonschema.validate(values, _schema(chart))
    assert set(values) <= subject.KNOWN_KEYS


def _schema(chart: str) -> dict[str, Any]:
    path = SCHEMAS / f"airflow-chart-{chart}/values.schema.json"
    if not path.exists():
        pytest.skip(f"the schema of Airflow's chart {chart} is not at {path}")
    schema: dict[str, Any] = json.loads(path.read_text())
    return schema


def test_no_job_is_a_helm_hook_and_the_charts_own_administrator_is_off() -> None:
    for chart, version in PAIRS:
        values = subject.derive(declaration(version, chart), {})
        for job in ("createUserJob", "migrateDatabaseJob"):
            assert (values[job]["useHelmHooks"], values[job]["applyCustomEnv"]) == (False, False)
        switches = [values["createUserJob"].get("enabled"), values.get("webserver", {}).get("defaultUser", {}).get("enabled")]
        assert False in switches


def test_nothing_waits_for_a_volume_that_nobody_provisions() -> None:
    values = subject.derive(declaration(triggerer=True, executor="CeleryExecutor"), {})
    for component in ("workers", "triggerer", "redis"):
        assert values[component]["persistence"] == {"enabled": False}


def test_broker_of_celery_has_a_secret_of_our_own() -> None:
    secrets = {secret["name"]: secret for secret in subject.secrets(declaration(executor="CeleryExecutor"))}
    assert secrets["airflow-broker"]["template"] == {"connection": "redis://:{password}@airflow-redis:6379/0"}
    assert "password" in secrets["airflow-broker"]["generate"]
    assert "airflow-broker" not in {secret["name"] for secret in subject.secrets(declaration())}


def test_airflow_3_has_an_api_server_where_airflow_2_has_a_webserver() -> None:
    two, three = subject.derive(declaration(), {}), subject.derive(declaration("3.2.2", "1.22.0"), {})
    assert two["webserver"]["service"] == three["apiServer"]["service"]
    assert two["webserver"]["service"] == {"type": "NodePort", "ports": [{"name": "airflow-ui", "port": 8080, "nodePort": 30998}]}
    assert "apiServer" not in two
    assert "webserver" not in three
    assert [resource["name"] for resource in subject.resources_to_wait_for(declaration())] == ["airflow-scheduler", "airflow-webserver"]
    assert [resource["name"] for resource in subject.resources_to_wait_for(declaration("3.2.2", "1.22.0", triggerer=True))] == [
        "airflow-scheduler",
        "airflow-api-server",
        "airflow-dag-processor",
        "airflow-triggerer",
    ]


def test_private_ca_reaches_every_client() -> None:
    values = subject.derive(declaration(), {})
    path = "/etc/data-platform/ca/ca-bundle.crt"
    variables = {variable["name"]: variable.get("value") for variable in yaml.safe_load(values["extraEnv"])}
    assert {variables[name] for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "GIT_SSL_CAINFO")} == {path}
    assert values["dags"]["gitSync"]["env"] == [{"name": "GIT_SSL_CAINFO", "value": path}]
    assert values["dags"]["gitSync"]["extraVolumeMounts"] == values["volumeMounts"]
    assert values["volumes"] == [{"name": "data-platform-ca", "configMap": {"name": "data-platform-ca"}}]


def test_without_a_private_ca_nothing_is_said_of_one() -> None:
    values = subject.derive(declaration(ca_config_map=""), {})
    assert not {"extraEnv", "volumes", "volumeMounts"} & set(values)
    assert "env" not in values["dags"]["gitSync"]


def test_what_a_pod_reads_restarts_it_when_it_changes() -> None:
    values = subject.derive(declaration(), CHECKSUMS)
    for component in ("scheduler", "webserver"):
        assert values[component]["podAnnotations"] == {
            "checksum/airflow-keys": "0123",
            "checksum/airflow-database": "not known yet",
        }


def test_private_repository() -> None:
    git_sync = {**declaration()["git_sync"], "ssh_key_secret": "deploy-key", "known_hosts": "git.lab.test ssh-ed25519 AAAA"}
    values = subject.derive(declaration(git_sync=git_sync), {})["dags"]["gitSync"]
    assert (values["sshKeySecret"], values["knownHosts"]) == ("deploy-key", "git.lab.test ssh-ed25519 AAAA")
    assert "credentialsSecret" not in values


def test_secrets_are_generated_or_composed_but_never_written_down() -> None:
    secrets = {secret["name"]: secret for secret in subject.secrets(declaration())}
    assert {secret["namespace"] for secret in secrets.values()} == {"airflow"}
    assert all("data" not in secret for secret in secrets.values())
    assert secrets["airflow-keys"]["generate"]["fernet-key"] == {"format": "fernet"}
    assert secrets["airflow-database"]["template"]["connection"] == "postgresql://air%20flow:{password:url}@postgresql.airflow:5432/airflow"
    assert secrets["airflow-database"]["inputs"]["password"] == {"name": "postgresql", "key": "password"}


def test_connections_come_from_a_secret_of_another_role_which_is_looked_for() -> None:
    assert yaml.safe_load(subject.derive(declaration(), {})["extraEnvFrom"]) == [{"secretRef": {"name": "airflow-connections"}}]
    keys = subject.secrets(declaration())[0]
    assert keys["inputs"] == {"connection": {"name": "airflow-connections", "key": "AIRFLOW_CONN_MINIO"}}


def test_without_remote_logs_no_connection_is_looked_for() -> None:
    nothing = bare("2.10.4", "1.16.0")
    assert "extraEnvFrom" not in subject.derive(nothing, {})
    assert [secret.get("inputs") for secret in subject.secrets(nothing) if secret["name"] == "airflow-keys"] == [{}]


ADMIN = {"username": "admin", "email": "admin@example.com", "first_name": "A", "last_name": "B", "role": "Admin"}


def _job(**changes: Any) -> dict[str, Any]:
    return subject.admin_job(declaration(), {**ADMIN, **changes}, "print()", CHECKSUMS)


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
    assert name != subject.admin_job(declaration(), ADMIN, "print()", {"airflow-admin": "other"})["metadata"]["name"]
    assert name != subject.admin_job(declaration(), ADMIN, "pass", CHECKSUMS)["metadata"]["name"]
    assert name == subject.admin_job(declaration(), ADMIN, "print()", {**CHECKSUMS, "airflow-keys": "other"})["metadata"]["name"]
