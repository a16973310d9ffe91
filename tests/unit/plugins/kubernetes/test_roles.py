"""The roles that speak to the API of Kubernetes, run by ansible-playbook against a real apiserver."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import Client

from lab.settings import CHECKOUT

from .conftest import Api


class Site:
    """An inventory of one node and a control host, both this machine, and names of its own in the cluster."""

    def __init__(self, api: Api, directory: Path) -> None:
        self.client = api.client
        self.directory = directory
        self.node = f"node-{directory.name}".replace("_", "-").lower()[:60]
        self.namespace = f"airflow-{self.node}"[:60]
        self.jobs = f"jobs-{self.node}"[:60]
        kubeconfig = directory / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(api.kubeconfig))
        self.variables: dict[str, Any] = {
            "platform_control_python": sys.executable,
            "platform_kubeconfig_file": str(kubeconfig),
            "platform_airflow_namespace": self.namespace,
            "platform_spark_job_namespaces": [self.jobs],
        }
        volume = {
            "name": "postgresql",
            "claim": f"{self.namespace}/postgresql",
            "size": "4Gi",
            "owner": "{{ platform_postgresql_uid }}",
        }
        disk = {"name": self.node, "size": "8G", "mount": "/mnt/airflow-data", "volumes": [volume]}
        node = {
            "data_disks": [disk],
            "node_labels": {"workload": "orchestration"},
            "node_taints": [{"key": "dedicated", "value": "orchestration", "effect": "NoSchedule"}],
        }
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        groups = {"control": {"hosts": {"controller": local}}, "kubernetes_nodes": {"hosts": {self.node: {**local, **node}}}}
        (directory / "hosts.yml").write_text(yaml.safe_dump(groups))

    def run(self, role: str, *options: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        """Run one role, as the site's playbooks do."""
        hosts = "kubernetes_nodes" if role in ("node", "static_volume") else "control"
        play = [{"hosts": hosts, "gather_facts": False, "roles": [f"homelab.data_platform.{role}"]}]
        (self.directory / "play.yml").write_text(yaml.safe_dump(play))
        return self.play(self.directory / "play.yml", *options, **variables)

    def play(self, playbook: Path, *options: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        """Run a playbook."""
        (self.directory / "vars.json").write_text(json.dumps({**self.variables, **variables}))
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(self.directory / "hosts.yml")]
        command += ["--extra-vars", f"@{self.directory / 'vars.json'}", str(playbook), *options]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0"}
        return subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)

    def converge(self, role: str, *options: str, **variables: Any) -> int:
        """Run one role that has to succeed; return the number of changed tasks."""
        result = self.run(role, *options, **variables)
        assert result.returncode == 0, result.stdout + result.stderr
        assert "WARNING" not in result.stderr, result.stderr
        return sum(int(count) for count in re.findall(r"changed=(\d+)", result.stdout))

    def matrix(self, role: str, **variables: Any) -> None:
        """Check mode predicts, the first run changes, a second one does not."""
        assert self.converge(role, "--check", "--diff", **variables) > 0
        assert self.converge(role, **variables) > 0
        assert self.converge(role, **variables) == 0

    def make_node(self) -> None:
        body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.node, "labels": {"theirs": "stays"}}}
        self.client.create("/api/v1/nodes", body)

    def get(self, path: str) -> dict[str, Any]:
        found = self.client.get(path)
        assert found is not None, path
        return found


@pytest.fixture
def site(api: Api, tmp_path: Path) -> Site:
    return Site(api, tmp_path)


def test_node(site: Site) -> None:
    refused = site.run("node")
    assert refused.returncode != 0
    assert f"the cluster has no node {site.node}" in re.sub(r"\s+", " ", refused.stdout)
    site.make_node()
    foretold = site.run("node", "--check", "--diff").stdout
    assert re.search(r"^\+.*workload.*orchestration", foretold, re.MULTILINE)
    assert re.search(r"^\+.*key: dedicated", foretold, re.MULTILINE)
    assert "managedFields" not in foretold, "the server's bookkeeping hides the change"
    site.matrix("node")
    node = site.get(f"/api/v1/nodes/{site.node}")
    assert node["metadata"]["labels"] == {"theirs": "stays", "workload": "orchestration"}
    assert {"key": "dedicated", "value": "orchestration", "effect": "NoSchedule"} in node["spec"]["taints"]


def test_what_is_declared_is_shown_object_by_object(site: Site) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": site.namespace}}
    named = {"name": "of-the-test", "namespace": site.namespace}
    values = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": {"colour": "green"}}
    hidden = {"apiVersion": "v1", "kind": "Secret", "metadata": named, "stringData": {"key": "only-the-cluster-may-know"}}

    def shown(*options: str, **k8s: Any) -> str:
        python = {"ansible_python_interpreter": "{{ platform_control_python }}"}
        task = {"vars": python, "homelab.data_platform.k8s": {"kubeconfig": "{{ platform_kubeconfig }}", **k8s}}
        play = {"hosts": "control", "gather_facts": False, "roles": ["homelab.data_platform.platform"], "tasks": [task]}
        (site.directory / "play.yml").write_text(yaml.safe_dump([play]))
        done = site.play(site.directory / "play.yml", "--diff", "-vvv", *options)
        assert done.returncode == 0, done.stdout + done.stderr
        # What is declared is among the task's arguments; what is looked for is what it shows of the change.
        return "\n".join(re.findall(r"^[-+].*$", done.stdout, re.MULTILINE))

    # Its namespace, of the same task, cannot be there when the server tries the others out.
    for options in (["--check"], []):
        made = shown(*options, definition=[namespace, values, hidden])
        for header in (f"Namespace {site.namespace}", f"ConfigMap {site.namespace}/of-the-test", f"Secret {site.namespace}/of-the-test"):
            assert f"+++ after: {header}" in made, (options, made)
        assert re.search(r"^\+ .*colour: green$", made, re.MULTILINE)
        assert re.search(r"^\+ .*key: '\*+'$", made, re.MULTILINE)
    assert shown("--check", definition=[namespace, values]) == ""
    changed = shown("--check", definition=[namespace, {**values, "data": {"colour": "red"}}])
    assert f"--- before: ConfigMap {site.namespace}/of-the-test" in changed
    assert re.search(r"^- .*colour: green$", changed, re.MULTILINE)
    assert re.search(r"^\+ .*colour: red$", changed, re.MULTILINE)
    assert "Namespace" not in changed
    changed = shown("--check", definition={**hidden, "stringData": {"key": "another-that-nobody-may-know"}})
    assert "may-know" not in changed
    gone = shown("--check", state="absent", kind="ConfigMap", api_version="v1", **named)
    assert f"-ConfigMap {site.namespace}/of-the-test" in gone


def test_static_volume(site: Site) -> None:
    site.matrix("static_volume")
    claim = site.get(f"/api/v1/namespaces/{site.namespace}/persistentvolumeclaims/postgresql")
    bind(site.client, site.namespace, claim)
    assert site.converge("static_volume") == 0, "what the controllers add is left alone"
    volume = site.get(f"/api/v1/persistentvolumes/{claim['spec']['volumeName']}")
    assert volume["spec"]["claimRef"]["uid"] == claim["metadata"]["uid"]


def test_shared_volumes(site: Site) -> None:
    claim = f"{site.namespace}/logs"
    volume = {"name": f"logs-{site.node}", "claim": claim, "size": "20Gi", "nfs": {"server": "nas.home.arpa", "path": "/export/logs"}}

    def storage(*options: str, **variables: Any) -> str:
        result = site.play(CHECKOUT / "playbooks" / "storage.yml", "--tags", "static_volume", *options, **variables)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout + result.stderr

    quiet = storage()
    assert quiet.count("TASK [homelab.data_platform.static_volume : ") == 2, quiet  # the node's own, and the check of its arguments
    for options, changed in (("--check", "--diff"), 1), (("--limit", site.node), 0), ((), 1), ((), 0):
        assert sum(int(count) for count in re.findall(r"changed=(\d+)", storage(*options, shared_volumes=[volume]))) == changed, options
    found = site.get(f"/api/v1/namespaces/{site.namespace}/persistentvolumeclaims/logs")
    assert found["spec"]["volumeName"] == volume["name"]
    assert f"{volume['name']}: no longer declared" in re.sub(r"\s+", " ", storage(shared_volumes=[]))

    inventory = site.directory / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"control": yaml.safe_load(inventory.read_text())["control"]}))
    storage(shared_volumes=[{**volume, "name": f"dags-{site.node}", "claim": f"{site.namespace}/dags"}])
    assert site.get(f"/api/v1/persistentvolumes/dags-{site.node}"), "a site without a single node of its own has them too"


def test_rbac(site: Site) -> None:
    site.matrix("rbac", rbac_commander_role=f"commander-{site.node}")
    airflow, spark = f"system:serviceaccount:{site.namespace}:airflow-sa", f"system:serviceaccount:{site.jobs}:spark-sa"
    allowed = [
        (airflow, site.jobs, "create", "sparkapplications.sparkoperator.k8s.io"),
        (airflow, site.jobs, "get", "sparkapplications.sparkoperator.k8s.io/status"),
        (airflow, site.jobs, "patch", "pods"),
        (airflow, site.jobs, "get", "pods/log"),
        (airflow, site.namespace, "create", "pods"),
        (spark, site.jobs, "deletecollection", "pods"),
        (spark, site.jobs, "create", "configmaps"),
    ]
    denied = [
        (airflow, "default", "create", "pods"),
        (airflow, "default", "create", "sparkapplications.sparkoperator.k8s.io"),
        (airflow, site.jobs, "get", "secrets"),
        (airflow, site.namespace, "get", "secrets"),
        (spark, site.jobs, "create", "sparkapplications.sparkoperator.k8s.io"),
        (spark, site.namespace, "get", "pods"),
        (spark, site.jobs, "get", "secrets"),
    ]
    assert [case for case in allowed if not may(site.client, *case)] == []
    assert [case for case in denied if may(site.client, *case)] == []


def test_rbac_takes_away_what_is_not_declared(site: Site) -> None:
    declared = {"rbac_commander_role": f"commander-{site.node}"}
    exec_rule = {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]}
    site.converge("rbac", rbac_airflow_rules=[exec_rule], **declared)
    airflow, spark = f"system:serviceaccount:{site.namespace}:airflow-sa", f"system:serviceaccount:{site.jobs}:spark-sa"
    assert may(site.client, airflow, site.namespace, "create", "pods/exec")
    assert site.converge("rbac", **declared) == 1
    assert not may(site.client, airflow, site.namespace, "create", "pods/exec"), "a rule that is no longer declared"

    role = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{site.jobs}/roles/spark-sa"
    rules = site.get(role)["rules"]
    by_hand = [{**rules[0], "verbs": [*rules[0]["verbs"], "update"]}, *rules[1:]]
    site.client.patch(role, {"rules": by_hand})
    assert may(site.client, spark, site.jobs, "update", "pods")
    foretold = site.run("rbac", "--check", "--diff", **declared).stdout
    assert re.search(r"^-.*update", foretold, re.MULTILINE), foretold
    assert site.converge("rbac", **declared) == 1
    assert not may(site.client, spark, site.jobs, "update", "pods"), "a verb that somebody added by hand"
    assert site.get(role)["rules"] == rules


def test_rbac_withdraws_what_is_named_and_nothing_else(site: Site) -> None:
    role, team = f"commander-{site.node}", f"{site.jobs}-team"
    airflow, spark = f"system:serviceaccount:{site.namespace}:airflow-sa", f"system:serviceaccount:{team}:spark-sa"
    applications = "sparkapplications.sparkoperator.k8s.io"
    site.converge("rbac", rbac_commander_role=role, platform_spark_job_namespaces=[site.jobs, team])
    assert may(site.client, airflow, team, "create", applications)
    assert site.converge("rbac", rbac_commander_role=role) == 0, "a namespace that is named nowhere is left as it is"
    assert may(site.client, spark, team, "create", "pods")

    given_up = {"rbac_commander_role": role, "rbac_withdrawn_namespaces": [team]}
    both = site.run("rbac", **{**given_up, "rbac_withdrawn_namespaces": [site.jobs]})
    assert both.returncode != 0
    assert f"rbac_withdrawn_namespaces names {site.jobs}" in re.sub(r"\s+", " ", both.stdout)
    assert site.converge("rbac", "--check", **given_up) == 1
    assert may(site.client, spark, team, "create", "pods"), "a run that only looks"
    assert site.converge("rbac", **given_up) == 1
    assert site.converge("rbac", **given_up) == 0
    assert not may(site.client, airflow, team, "create", applications)
    assert not may(site.client, spark, team, "create", "pods")
    assert may(site.client, airflow, site.jobs, "create", applications), "the other one keeps its rights"
    assert site.get(f"/api/v1/namespaces/{team}/serviceaccounts/spark-sa")


def test_postgresql(site: Site) -> None:
    refused = site.run("postgresql")
    assert refused.returncode != 0
    assert f"The claim {site.namespace}/postgresql, which is to hold the database, does not exist." in re.sub(r"\s+", " ", refused.stdout)

    site.converge("static_volume")
    claim = site.get(f"/api/v1/namespaces/{site.namespace}/persistentvolumeclaims/postgresql")
    bind(site.client, site.namespace, claim)
    stop = threading.Event()
    kubelet = threading.Thread(target=start_pods, args=(site.client, site.namespace, stop))
    kubelet.start()
    try:
        site.matrix("postgresql")
    finally:
        stop.set()
        kubelet.join()
    stateful_set = site.get(f"/apis/apps/v1/namespaces/{site.namespace}/statefulsets/postgresql")
    pod = stateful_set["spec"]["template"]["spec"]
    assert pod["securityContext"] == {"runAsUser": 999, "runAsGroup": 999, "runAsNonRoot": True}
    assert pod["containers"][0]["image"] == "docker.io/library/postgres:15-bookworm"
    assert pod["nodeSelector"] == {"workload": "orchestration"}


def test_spark_history_server(site: Site) -> None:
    namespace = f"history-{site.node}"[:60]
    trusting = {"platform_ca_file": "/dev/null", "platform_spark_history_namespace": namespace}
    foretold = site.run("spark_history_server", "--check", **trusting)
    assert foretold.returncode == 0, "what earlier stages plan is not there yet\n" + foretold.stdout

    refused = re.sub(r"\s+", " ", site.run("spark_history_server", **trusting).stdout)
    assert f"The Secret {namespace}/spark-history-object-store has not the keys AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_S3" in refused
    create(site.client, {"kind": "Namespace", "metadata": {"name": namespace}})
    secret = {"AWS_ACCESS_KEY_ID": "spark-history", "AWS_SECRET_ACCESS_KEY": "t0p-secret-key"}
    addresses = {"AWS_ENDPOINT_URL_S3": "https://minio:9000", "AWS_REGION": "us-east-1"}
    metadata = {"name": "spark-history-object-store", "namespace": namespace}
    create(site.client, {"kind": "Secret", "metadata": metadata, "stringData": {**secret, **addresses}})
    refused = re.sub(r"\s+", " ", site.run("spark_history_server", **trusting).stdout)
    assert f"The ConfigMap {namespace}/data-platform-ca with the key truststore.p12 does not exist" in refused
    metadata = {"name": "data-platform-ca", "namespace": namespace}
    create(site.client, {"kind": "ConfigMap", "metadata": metadata, "binaryData": {"truststore.p12": "AAAA"}})

    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/spark-history-server"
    with controller(site.client, path):
        site.matrix("spark_history_server", **trusting)
        before = site.get(path)["spec"]["template"]["metadata"]["annotations"]
        assert site.converge("spark_history_server", spark_history_server_cleaner_max_age="7d", **trusting) == 1
        deployment = site.get(path)["spec"]
        ingresses = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses"
        assert len(site.get(ingresses)["items"]) == 2
        own = {"spark_history_server_jars": [], "spark_history_server_ca_config_map": ""}
        assert site.converge("spark_history_server", **own, **trusting) == 1
        assert site.converge("spark_history_server", spark_history_server_ingress_enabled=False, **own, **trusting) == 2
        assert site.get(ingresses)["items"] == [], "pages that are switched off are gone"
    plain = site.get(path)["spec"]["template"]["spec"]
    assert {volume["name"] for volume in plain["volumes"]} == {"configuration", "tmp"}, "what is no longer declared goes"
    assert [container["name"] for container in plain["initContainers"]] == ["make-log-directory"]
    assert deployment["strategy"] == {"type": "Recreate"}
    assert deployment["template"]["metadata"]["annotations"] != before, "the server reads its configuration when it starts"
    assert "t0p-secret-key" not in json.dumps(deployment)
    images = {one["image"] for one in (*deployment["template"]["spec"]["initContainers"], *deployment["template"]["spec"]["containers"])}
    assert images == {"docker.io/library/spark:3.5.7-scala2.12-java17-python3-ubuntu"}
    (fetch, _make) = deployment["template"]["spec"]["initContainers"]
    assert [word.partition("/org/")[0] for word in fetch["command"] if "hadoop-aws" in word] == ["https://repo1.maven.org/maven2"]
    service = site.get(f"/api/v1/namespaces/{namespace}/services/spark-history-server")["spec"]
    assert [port["port"] for port in service["ports"]] == [18080]
    assert service["selector"] == deployment["selector"]["matchLabels"]


def create(client: Client, body: dict[str, Any]) -> None:
    client.create(client.path("v1", body["kind"], body["metadata"].get("namespace")), {"apiVersion": "v1", **body})


@contextmanager
def controller(client: Client, path: str) -> Iterator[None]:
    """Do what the Deployment controller does once the pods are ready, for every generation of a Deployment."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.2):
            found = client.get(path)
            if found and found["status"].get("observedGeneration") != found["metadata"]["generation"]:
                counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
                client.patch(f"{path}/status", {"status": {"observedGeneration": found["metadata"]["generation"], **counts}})

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def bind(client: Client, namespace: str, claim: dict[str, Any]) -> None:
    """Do what the volume controller does when the first pod comes."""
    volume, uid = claim["spec"]["volumeName"], claim["metadata"]["uid"]
    reference = {"uid": uid, "resourceVersion": claim["metadata"]["resourceVersion"]}
    client.patch(f"/api/v1/persistentvolumes/{volume}", {"spec": {"claimRef": reference}})
    client.patch(f"/api/v1/persistentvolumes/{volume}/status", {"status": {"phase": "Bound"}})
    path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim['metadata']['name']}"
    client.patch(path, {"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}})
    client.patch(f"{path}/status", {"status": {"phase": "Bound", "capacity": {"storage": "4Gi"}, "accessModes": ["ReadWriteOnce"]}})


def start_pods(client: Client, namespace: str, stop: threading.Event) -> None:
    """Do what the StatefulSet controller does once the pod is ready."""
    path = f"/apis/apps/v1/namespaces/{namespace}/statefulsets/postgresql"
    while not stop.wait(0.5):
        found = client.get(path)
        if found and "readyReplicas" not in found["status"]:
            revision = {"currentRevision": "a", "updateRevision": "a"}
            status = {"observedGeneration": found["metadata"]["generation"], "replicas": 1, "readyReplicas": 1, **revision}
            client.patch(f"{path}/status", {"status": status})


def may(client: Client, user: str, namespace: str, verb: str, resource: str) -> bool:
    """Ask the apiserver's own authorizer."""
    plural, _slash, subresource = resource.partition("/")
    plural, _dot, group = plural.partition(".")
    attributes = {"namespace": namespace, "verb": verb, "group": group, "resource": plural, "subresource": subresource}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": attributes},
    }
    return bool(client.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)["status"]["allowed"])
