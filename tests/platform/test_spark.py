"""The Spark operator, with the Pi that a newcomer runs first; a job in the object store, and its page in the History Server."""

from __future__ import annotations

import json
import uuid
from typing import Any

import yaml

from lab import components
from lab.settings import CHECKOUT, WORKER_2
from tests.platform.reality import get, kubectl, on, wait_for

AIRFLOW = "system:serviceaccount:airflow:airflow-sa"


def test_operator_is_available() -> None:
    deployments = get("deployments", "--namespace", "spark-operator")["items"]
    available = {deployment["metadata"]["name"] for deployment in deployments if deployment["status"].get("availableReplicas")}
    assert available == {"spark-operator-controller", "spark-operator-webhook"}


def test_pi_created_by_airflow_runs_as_spark_on_the_other_node() -> None:
    application = yaml.safe_load((CHECKOUT / "examples/spark-pi.yaml").read_text())
    name = f"pi-{uuid.uuid4().hex[:8]}"
    application["metadata"]["name"] = name
    application["spec"]["image"] = _image_of_the_lab()
    kubectl("create", "--filename=-", stdin=yaml.safe_dump(application), identity=AIRFLOW)
    assert _end(name) == "COMPLETED"
    driver = get("pod", "--namespace", "spark-jobs", f"{name}-driver")
    assert driver["spec"]["serviceAccountName"] == "spark-sa"
    assert driver["spec"]["nodeName"] == WORKER_2.name
    assert "Pi is roughly 3.1" in kubectl("logs", "--namespace", "spark-jobs", f"{name}-driver")
    kubectl("delete", "sparkapplication", "--namespace", "spark-jobs", name)


def test_a_job_in_the_object_store_has_a_page_in_the_history_server() -> None:
    application = yaml.safe_load((CHECKOUT / "examples/spark-s3a.yaml").read_text())
    metadata = {"name": "spark-s3a-example", "namespace": "spark-jobs"}
    script: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    script["data"] = {"wordcount.py": (CHECKOUT / "examples/wordcount.py").read_text()}
    name = f"s3a-{uuid.uuid4().hex[:8]}"
    application["metadata"]["name"] = name
    kubectl("apply", "--filename=-", stdin=yaml.safe_dump(script))
    kubectl("create", "--filename=-", stdin=yaml.safe_dump(application), identity=AIRFLOW)
    assert _end(name) == "COMPLETED"
    assert "the most frequent word is 'to', 4 times" in kubectl("logs", "--namespace", "spark-jobs", f"{name}-driver")
    run = get("sparkapplication", "--namespace", "spark-jobs", name)["status"]["sparkApplicationId"]
    (attempt,) = wait_for(f"the page of {run}", lambda: _history().get(run), 60)
    assert attempt["completed"]
    kubectl("delete", "sparkapplication", "--namespace", "spark-jobs", name)


def test_the_history_server_stays_off_the_orchestration_node() -> None:
    pods = get("pods", "--namespace", "spark-history", "--selector=app.kubernetes.io/name=spark-history-server")["items"]
    assert [pod["spec"]["nodeName"] for pod in pods] == [WORKER_2.name]


def _end(name: str) -> str:
    """How a SparkApplication ends."""

    def ended() -> str:
        status = get("sparkapplication", "--namespace", "spark-jobs", name).get("status", {})
        state: str = status.get("applicationState", {}).get("state", "")
        return state if state in ("COMPLETED", "FAILED", "SUBMISSION_FAILED") else ""

    return str(wait_for(f"the end of the SparkApplication {name}", ended, 300))


def _history() -> dict[str, Any]:
    """The attempts of each application that the History Server knows, asked through its Service."""
    address = get("service", "--namespace", "spark-history", "spark-history-server")["spec"]["clusterIP"]
    listed = json.loads(on(WORKER_2, f"curl --silent --fail http://{address}:18080/api/v1/applications"))
    return {application["id"]: application["attempts"] for application in listed}


def _image_of_the_lab() -> str:
    return (components.path("image-spark") / "name").read_text().strip()
