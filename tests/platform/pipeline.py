"""The pipeline: the DAG of the git repository, jobs on Spark, and what comes of them."""

from __future__ import annotations

import json
import uuid
from typing import Any

import yaml

from lab import components
from lab.settings import CHECKOUT, WORKER_2
from tests.platform.reality import get, kubectl, on, wait_for

DAG = "example_hello"
TASK = "say_hello"
MAY_END = "/tmp/may-end"
AIRFLOW_ACCOUNT = "system:serviceaccount:airflow:airflow-sa"

READ_LOG = """
import sys
from airflow.models import TaskInstance
from airflow.utils.log.log_reader import TaskLogReader
from airflow.utils.session import create_session
dag, task, run = sys.argv[1:]
with create_session() as session:
    ti = session.query(TaskInstance).filter_by(dag_id=dag, task_id=task, run_id=run).one()
    print(TaskLogReader().read_log_chunks(ti, 1, {})[0])
"""


def airflow(*words: str) -> str:
    """Run Airflow's command line where the scheduler runs."""
    return kubectl("exec", "--namespace", "airflow", "deployment/airflow-scheduler", "--container", "scheduler", "--", "airflow", *words)


def run_dag() -> str:
    """Trigger the DAG and see it succeed; return the run's name."""
    run = f"check-{uuid.uuid4()}"
    wait_for("the DAG of the git repository", lambda: DAG in airflow("dags", "list", "--output", "json"), 180)
    airflow("dags", "unpause", DAG)
    airflow("dags", "trigger", DAG, "--run-id", run)

    def ended() -> str:
        runs = json.loads(airflow("dags", "list-runs", "--dag-id", DAG, "--output", "json").splitlines()[-1])
        state: str
        (state,) = [entry["state"] for entry in runs if entry["run_id"] == run]
        return state if state in ("success", "failed") else ""

    assert wait_for("the end of the DAG run", ended, 300) == "success"
    return run


def task_log(run: str) -> str:
    """The task's log as the webserver reads it, whose pod is not the task's."""
    words = ("deployment/airflow-webserver", "--container", "webserver", "--", "python", "-c", READ_LOG, DAG, TASK, run)
    return kubectl("exec", "--namespace", "airflow", *words)


def create_example(example: str, image: str, **changes: Any) -> str:
    """Create an example's SparkApplication as Airflow does, with the lab's image and a name of its own."""
    application = yaml.safe_load((CHECKOUT / "examples" / example).read_text())
    name = f"{application['metadata']['name']}-{uuid.uuid4().hex[:8]}"
    application["metadata"]["name"] = name
    application["spec"].update(changes)
    application["spec"]["image"] = (components.path(image) / "name").read_text().strip()
    kubectl("create", "--filename=-", stdin=yaml.safe_dump(application), identity=AIRFLOW_ACCOUNT)
    return name


def create_word_count() -> str:
    """Create the example that works in the object store, with its script."""
    _scripts()
    return create_example("spark-s3a.yaml", "image-spark-s3a")


def create_waiting() -> str:
    """Create an application with an event log whose pages stay until it is released."""
    _scripts()
    return create_example(
        "spark-s3a.yaml", "image-spark-s3a", mainApplicationFile="local:///opt/spark-s3a-example/waiting.py", arguments=[MAY_END]
    )


def release(name: str) -> None:
    """Let an application that waits come to its end."""
    kubectl("exec", "--namespace", "spark-jobs", f"{name}-driver", "--", "touch", MAY_END)


def _scripts() -> None:
    """Have the scripts of the applications where the example mounts them."""
    script = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "spark-s3a-example", "namespace": "spark-jobs"}}
    files = (CHECKOUT / "examples/wordcount.py", CHECKOUT / "tests/platform/waiting.py")
    kubectl("apply", "--filename=-", stdin=json.dumps({**script, "data": {file.name: file.read_text() for file in files}}))


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


def history() -> dict[str, Any]:
    """The attempts of each application that the History Server knows, asked through its Service."""
    address = get("service", "--namespace", "spark-history", "spark-history-server")["spec"]["clusterIP"]
    listed = json.loads(on(WORKER_2, f"curl --silent --fail http://{address}:18080/api/v1/applications"))
    return {application["id"]: application["attempts"] for application in listed}
