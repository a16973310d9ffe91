# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The declaration of Airflow and the values that come of it."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import yaml
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow import pods
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.chart_keys import KNOWN_KEYS
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.errors import AirflowError
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.values import derive, merge, render
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.workloads import resources_to_wait_for

from lab.settings import CHECKOUT
from tests.unit.plugins.airflow.declared import CHECKSUMS, PAIRS, bare, declaration, everything

SCHEMAS = CHECKOUT.parent / "shared/reference/data"


def test_merge_goes_into_mappings_and_replaces_the_rest() -> None:
    base = {"a": {"b": 1, "c": [1, 2]}, "d": "kept"}
    assert merge(base, {"a": {"c": [3]}, "e": {"f": None}}) == {"a": {"b": 1, "c": [3]}, "d": "kept", "e": {"f": None}}
    assert base == {"a": {"b": 1, "c": [1, 2]}, "d": "kept"}


def test_own_values_win() -> None:
    values = render(declaration(), {"scheduler": {"replicas": 2}, "config": {"webserver": {"workers": "4"}}}, {})
    assert values["scheduler"]["replicas"] == 2
    assert values["scheduler"]["serviceAccount"] == {"create": False, "name": "airflow-sa"}
    assert values["config"]["webserver"]["workers"] == "4"
    assert values["config"]["logging"]["remote_logging"] == "True"


def test_mistyped_top_level_key_is_refused_with_the_one_meant() -> None:
    with pytest.raises(AirflowError, match=r"'webServer'.*did you mean 'webserver'\?"):
        render(declaration(), {"webServer": {"replicas": 2}}, {})


@pytest.mark.parametrize("chart", ["1.13.1", "1.22.0"])
def test_every_top_level_key_of_the_charts_is_known(chart: str) -> None:
    assert set(_schema(chart)["properties"]) <= KNOWN_KEYS


@pytest.mark.parametrize(("chart", "version"), [("1.13.1", "2.10.4"), ("1.22.0", "2.11.0"), ("1.22.0", "3.2.2")])
@pytest.mark.parametrize("make", [declaration, bare, everything])
@pytest.mark.parametrize("executor", ["KubernetesExecutor", "CeleryExecutor", "LocalExecutor"])
def test_values_hold_for_the_schema_of_their_chart(chart: str, version: str, make: Any, executor: str) -> None:
    values = derive({**make(version, chart), "executor": executor}, CHECKSUMS)
    jsonschema.validate(values, _schema(chart))
    assert set(values) <= KNOWN_KEYS


@pytest.mark.parametrize(("chart", "version"), [("1.13.1", "2.10.4"), ("1.22.0", "3.2.2")])
@pytest.mark.parametrize("dags", [{"source": "s3", "bucket": "b", "secret": "s"}, {"source": "volume", "claim": "c", "path": "d"}])
def test_every_source_of_dags_holds_for_the_schema(chart: str, version: str, dags: dict[str, Any]) -> None:
    jsonschema.validate(derive(declaration(version, chart, dags=dags, triggerer=True), CHECKSUMS), _schema(chart))


def _schema(chart: str) -> dict[str, Any]:
    path = SCHEMAS / f"airflow-chart-{chart}/values.schema.json"
    if not path.exists():
        pytest.skip(f"the schema of Airflow's chart {chart} is not at {path}")
    schema: dict[str, Any] = json.loads(path.read_text())
    return schema


def test_no_job_is_a_helm_hook_and_the_charts_own_administrator_is_off() -> None:
    for chart, version in PAIRS:
        values = derive(declaration(version, chart), {})
        for job in ("createUserJob", "migrateDatabaseJob"):
            assert (values[job]["useHelmHooks"], values[job]["applyCustomEnv"]) == (False, False)
        switches = [values["createUserJob"].get("enabled"), values.get("webserver", {}).get("defaultUser", {}).get("enabled")]
        assert False in switches


def test_nothing_waits_for_a_volume_that_nobody_provisions() -> None:
    values = derive(declaration(triggerer=True, executor="CeleryExecutor"), {})
    for component in ("workers", "triggerer", "redis"):
        assert values[component]["persistence"] == {"enabled": False}


def test_airflow_3_has_an_api_server_where_airflow_2_has_a_webserver() -> None:
    two, three = derive(declaration(), {}), derive(declaration("3.2.2", "1.22.0"), {})
    # The charts' Ingresses find the port by these names.
    for web, name in ((two["webserver"], "airflow-ui"), (three["apiServer"], "api-server")):
        assert web["service"] == {"type": "NodePort", "ports": [{"name": name, "port": 8080, "nodePort": 30998}]}
    assert "apiServer" not in two
    assert "webserver" not in three
    assert waited_for(declaration()) == ["Deployment airflow-scheduler", "Deployment airflow-webserver"]
    assert waited_for(declaration("3.2.2", "1.22.0", triggerer=True)) == [
        "Deployment airflow-scheduler",
        "Deployment airflow-api-server",
        "Deployment airflow-dag-processor",
        "Deployment airflow-triggerer",
    ]


def test_a_slow_machine_is_given_time() -> None:
    two, three = derive(declaration(triggerer=True), {}), derive(declaration("3.2.2", "1.22.0", triggerer=True), {})
    for component in (two["scheduler"], two["triggerer"], three["scheduler"], three["triggerer"], three["dagProcessor"]):
        assert component["livenessProbe"]["timeoutSeconds"] == 60, "each of them starts a Python of its own"
    for web in (two["webserver"], three["apiServer"]):
        assert web["livenessProbe"] == {"timeoutSeconds": 30, "periodSeconds": 30, "failureThreshold": 5}
    assert three["config"]["workers"] == {"execution_api_timeout": "30"}
    assert "workers" not in two["config"]


def waited_for(declared: dict[str, Any], **own: Any) -> list[str]:
    return [f"{one['kind']} {one['name']}" for one in resources_to_wait_for(declared, render(declared, own, {}))]


def test_what_is_waited_for_follows_the_users_own_values() -> None:
    celery = declaration(executor="CeleryExecutor")
    assert waited_for(celery)[0] == "StatefulSet airflow-redis"
    assert waited_for(celery)[-1] == "Deployment airflow-worker"
    volumes = {"persistence": {"enabled": True}}
    own = waited_for(celery, workers=volumes, redis={"enabled": False}, triggerer={"enabled": True, **volumes})
    assert own[-2:] == ["StatefulSet airflow-triggerer", "StatefulSet airflow-worker"]
    assert "StatefulSet airflow-redis" not in own


def test_a_variable_is_a_text_or_json_and_never_a_template() -> None:
    given = {"when": "{{ ds }}", "limits": {"rows": 3}, "dry": True}
    text = derive(declaration(variables=given), {})["extraEnv"]
    # What Helm's template engine makes of the escape.
    variables = {one["name"]: one.get("value") for one in yaml.safe_load(text.replace("{{ `{{` }}", "{{"))}
    assert "{{ ds" not in text
    assert variables["AIRFLOW_VAR_WHEN"] == "{{ ds }}"
    assert json.loads(variables["AIRFLOW_VAR_LIMITS"]) == {"rows": 3}
    assert variables["AIRFLOW_VAR_DRY"] == "true"


def test_the_login_of_a_registry_reaches_the_pods_beside_the_release() -> None:
    named = pods.pod(declaration(pull_secret="regcred"), {"name": "one"}, [])
    assert named["imagePullSecrets"] == [{"name": "regcred"}]
    assert "imagePullSecrets" not in pods.pod(declaration(), {"name": "one"}, [])


def test_private_ca_reaches_every_client() -> None:
    values = derive(declaration(), {})
    path = "/etc/data-platform/ca/ca-bundle.crt"
    variables = {variable["name"]: variable.get("value") for variable in yaml.safe_load(values["extraEnv"])}
    assert {variables[name] for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "GIT_SSL_CAINFO")} == {path}
    assert values["dags"]["gitSync"]["env"] == [{"name": "GIT_SSL_CAINFO", "value": path}]
    assert values["dags"]["gitSync"]["extraVolumeMounts"] == values["volumeMounts"]
    assert values["volumes"] == [{"name": "data-platform-ca", "configMap": {"name": "data-platform-ca"}}]


def test_variables_are_in_the_environment_of_every_container_and_task() -> None:
    values = derive(declaration(ca_config_map="", variables={"spark_namespace": "spark-jobs", "retries": 3}), {})
    environment = {variable["name"]: variable["value"] for variable in yaml.safe_load(values["extraEnv"])}
    assert environment == {"AIRFLOW_VAR_SPARK_NAMESPACE": "spark-jobs", "AIRFLOW_VAR_RETRIES": "3"}


@pytest.mark.parametrize(("chart", "version"), PAIRS)
def test_the_chart_grants_the_account_nothing(chart: str, version: str) -> None:
    assert derive(declaration(version, chart), {})["allowPodLaunching"] is False


def test_without_a_private_ca_nothing_is_said_of_one() -> None:
    values = derive(declaration(ca_config_map=""), {})
    assert not {"extraEnv", "volumes", "volumeMounts"} & set(values)
    assert "env" not in values["dags"]["gitSync"]


def test_what_a_pod_reads_restarts_it_when_it_changes() -> None:
    values = derive(declaration(), CHECKSUMS)
    for component in ("scheduler", "webserver"):
        assert values[component]["podAnnotations"] == {
            "checksum/airflow-keys": "0123",
            "checksum/airflow-database": "not known yet",
        }
