"""A run of the pipeline: the DAG of the git repository, and what came of it."""

from __future__ import annotations

import json
import uuid

from tests.platform.reality import kubectl, wait_for

DAG = "example_hello"
TASK = "say_hello"
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
