"""The Spark operator, with the Pi that a newcomer runs first; a job in the object store, and its page in the History Server."""

from __future__ import annotations

import re
from typing import Any

from lab.settings import WORKER_2
from tests.platform.conftest import INPUT, Run
from tests.platform.pipeline import driver_log, history
from tests.platform.reality import get


def test_operator_is_available() -> None:
    deployments = get("deployments", "--namespace", "spark-operator")["items"]
    available = {deployment["metadata"]["name"] for deployment in deployments if deployment["status"].get("availableReplicas")}
    assert available == {"spark-operator-controller", "spark-operator-webhook"}


def test_pi_created_by_airflow_runs_as_spark_on_the_other_node(run: Run) -> None:
    driver = get("pod", "--namespace", "spark-jobs", f"{run.pi}-driver")
    assert driver["spec"]["serviceAccountName"] == "spark-sa"
    assert driver["spec"]["nodeName"] == WORKER_2.name
    assert "Pi is roughly 3.1" in driver_log(run.pi)


def test_an_application_that_airflow_submits_reads_and_writes_the_object_store(run: Run, airflow_store: Any) -> None:
    name, suffix = run.application.rsplit("-", 1)
    assert name == "word-count"
    assert re.fullmatch("[a-z0-9]{6,}", suffix), "two runs would meet under one name"
    said = f"the most frequent word of s3a://datalake/{INPUT} is 'to', 4 times"
    assert said in driver_log(run.application)
    assert said in run.logs["word_count"], "the task's log has what the driver says"
    listed = airflow_store.list_objects_v2(Bucket="datalake", Prefix="spark/word_count/counts/")["Contents"]
    assert "spark/word_count/counts/_SUCCESS" in {entry["Key"] for entry in listed}


def test_it_has_a_page_in_the_history_server(run: Run) -> None:
    (attempt,) = history()[run.spark_id]
    assert attempt["completed"]


def test_the_history_server_stays_off_the_orchestration_node() -> None:
    pods = get("pods", "--namespace", "spark-history", "--selector=app.kubernetes.io/name=spark-history-server")["items"]
    assert [pod["spec"]["nodeName"] for pod in pods] == [WORKER_2.name]
