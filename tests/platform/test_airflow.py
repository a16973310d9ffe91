"""Airflow as its user meets it: the page through the tunnel, a DAG that runs, its log in the object store."""

from __future__ import annotations

import json
from typing import Any

from lab.settings import WORKER_1
from tests.platform.conftest import Run
from tests.platform.pipeline import DAG
from tests.platform.reality import get, wait_for
from tests.tunnel import Computer


def test_health_through_the_tunnel(computer: Computer) -> None:
    health = json.loads(wait_for("an answer of /health through the tunnel", lambda: computer.fetch("/health"), 60))
    assert health["metadatabase"]["status"] == "healthy"
    assert health["scheduler"]["status"] == "healthy"


def test_everything_runs_on_the_orchestration_node() -> None:
    pods = [pod for pod in get("pods", "--namespace", "airflow")["items"] if pod["status"]["phase"] == "Running"]
    assert {pod["spec"]["nodeName"] for pod in pods} == {WORKER_1.name}
    assert {pod["metadata"]["labels"].get("component") for pod in pods} >= {"scheduler", "webserver"}


def test_dag_of_the_repository_runs_and_its_log_is_kept(run: Run, airflow_store: Any) -> None:
    prefix = f"logs/airflow-logs/dag_id={DAG}/run_id={run.dag_run}/"
    keys = [entry["Key"] for entry in airflow_store.list_objects_v2(Bucket="datalake", Prefix=prefix).get("Contents", [])]
    assert keys, f"no log below {prefix}"
    logs = b"".join(airflow_store.get_object(Bucket="datalake", Key=key)["Body"].read() for key in keys)
    assert b"Hello from" in logs
    assert "Hello from" in run.task_log, "the webserver reads it where the task has put it"


def test_task_ran_in_a_pod_of_its_own() -> None:
    events = get("events", "--namespace", "airflow", "--field-selector", "reason=Scheduled")["items"]
    pods = [event for event in events if event["involvedObject"]["name"].startswith(DAG.replace("_", "-"))]
    assert pods
    assert all(WORKER_1.name in event["message"] for event in pods)
