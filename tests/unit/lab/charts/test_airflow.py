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
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow import versions

from lab import charts, components
from lab.settings import CHECKOUT

ROLES = CHECKOUT / "roles"

PLAY = """
- hosts: localhost
  gather_facts: false
  vars_files:
    - {roles}/platform/defaults/main/general.yml
    - {roles}/platform/defaults/main/versions.yml
    - {roles}/airflow/defaults/main.yml
    - {roles}/airflow/vars/main.yml
    - {declared}
  vars:
    __airflow_secrets:
      namespaces_created: []
      secrets:
        - {{name: airflow-keys, checksum: "0123"}}
        - {{name: airflow-database, checksum: "4567"}}
    role: {{values: "{{{{ __airflow_helm_values }}}}", job: "{{{{ __airflow_admin_job }}}}", chart: "{{{{ airflow_chart_version }}}}"}}
  tasks:
    - ansible.builtin.set_fact:
        roles: "{{{{ roles | default({{}}) | combine({{'{case}': role}}) }}}}"
"""
LAST_PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.copy:
        content: "{{{{ roles | to_json }}}}"
        dest: {result}
        mode: "0600"
"""

LAB = {
    "airflow_dags": {"source": "git", "repository": "https://git.lab.test/data-platform-core.git"},
    "platform_versions_airflow_python": "3.11",
    "minio_url": "https://minio.lab.test:9000",
}

SSH = {
    "airflow_dags": {
        "source": "git",
        "repository": "ssh://git@git.lab.test/srv/git/data-platform-core.git",
        "known_hosts": "git.lab.test ssh-ed25519 AAAAC3Nza",
    },
    "airflow_git_ssh_key": "key",
}
S3 = {"airflow_dags": {"source": "s3", "bucket": "datalake", "prefix": "dags", "secret": "airflow-s3"}}
NOTIFICATIONS = {"mail": {"host": "mail.lab.test", "from": "airflow@lab.test", "to": "me@lab.test"}, "webhook": True}
AIR_GAP = {"platform_image_registry": "registry.lan/mirror"}

DECLARATIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "everything": {
        "airflow_triggerer_enabled": True,
        "airflow_notifications": NOTIFICATIONS,
        "airflow_webhook_url": "https://chat.lab.test/hook",
        "platform_ca_file": "ca.crt",
    },
    "celery": {"airflow_executor": "CeleryExecutor", **SSH, **AIR_GAP},
    "celery-s3": {"airflow_executor": "CeleryExecutor", **S3, "platform_ca_file": "ca.crt"},
    "local": {
        "airflow_executor": "LocalExecutor",
        "airflow_dags": {"source": "git", "repository": "https://git.lab.test/d.git", "username": "bot"},
        "airflow_git_password": "pw",
    },
    "ssh": SSH,
    "s3": {**S3, "airflow_triggerer_enabled": True, **AIR_GAP},
    "volume": {"airflow_dags": {"source": "volume", "claim": "dags", "path": "team"}, "airflow_triggerer_enabled": True},
    "image": {"airflow_dags": {"source": "image"}},
    "own-host": {
        "platform_ingress_host": "data.lab.test",
        "platform_ingress_tls_secret": "data-tls",
        "platform_ingress_url": "https://data.lab.test:30998",
        "airflow_ingress_path": "/airflow",
    },
}
NEWER = ("plain", "everything", "celery-s3", "local", "own-host")
CASES = (
    *(("2.10.4", declaration) for declaration in DECLARATIONS),
    *((version, declaration) for version in ("2.11.2", "3.2.2") for declaration in NEWER),
)

OBJECTS = {
    ("ConfigMap", "airflow-config"),
    ("Deployment", "airflow-scheduler"),
    ("Ingress", "airflow-ingress"),
    ("Job", "airflow-run-airflow-migrations"),
    ("Role", "airflow-pod-log-reader-role"),
    ("RoleBinding", "airflow-pod-log-reader-rolebinding"),
    ("ServiceAccount", "airflow-migrate-database-job"),
}
WEBSERVER = {(kind, "airflow-webserver") for kind in ("Deployment", "Service", "ServiceAccount")}
API_SERVER = {(kind, "airflow-api-server") for kind in ("Deployment", "Service", "ServiceAccount")}
DAG_PROCESSOR = {("Deployment", "airflow-dag-processor")}
TRIGGERER = {("Deployment", "airflow-triggerer"), ("Service", "airflow-triggerer")}
CELERY = {
    ("Deployment", "airflow-worker"),
    ("Service", "airflow-worker"),
    ("Service", "airflow-redis"),
    ("ServiceAccount", "airflow-redis"),
    ("StatefulSet", "airflow-redis"),
}

Objects = dict[tuple[str, str], dict[str, Any]]


@cache
def helm() -> Path:
    """Return the lab's helm, built where it is missing."""
    return components.ensure(["helm"])["helm"] / "helm"


@pytest.fixture(name="roles", scope="module")
def fixture_roles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Return for each case the role's values and Job as Ansible computes them, and what was declared, by one run for all."""
    directory = tmp_path_factory.mktemp("roles")
    (directory / "files").symlink_to(ROLES / "airflow/files")
    (directory / "ca.crt").write_text("-----BEGIN CERTIFICATE-----\n")
    plays, declared = [], {}
    for version, declaration in CASES:
        case = f"{version}-{declaration}"
        declared[case] = {**LAB, "platform_versions_airflow": version, **DECLARATIONS[declaration]}
        if "platform_ca_file" in declared[case]:
            declared[case]["platform_ca_file"] = str(directory / "ca.crt")
        (directory / f"{case}.json").write_text(json.dumps(declared[case]))
        plays.append(PLAY.format(roles=ROLES, declared=directory / f"{case}.json", case=case))
    playbook, result = directory / "play.yml", directory / "result.json"
    playbook.write_text("".join([*plays, LAST_PLAY.format(result=result)]))
    command = [sys.executable, "-m", "ansible", "playbook", str(playbook)]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg")}
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return {case: {**role, "declared": declared[case]} for case, role in json.loads(result.read_text()).items()}


@pytest.fixture(name="role", scope="module", params=["-".join(case) for case in CASES])
def fixture_role(request: pytest.FixtureRequest, roles: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return what is known of one case."""
    return roles[request.param]


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


def airflow(role: dict[str, Any]) -> versions.Version:
    """Return the version of Airflow."""
    return versions.parse_version(role["values"]["airflowVersion"], "airflow_version")


def pod(found: dict[str, Any]) -> dict[str, Any]:
    template: dict[str, Any] = found["spec"]["template"]["spec"]
    return template


def test_stand_in_makes_the_objects(role: dict[str, Any], tmp_path: Path) -> None:
    wanted = OBJECTS | (WEBSERVER if airflow(role) < (3,) else API_SERVER | DAG_PROCESSOR)
    wanted |= TRIGGERER if role["values"]["triggerer"]["enabled"] else set()
    wanted |= {"CeleryExecutor": CELERY, "LocalExecutor": {("Service", "airflow-scheduler")}}.get(role["values"]["executor"], set())
    assert set(stand_in(role, tmp_path)) == wanted


def test_chart_is_linted() -> None:
    done = subprocess.run([helm(), "lint", "--strict", charts.AIRFLOW], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_task_pods_are_as_the_scheduler_makes_them(role: dict[str, Any], tmp_path: Path) -> None:
    config = stand_in(role, tmp_path)["ConfigMap", "airflow-config"]["data"]
    if role["values"]["executor"] != "KubernetesExecutor":
        assert "pod_template_file.yaml" not in config
        return
    task = yaml.safe_load(config["pod_template_file.yaml"])["spec"]
    assert task["serviceAccountName"] == "airflow-sa"
    assert task["nodeSelector"] == {"workload": "orchestration"}
    assert [toleration["key"] for toleration in task["tolerations"]] == ["dedicated"]
    assert task["containers"][0]["image"].endswith(f"docker.io/apache/airflow:{role['values']['airflowVersion']}-python3.11")
    assert len(task["containers"]) == 1, "a container beside the task would keep the pod from ending"
    settings = configparser.ConfigParser(interpolation=None)
    settings.read_string(config["airflow.cfg"])
    folders = {"git": "/opt/airflow/dags/repo/dags", "s3": "/opt/airflow/dags/current"}
    assert settings["core"]["dags_folder"] == folders.get(role["declared"]["airflow_dags"]["source"], "/opt/airflow/dags")
    assert settings["logging"]["remote_base_log_folder"] == "s3://datalake/logs/airflow-logs"
    assert settings["kubernetes_executor"]["pod_template_file"] == "/opt/airflow/pod_templates/pod_template_file.yaml"


def test_the_web_interface_is_asked_for_its_health_where_it_answers(role: dict[str, Any], tmp_path: Path) -> None:
    name, path = ("airflow-webserver", "/health") if airflow(role) < (3,) else ("airflow-api-server", "/api/v2/monitor/health")
    (container,) = pod(stand_in(role, tmp_path)["Deployment", name])["containers"]
    # Airflow 2 answers below the path of its address only, Airflow 3 below both.
    below = role["declared"].get("airflow_ingress_path", "") if airflow(role) < (3,) else ""
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["path"] == below + path
        assert container[probe]["httpGet"].get("httpHeaders", []) == ([{"name": "Host", "value": "data.lab.test"}] if below else [])


def test_administrators_job_reads_the_configuration_that_the_chart_makes(role: dict[str, Any], tmp_path: Path) -> None:
    migration = pod(stand_in(role, tmp_path)["Job", "airflow-run-airflow-migrations"])["containers"][0]
    admin = pod(role["job"])["containers"][0]
    assert admin["image"] == migration["image"]
    mounts = {mount["mountPath"]: mount["name"] for mount in migration["volumeMounts"]}
    assert mounts["/opt/airflow/airflow.cfg"] == "config"
    theirs = {variable["name"]: variable["valueFrom"] for variable in migration["env"] if "valueFrom" in variable}
    ours = {variable["name"]: variable["valueFrom"] for variable in admin["env"] if "valueFrom" in variable}
    assert ours.items() <= theirs.items()


def images(found: Any) -> set[str]:
    """Every image that is named anywhere in objects, in the template of task pods too."""
    if isinstance(found, dict):
        own = {found["image"]} if isinstance(found.get("image"), str) else set()
        nested = [yaml.safe_load(value) if key == "pod_template_file.yaml" else value for key, value in found.items()]
        return own.union(*map(images, nested))
    return set[str]().union(*map(images, found)) if isinstance(found, list) else set()


@pytest.mark.parametrize("chart", ["stand-in", "official"])
def test_no_image_comes_from_outside_of_the_registry(role: dict[str, Any], chart: str, tmp_path: Path) -> None:
    registry = role["declared"].get("platform_image_registry")
    if not registry:
        pytest.skip("declares no registry")
    # What is off by default needs images, too, once somebody turns it on.
    more = {**role["values"], "statsd": {"enabled": True}, "pgbouncer": {"enabled": True}}
    objects = stand_in(role, tmp_path) if chart == "stand-in" else render(official(role), more, tmp_path)
    found = images([*objects.values(), role["job"]])
    assert found
    assert {image for image in found if not image.startswith(f"{registry}/")} == set()


def official(role: dict[str, Any]) -> Path:
    """The directory of an official chart for the role's values, or no test."""
    place = os.environ.get("AIRFLOW_OFFICIAL_CHART")
    if not place:
        pytest.skip("AIRFLOW_OFFICIAL_CHART does not point at an official chart")
    chart = chart_version(Path(place))
    if is_new(chart) != is_new(role["chart"]):
        pytest.skip(f"Airflow {role['values']['airflowVersion']} has values for chart {role['chart']}, the official chart is {chart}")
    return Path(place)


def chart_version(chart: Path) -> str:
    """Return the version that a chart says it has."""
    return str(yaml.safe_load((chart / "Chart.yaml").read_text())["version"])


def test_stand_in_equals_the_official_chart(role: dict[str, Any], tmp_path: Path) -> None:
    theirs = render(official(role), role["values"], tmp_path)
    ours = render(charts.write(chart_version(official(role)), tmp_path / "chart"), role["values"], tmp_path)
    assert set(theirs) == set(ours)
    for name, found in ours.items():
        assert comparable(found) == comparable(theirs[name]), name
        if name == ("ConfigMap", "airflow-config"):
            compare_configuration(found["data"], theirs[name]["data"])


def is_new(chart: str) -> bool:
    """Whether a chart is of those that want Airflow 2.11."""
    return versions.parse_version(chart, "airflow_chart_version") >= versions.FIRST_CHART_WITHOUT_OLD_AIRFLOW


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
    drop(spec, "initContainers", None)
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        drop(container, "envFrom", [])
        drop(container.get("startupProbe", {}), "initialDelaySeconds", 0)
        for probe in (container[name] for name in ("livenessProbe", "startupProbe") if "exec" in container.get(name, {})):
            probe["exec"]["command"] = [" ".join(word.split()) for word in probe["exec"]["command"]]
        for field, key in (("env", "name"), ("volumeMounts", "mountPath")):
            container[field] = sorted(container[field], key=itemgetter(key))


def drop(found: dict[str, Any], key: str, value: object) -> None:
    """Leave out what has the value that Kubernetes gives it anyway."""
    if key in found and found[key] == value:
        del found[key]


def compare_configuration(ours: dict[str, str], theirs: dict[str, str]) -> None:
    """Every option of ours stands in the official file; what else stands there is of other executors, or of Airflow's past."""
    assert set(ours) == set(theirs)
    pods = [yaml.safe_load(data["pod_template_file.yaml"]) for data in (ours, theirs) if "pod_template_file.yaml" in data]
    for found in pods:
        put_in_order(found["spec"])
    assert pods[:1] == pods[1:]
    assert ours.get("known_hosts", "").strip() == theirs.get("known_hosts", "").strip()
    assert ours["airflow_local_settings.py"].split() == theirs["airflow_local_settings.py"].split()
    settings = []
    for data in (ours, theirs):
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(data["airflow.cfg"])
        settings.append({(section, option): value for section in parser.sections() for option, value in parser[section].items()})
    assert settings[0].items() <= settings[1].items()
