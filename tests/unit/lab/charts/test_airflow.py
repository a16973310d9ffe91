# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in for Airflow's chart, rendered by helm with the role's values, and held to the official chart where one is at hand.

AIRFLOW_OFFICIAL_CHART points at the directory of an official chart, such as 1.13.1 or 1.22.0.
"""

from __future__ import annotations

import configparser
import json
import os
import subprocess
import sys
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.data_platform.plugins.module_utils import airflow_values

from lab import charts, components

ROOT = Path(__file__).resolve().parents[4]
ROLES = ROOT / "roles"

PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  vars_files:
    - {roles}/platform/defaults/main/general.yml
    - {roles}/platform/defaults/main/versions.yml
    - {roles}/airflow/defaults/main.yml
    - {roles}/airflow/vars/main.yml
  vars:
    __airflow_secrets:
      namespaces_created: []
      secrets:
        - {{name: airflow-keys, checksum: "0123"}}
        - {{name: airflow-database, checksum: "4567"}}
  tasks:
    - ansible.builtin.copy:
        content: "{{{{ {{'values': __airflow_helm_values, 'job': __airflow_admin_job, 'chart': airflow_chart_version}} | to_json }}}}"
        dest: {result}
        mode: "0600"
"""

LAB = {
    "airflow_git_sync_repo": "https://git.lab.test/data-platform-core.git",
    "platform_versions_airflow_python": "3.11",
    "minio_url": "https://minio.lab.test:9000",
}
VERSIONS = ("2.10.4", "2.11.2", "3.2.2")

OBJECTS = {
    ("ConfigMap", "airflow-config"),
    ("Deployment", "airflow-scheduler"),
    ("Job", "airflow-run-airflow-migrations"),
    ("Role", "airflow-pod-launcher-role"),
    ("Role", "airflow-pod-log-reader-role"),
    ("RoleBinding", "airflow-pod-launcher-rolebinding"),
    ("RoleBinding", "airflow-pod-log-reader-rolebinding"),
    ("ServiceAccount", "airflow-migrate-database-job"),
}
WEBSERVER = {(kind, "airflow-webserver") for kind in ("Deployment", "Service", "ServiceAccount")}
API_SERVER = {(kind, "airflow-api-server") for kind in ("Deployment", "Service", "ServiceAccount")}
DAG_PROCESSOR = {(kind, "airflow-dag-processor") for kind in ("Deployment", "ServiceAccount")}
TRIGGERER = {("Deployment", "airflow-triggerer"), ("Service", "airflow-triggerer")}

Objects = dict[tuple[str, str], dict[str, Any]]


@cache
def helm() -> Path:
    """Return the lab's helm, built where it is missing."""
    return components.ensure(["helm"])["helm"] / "helm"


@pytest.fixture(name="role", scope="module", params=[(version, case) for version in VERSIONS for case in ("plain", "everything")])
def fixture_role(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the role's values and Job as Ansible computes them, once plain and once with a private CA and the triggerer."""
    directory = tmp_path_factory.mktemp("role")
    version, case = request.param
    overrides: dict[str, Any] = {**LAB, "platform_versions_airflow": version}
    if case == "everything":
        (directory / "ca.crt").write_text("-----BEGIN CERTIFICATE-----\n")
        overrides |= {"platform_ca_file": str(directory / "ca.crt"), "airflow_triggerer_enabled": True}
    playbook, result = directory / "play.yml", directory / "result.json"
    playbook.write_text(PLAYBOOK.format(roles=ROLES, result=result))
    script = directory / "files/admin_user.py"
    script.parent.mkdir()
    script.symlink_to(ROLES / "airflow/files/admin_user.py")
    command = [sys.executable, "-m", "ansible", "playbook", str(playbook), "--extra-vars", json.dumps(overrides)]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    evaluated: dict[str, Any] = json.loads(result.read_text())
    return evaluated


def render(chart: Path, values: dict[str, Any], directory: Path) -> Objects:
    """Return the objects that helm makes of a chart with these values, by kind and name."""
    path = directory / "values.yaml"
    path.write_text(yaml.safe_dump(values))
    command: list[str | Path] = [helm(), "template", "airflow", chart, "--namespace", "airflow", "--values", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    objects = [found for found in yaml.safe_load_all(done.stdout) if found]
    return {(found["kind"], found["metadata"]["name"]): found for found in objects}


def stand_in(role: dict[str, Any], directory: Path) -> Objects:
    """Return the objects that the stand-in makes as the chart that the role names."""
    return render(charts.write(role["chart"], directory / "chart"), role["values"], directory)


def airflow(role: dict[str, Any]) -> airflow_values.Version:
    """Return the version of Airflow."""
    return airflow_values.parse_version(role["values"]["airflowVersion"], "airflow_version")


def pod(found: dict[str, Any]) -> dict[str, Any]:
    template: dict[str, Any] = found["spec"]["template"]["spec"]
    return template


def test_stand_in_makes_the_objects(role: dict[str, Any], tmp_path: Path) -> None:
    wanted = OBJECTS | (WEBSERVER if airflow(role) < (3,) else API_SERVER | DAG_PROCESSOR)
    if role["values"]["triggerer"]["enabled"]:
        wanted = wanted | TRIGGERER
    assert set(stand_in(role, tmp_path)) == wanted


def test_chart_is_linted() -> None:
    done = subprocess.run([helm(), "lint", "--strict", charts.AIRFLOW], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_task_pods_are_as_the_scheduler_makes_them(role: dict[str, Any], tmp_path: Path) -> None:
    config = stand_in(role, tmp_path)["ConfigMap", "airflow-config"]["data"]
    task = yaml.safe_load(config["pod_template_file.yaml"])["spec"]
    assert task["serviceAccountName"] == "airflow-sa"
    assert task["nodeSelector"] == {"workload": "orchestration"}
    assert [toleration["key"] for toleration in task["tolerations"]] == ["dedicated"]
    assert task["containers"][0]["image"] == f"docker.io/apache/airflow:{role['values']['airflowVersion']}-python3.11"
    settings = configparser.ConfigParser(interpolation=None)
    settings.read_string(config["airflow.cfg"])
    assert settings["core"]["dags_folder"] == "/opt/airflow/dags/repo/dags"
    assert settings["logging"]["remote_base_log_folder"] == "s3://datalake/logs/airflow-logs"
    assert settings["kubernetes_executor"]["pod_template_file"] == "/opt/airflow/pod_templates/pod_template_file.yaml"


def test_administrators_job_reads_the_configuration_that_the_chart_makes(role: dict[str, Any], tmp_path: Path) -> None:
    migration = pod(stand_in(role, tmp_path)["Job", "airflow-run-airflow-migrations"])["containers"][0]
    admin = pod(role["job"])["containers"][0]
    assert admin["image"] == migration["image"]
    mounts = {mount["mountPath"]: mount["name"] for mount in migration["volumeMounts"]}
    assert mounts["/opt/airflow/airflow.cfg"] == "config"
    theirs = {variable["name"]: variable["valueFrom"] for variable in migration["env"] if "valueFrom" in variable}
    ours = {variable["name"]: variable["valueFrom"] for variable in admin["env"] if "valueFrom" in variable}
    assert ours.items() <= theirs.items()


def test_stand_in_equals_the_official_chart(role: dict[str, Any], tmp_path: Path) -> None:
    official_chart = os.environ.get("AIRFLOW_OFFICIAL_CHART")
    if not official_chart:
        pytest.skip("AIRFLOW_OFFICIAL_CHART does not point at an official chart")
    version = yaml.safe_load((Path(official_chart) / "Chart.yaml").read_text())["version"]
    if is_new(version) != is_new(role["chart"]):
        pytest.skip(f"Airflow {role['values']['airflowVersion']} has values for chart {role['chart']}, the official chart is {version}")
    official = render(Path(official_chart), role["values"], tmp_path)
    ours = render(charts.write(version, tmp_path / "chart"), role["values"], tmp_path)
    assert set(official) == set(ours)
    for name, found in ours.items():
        assert comparable(found) == comparable(official[name]), name
        if name == ("ConfigMap", "airflow-config"):
            compare_configuration(found["data"], official[name]["data"])


def is_new(chart: str) -> bool:
    """Whether a chart is of those that want Airflow 2.11."""
    return airflow_values.parse_version(chart, "airflow_chart_version") >= airflow_values.FIRST_CHART_WITHOUT_OLD_AIRFLOW


def comparable(found: dict[str, Any]) -> dict[str, Any]:
    """Return what of an object must be equal: not the chart's version, nor checksums of the chart's own files."""
    kept = {key: value for key, value in found.items() if key not in ("metadata", "data")}
    kept["labels"] = {key: value for key, value in found["metadata"].get("labels", {}).items() if key != "chart"}
    if found["kind"] in ("Role", "RoleBinding"):
        kept.pop("labels")
    if "template" in found.get("spec", {}):
        template = found["spec"]["template"]
        annotations = template["metadata"].get("annotations", {})
        ours = {key: value for key, value in annotations.items() if not key.startswith("checksum/") or "airflow-" in key}
        kept["annotations"] = {key: value for key, value in ours.items() if key != "checksum/airflow-config"}
        template["metadata"].pop("annotations", None)
        put_in_order(template["spec"])
    return kept


def put_in_order(spec: dict[str, Any]) -> None:
    """Give a pod's lists, whose order says nothing, one order, and leave out what is said without need."""
    spec["volumes"] = sorted(spec["volumes"], key=lambda volume: str(volume["name"]))
    drop(spec, "imagePullSecrets", [])
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        drop(container, "envFrom", [])
        drop(container.get("startupProbe", {}), "initialDelaySeconds", 0)
        for probe in (container[name] for name in ("livenessProbe", "startupProbe") if "exec" in container.get(name, {})):
            probe["exec"]["command"] = [" ".join(word.split()) for word in probe["exec"]["command"]]
        for field, key in (("env", "name"), ("volumeMounts", "mountPath")):
            container[field] = sorted(container[field], key=itemgetter(key))


def drop(found: dict[str, Any], key: str, value: object) -> None:
    """Leave out what has the value that Kubernetes gives it anyway."""
    if found.get(key) == value:
        del found[key]


def compare_configuration(ours: dict[str, str], theirs: dict[str, str]) -> None:
    """Every option of ours stands in the official file; what else stands there is of other executors, or of Airflow's past."""
    assert set(ours) == set(theirs)
    pods = [yaml.safe_load(data["pod_template_file.yaml"]) for data in (ours, theirs)]
    for found in pods:
        put_in_order(found["spec"])
    assert pods[0] == pods[1]
    settings = []
    for data in (ours, theirs):
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(data["airflow.cfg"])
        settings.append({(section, option): value for section in parser.sections() for option, value in parser[section].items()})
    assert settings[0].items() <= settings[1].items()
