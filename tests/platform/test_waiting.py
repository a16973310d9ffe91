"""What cannot become ready is named with its reason, long before the time is up."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from lab import control_plane
from lab.settings import CHECKOUT
from tests.platform.reality import get, kubectl

NAME = "of-the-test-of-waiting"
NAMESPACE = "airflow"


@pytest.fixture
def failing_job() -> Iterator[None]:
    """A Job whose container complains and ends."""
    image = get("statefulset", "--namespace", NAMESPACE, "postgresql")["spec"]["template"]["spec"]["containers"][0]["image"]
    container = {"name": "main", "image": image, "command": ["sh", "-c", "echo 'the table dag_run is missing'; exit 3"]}
    pod = {"restartPolicy": "Never", "tolerations": [{"operator": "Exists"}], "nodeSelector": {"workload": "orchestration"}}
    spec = {"backoffLimit": 0, "template": {"spec": {**pod, "containers": [container]}}}
    metadata = {"name": NAME, "namespace": NAMESPACE}
    kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}))
    yield
    kubectl("delete", "job", "--namespace", NAMESPACE, NAME)


@pytest.mark.usefixtures("failing_job")
def test_a_failed_job_ends_the_wait_with_the_last_lines_of_its_log() -> None:
    arguments = {
        "kubeconfig": str(control_plane.KUBECONFIG),
        "resources": [{"api_version": "batch/v1", "kind": "Job", "namespace": NAMESPACE, "name": NAME}],
        "timeout": 300,
    }
    done = subprocess.run(
        [sys.executable, "-m", "ansible_collections.homelab.data_platform.plugins.modules.kubernetes_ready"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        cwd=CHECKOUT / ".collections",
        capture_output=True,
        text=True,
        check=False,
    )
    message = json.loads(done.stdout)["msg"]
    assert f"Job {NAMESPACE}/{NAME}: " in message
    assert "exit code 3" in message
    assert "the table dag_run is missing" in message
    assert "will not become so" in message, "it waited to the end although nothing could come of it"
