"""The pipeline: the DAGs of the git repository, jobs on Spark, and what comes of them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from lab import components
from lab.settings import CHECKOUT, WORKER_2
from tests import examples
from tests.platform.reality import get, kubectl, on, wait_for

HELLO = ("example_hello", "say_hello")
WORD_COUNT = ("word_count", "count")
"""The example DAGs, each with its task."""
MAY_END = "/tmp/may-end"
AIRFLOW_ACCOUNT = "system:serviceaccount:airflow:airflow-sa"


def airflow(*words: str) -> str:
    """Run Airflow's command line where the scheduler runs."""
    return kubectl("exec", "--namespace", "airflow", "deployment/airflow-scheduler", "--container", "scheduler", "--", "airflow", *words)


def create_pi() -> str:
    """Create Pi."""
    return _create(examples.pi(), "image-spark")


@contextmanager
def waiting() -> Iterator[str]:
    """The word count's application with another script, so that its pages stay until it is released; yields its name."""
    script = (CHECKOUT / "tests/platform/waiting.py").read_text()
    name = _create(examples.word_count(output=MAY_END, script=script), "image-spark-s3a")
    try:
        yield name
    finally:
        kubectl("delete", "sparkapplication", "--namespace", "spark-jobs", name)


def release(name: str) -> None:
    """Let an application that waits come to its end."""
    kubectl("exec", "--namespace", "spark-jobs", f"{name}-driver", "--", "touch", MAY_END)


def _create(application: dict[str, Any], image: str) -> str:
    """Create a SparkApplication as Airflow does, with the lab's image and a name of its own."""
    name = f"{application['metadata']['name']}-{uuid.uuid4().hex[:8]}"
    application["metadata"]["name"] = name
    application["spec"]["image"] = (components.path(image) / "name").read_text().strip()
    kubectl("create", "--filename=-", stdin=yaml.safe_dump(application), identity=AIRFLOW_ACCOUNT)
    return name


def applications() -> set[str]:
    """The names of the SparkApplications."""
    return {application["metadata"]["name"] for application in get("sparkapplications", "--namespace", "spark-jobs")["items"]}


def completed(name: str) -> str:
    """Wait until an application has completed, and return Spark's id of it."""

    def ended() -> dict[str, Any]:
        status: dict[str, Any] = get("sparkapplication", "--namespace", "spark-jobs", name).get("status", {})
        state = status.get("applicationState", {}).get("state")
        return status if state in ("COMPLETED", "FAILED", "SUBMISSION_FAILED") else {}

    status = wait_for(f"the end of the SparkApplication {name}", ended, 300)
    assert status["applicationState"]["state"] == "COMPLETED", driver_log(name)
    return str(status["sparkApplicationId"])


def driver_log(name: str) -> str:
    """What an application's driver said."""
    return kubectl("logs", "--namespace", "spark-jobs", f"{name}-driver")


def task_pods(dag: str) -> list[str]:
    """The task pods of a DAG."""
    selector = f"--selector=dag_id={dag},airflow-worker"
    return [pod["metadata"]["name"] for pod in get("pods", "--namespace", "airflow", selector)["items"]]


def history() -> dict[str, Any]:
    """The attempts of each application that the History Server knows, asked through its Service."""
    address = get("service", "--namespace", "spark-history", "spark-history-server")["spec"]["clusterIP"]
    listed = json.loads(on(WORKER_2, f"curl --silent --fail http://{address}:18080/api/v1/applications"))
    return {application["id"]: application["attempts"] for application in listed}
