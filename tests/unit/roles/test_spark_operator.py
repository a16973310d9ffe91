# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's values through Ansible, helm and the operator's own chart; the example against the operator's own schema."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from lab import components
from lab.settings import CHECKOUT
from tests import examples

ROLES = CHECKOUT / "roles"
EXAMPLES = {"spark-pi": examples.pi, "word_count": examples.word_count}

PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  vars_files:
    - {roles}/platform/defaults/main/general.yml
    - {roles}/platform/defaults/main/versions.yml
    - {roles}/spark_operator/defaults/main.yml
    - {roles}/spark_operator/vars/main.yml
  tasks:
    - ansible.builtin.copy:
        content: "{{{{ {{'values': __spark_operator_values, 'resources': __spark_operator_resources}} | to_json }}}}"
        dest: {result}
        mode: "0600"
"""

Objects = dict[tuple[str, str, str], dict[str, Any]]


@cache
def built() -> dict[str, Path]:
    """Return where helm and the operator's chart are; the lab builds them once."""
    return components.ensure(["helm", "spark-operator"])


def evaluate(directory: Path, **overrides: Any) -> dict[str, Any]:
    """Return the role's values and resources as Ansible computes them."""
    playbook, result = directory / "play.yml", directory / "result.json"
    playbook.write_text(PLAYBOOK.format(roles=ROLES, result=result))
    command = [sys.executable, "-m", "ansible", "playbook", str(playbook), "--extra-vars", json.dumps(overrides)]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg")}
    subprocess.run(command, check=True, cwd=directory, capture_output=True, env=environment)
    evaluated: dict[str, Any] = json.loads(result.read_text())
    return evaluated


def template(directory: Path, values: dict[str, Any], *options: str) -> str:
    """Return what helm makes of the chart with these values."""
    file = directory / "values.json"
    file.write_text(json.dumps(values))
    helm, chart = built()["helm"] / "helm", built()["spark-operator"] / "spark-operator-chart"
    command = [str(helm), "template", "spark-operator", str(chart), "--namespace=spark-operator", f"--values={file}", *options]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def objects(manifest: str) -> Objects:
    """Return the manifest's objects by kind, namespace (as far as the chart writes it) and name."""
    documents = [document for document in yaml.load_all(manifest, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if document]
    return {(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one for one in documents}


def container(rendered: Objects, deployment: str) -> dict[str, Any]:
    """Return the only container of one of the operator's Deployments."""
    (only,) = pod(rendered, deployment)["containers"]
    return dict(only)


def pod(rendered: Objects, deployment: str) -> dict[str, Any]:
    """Return the pod's specification of one of the operator's Deployments."""
    return dict(rendered["Deployment", "", f"spark-operator-{deployment}"]["spec"]["template"]["spec"])


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the role's defaults come to."""
    return evaluate(tmp_path_factory.mktemp("defaults"))


@pytest.fixture(scope="module")
def rendered(evaluated: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Objects:
    """What the chart makes of them."""
    return objects(template(tmp_path_factory.mktemp("rendered"), evaluated["values"], "--include-crds"))


def test_rendering_twice_gives_the_same(evaluated: dict[str, Any], tmp_path: Path) -> None:
    assert template(tmp_path, evaluated["values"]) == template(tmp_path, evaluated["values"])


def test_what_is_waited_for_is_what_the_chart_makes(evaluated: dict[str, Any], rendered: Objects) -> None:
    waited = {(one["kind"], one["name"]) for one in evaluated["resources"]}
    assert waited == {(kind, name) for kind, _namespace, name in rendered if kind in {"CustomResourceDefinition", "Deployment"}}
    assert {one["namespace"] for one in evaluated["resources"] if one["kind"] == "Deployment"} == {"spark-operator"}


@pytest.mark.parametrize("deployment", ["controller", "webhook"])
def test_pods_watch_the_job_namespaces_only_and_stay_off_the_tainted_node(rendered: Objects, deployment: str) -> None:
    assert "--namespaces=spark-jobs" in container(rendered, deployment)["args"]
    assert "tolerations" not in pod(rendered, deployment)
    assert container(rendered, deployment)["image"] == "ghcr.io/kubeflow/spark-operator/controller:2.5.2"


@pytest.mark.parametrize("deployment", ["controller", "webhook"])
def test_requests_fit_two_cores(rendered: Objects, deployment: str) -> None:
    cpu = container(rendered, deployment)["resources"]["requests"]["cpu"]
    assert cpu.endswith("m") and int(cpu.removesuffix("m")) <= 50


def test_the_chart_makes_no_account_for_drivers(rendered: Objects) -> None:
    assert {name for kind, _namespace, name in rendered if kind == "ServiceAccount"} == {
        "spark-operator-controller",
        "spark-operator-webhook",
    }
    bound = {subject["name"] for (kind, *_), one in rendered.items() if kind.endswith("RoleBinding") for subject in one["subjects"]}
    assert bound == {"spark-operator-controller", "spark-operator-webhook"}


def test_the_operator_may_touch_pods_in_the_job_namespaces_only(rendered: Objects) -> None:
    def touches_pods(role: dict[str, Any]) -> bool:
        return any("pods" in rule["resources"] and "create" in rule["verbs"] for rule in role["rules"])

    roles = {key: one for key, one in rendered.items() if key[0] in {"Role", "ClusterRole"}}
    assert [key for key, one in roles.items() if touches_pods(one)] == [("Role", "spark-jobs", "spark-operator-controller")]


def test_no_hook_of_the_chart_runs(rendered: Objects) -> None:
    assert not [key for key in rendered if key[0] == "Job"]


def test_the_chart_says_its_version_where_the_role_looks_for_it(rendered: Objects) -> None:
    labels = rendered["Deployment", "", "spark-operator-controller"]["metadata"]["labels"]
    versions = yaml.safe_load((ROLES / "platform/defaults/main/versions.yml").read_text())
    assert labels["helm.sh/chart"].endswith(f"-{versions['platform_versions_spark_operator']}")


def test_the_inventory_reaches_the_chart(tmp_path: Path) -> None:
    evaluated = evaluate(
        tmp_path,
        platform_image_registry="registry.lan",
        platform_spark_job_namespaces=["etl", "ml"],
        platform_ingress_annotations={"a": "b"},
        spark_operator_values={"controller": {"logLevel": "debug"}},
    )
    rendered = objects(template(tmp_path, evaluated["values"]))
    controller = container(rendered, "controller")
    assert controller["image"] == "registry.lan/ghcr.io/kubeflow/spark-operator/controller:2.5.2"
    assert {
        "--namespaces=etl,ml",
        "--ingress-url-format=/{{$appNamespace}}/{{$appName}}",
        "--ingress-class-name=traefik",
        "--zap-log-level=debug",
        "--controller-threads=4",
    } <= set(controller["args"])
    (annotations,) = [word.partition("=")[2] for word in controller["args"] if word.startswith("--ingress-annotations=")]
    assert json.loads(annotations)["a"] == "b"
    assert json.loads(annotations)["traefik.ingress.kubernetes.io/router.pathmatcher"] == "PathRegexp"


@pytest.mark.parametrize("kind", ["none", "other"])
def test_no_page_where_nobody_knows_how_to_cut_its_path_off(tmp_path: Path, kind: str) -> None:
    evaluated = evaluate(tmp_path, platform_ingress_controller=kind)
    arguments = container(objects(template(tmp_path, evaluated["values"])), "controller")["args"]
    assert not [word for word in arguments if word.startswith("--ingress")]


def test_a_public_name_is_in_front_of_every_page(tmp_path: Path) -> None:
    named = {"platform_ingress_host": "data.example.org", "platform_ingress_tls_secret": "data-tls"}
    evaluated = evaluate(tmp_path, platform_ingress_controller="nginx", **named)
    arguments = container(objects(template(tmp_path, evaluated["values"])), "controller")["args"]
    assert "--ingress-url-format=data.example.org/{{$appNamespace}}/{{$appName}}" in arguments
    assert "--ingress-class-name=nginx" in arguments
    (certificates,) = [word.partition("=")[2] for word in arguments if word.startswith("--ingress-tls=")]
    assert json.loads(certificates) == [{"hosts": ["data.example.org"], "secretName": "data-tls"}]


def test_another_release_name_is_waited_for_too(tmp_path: Path) -> None:
    evaluated = evaluate(tmp_path, spark_operator_release="spark")
    rendered = objects(template(tmp_path, evaluated["values"]))
    assert {name for kind, _namespace, name in rendered if kind == "Deployment"} == {"spark-controller", "spark-webhook"}
    assert {one["name"] for one in evaluated["resources"] if one["kind"] == "Deployment"} == {"spark-controller", "spark-webhook"}


def strict(schema: Any) -> Any:
    """Return the schema refusing fields that it does not name; the API server would drop them without a word."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed


@pytest.fixture(scope="module")
def validator(rendered: Objects) -> jsonschema.Draft7Validator:
    """A validator of SparkApplications, made from the operator's own definition."""
    definition = rendered["CustomResourceDefinition", "", "sparkapplications.sparkoperator.k8s.io"]
    (version,) = [one for one in definition["spec"]["versions"] if one["name"] == "v1beta2"]
    schema = version["schema"]["openAPIV3Schema"]
    schema["properties"]["metadata"] = {}
    return jsonschema.Draft7Validator(strict(schema))


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_are_what_the_operator_accepts(validator: jsonschema.Draft7Validator, name: str) -> None:
    assert [error.message for error in validator.iter_errors(EXAMPLES[name]())] == []


def test_a_misspelt_field_would_be_found(validator: jsonschema.Draft7Validator) -> None:
    application = examples.pi()
    application["spec"]["driver"]["coreRequests"] = application["spec"]["driver"].pop("coreRequest")
    assert "coreRequests" in "".join(error.message for error in validator.iter_errors(application))


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_run_the_platforms_spark_as_its_account(name: str) -> None:
    versions, general = (yaml.safe_load((ROLES / f"platform/defaults/main/{file}.yml").read_text()) for file in ("versions", "general"))
    application = EXAMPLES[name]()
    spec = application["spec"]
    assert spec["sparkVersion"] == versions["platform_versions_spark"]
    assert spec["image"].partition(":")[2].startswith(f"{versions['platform_versions_spark']}-")
    assert spec["driver"]["serviceAccount"] == general["platform_spark_service_account"]
    assert [application["metadata"]["namespace"]] == general["platform_spark_job_namespaces"]


def test_pi_runs_in_the_platforms_image() -> None:
    versions = yaml.safe_load((ROLES / "platform/defaults/main/versions.yml").read_text())
    repository = versions["platform_spark_image_repository"].rpartition("}}")[2].strip()
    assert examples.pi()["spec"]["image"].partition(":")[0] == repository


def test_what_the_word_count_mounts_is_there_and_what_it_logs_is_read() -> None:
    general = yaml.safe_load((ROLES / "platform/defaults/main/general.yml").read_text())
    history = yaml.safe_load((ROLES / "spark_history_server/defaults/main.yml").read_text())
    spec = examples.word_count()["spec"]
    assert {mount["name"] for mount in spec["driver"]["configMaps"]} == {general["platform_ca_config_map"]}
    assert (
        spec["driver"]["annotations"]["word-count/count.py"].strip() == (CHECKOUT / "examples/dags/word_count/count.py").read_text().strip()
    )
    assert spec["sparkConf"]["spark.eventLog.dir"] == history["spark_history_server_log_directory"]
