"""Airflow as its user meets it: the page through the tunnel, a DAG that runs, its log in the object store."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest

from lab.settings import WORKER_1
from tests.platform.airflow_api import AirflowApi
from tests.platform.conftest import Run
from tests.platform.pipeline import HELLO, WORD_COUNT
from tests.platform.reality import get, wait_for
from tests.repository import pushed
from tests.tunnel import Computer


def test_health_through_the_tunnel(computer: Computer) -> None:
    health = json.loads(wait_for("an answer of /health through the tunnel", lambda: computer.fetch("/health"), 60))
    assert health["metadatabase"]["status"] == "healthy"
    assert health["scheduler"]["status"] == "healthy"


def test_everything_runs_on_the_orchestration_node() -> None:
    pods = [pod for pod in get("pods", "--namespace", "airflow")["items"] if pod["status"]["phase"] == "Running"]
    assert {pod["spec"]["nodeName"] for pod in pods} == {WORKER_1.name}
    assert {pod["metadata"]["labels"].get("component") for pod in pods} >= {"scheduler", "webserver"}


@pytest.mark.parametrize(("dag", "said"), [(HELLO[0], "Hello from"), (WORD_COUNT[0], "the most frequent word")])
def test_dags_of_the_repository_run_and_their_logs_outlive_their_pods(dag: str, said: str, run: Run, airflow_store: Any) -> None:
    prefix = f"logs/airflow-logs/dag_id={dag}/run_id={run.runs[dag]}/"
    keys = [entry["Key"] for entry in airflow_store.list_objects_v2(Bucket="datalake", Prefix=prefix).get("Contents", [])]
    assert keys, f"no log below {prefix}"
    logs = b"".join(airflow_store.get_object(Bucket="datalake", Key=key)["Body"].read() for key in keys)
    assert said in logs.decode()
    assert said in run.logs[dag], "Airflow's API reads it where the task has put it"


def test_push_shows_without_any_deploy() -> None:
    name, airflow = f"pushed_{uuid.uuid4().hex[:8]}", AirflowApi()
    with pushed() as clone:
        (clone / f"dags/{name}.py").write_text(f"from airflow import DAG\ndag = DAG({name!r}, schedule=None)\n")
    begin = time.monotonic()
    wait_for("the pushed DAG", lambda: airflow.has(name), 120)
    print(f"a push shows after {time.monotonic() - begin:.0f} s")
    with pushed() as clone:
        (clone / f"dags/{name}.py").unlink()


def test_task_ran_in_a_pod_of_its_own() -> None:
    events = get("events", "--namespace", "airflow", "--field-selector", "reason=Scheduled")["items"]
    pods = [event for event in events if event["involvedObject"]["name"].startswith(HELLO[0].replace("_", "-"))]
    assert pods
    assert all(WORKER_1.name in event["message"] for event in pods)
