"""The Spark operator, with the Pi that a newcomer runs first."""

from __future__ import annotations

import uuid

import yaml

from lab import components
from lab.settings import CHECKOUT, WORKER_2
from tests.platform.reality import get, kubectl, wait_for

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

    def ended() -> str:
        status = get("sparkapplication", "--namespace", "spark-jobs", name).get("status", {})
        state: str = status.get("applicationState", {}).get("state", "")
        return state if state in ("COMPLETED", "FAILED", "SUBMISSION_FAILED") else ""

    assert wait_for(f"the end of the SparkApplication {name}", ended, 300) == "COMPLETED"
    driver = get("pod", "--namespace", "spark-jobs", f"{name}-driver")
    assert driver["spec"]["serviceAccountName"] == "spark-sa"
    assert driver["spec"]["nodeName"] == WORKER_2.name
    assert "Pi is roughly 3.1" in kubectl("logs", "--namespace", "spark-jobs", f"{name}-driver")
    kubectl("delete", "sparkapplication", "--namespace", "spark-jobs", name)


def _image_of_the_lab() -> str:
    return (components.path("image-spark") / "name").read_text().strip()
