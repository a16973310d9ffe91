"""What the checks of a converged lab share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from lab import object_store, secret_store
from tests import tunnel
from tests.object_store.calls import Account
from tests.object_store.conftest import remove_objects
from tests.object_store.trace import Call, traced
from tests.platform import pipeline
from tests.platform.airflow_api import AirflowApi
from tests.platform.audit import Audit, Request
from tests.platform.reality import kubectl, s3, secret, wait_for
from tests.tunnel import Computer


@pytest.fixture(scope="session")
def airflow_keys() -> dict[str, str]:
    """The keys that Airflow has for the object store."""
    return secret("airflow", "airflow-object-store")


@pytest.fixture(scope="session")
def airflow_store(airflow_keys: dict[str, str]) -> Any:
    """The object store as Airflow may use it."""
    return s3(airflow_keys["access-key"], airflow_keys["secret-key"])


INPUT = "raw/word_count/"


@dataclass(frozen=True)
class Run:
    """One run of everything: both example DAGs, their tasks' logs, an application and its event log."""

    runs: dict[str, str]
    """By DAG, the run's name."""
    logs: dict[str, str]
    """By DAG, its task's log as Airflow gives it once the pod has gone."""
    application: str
    """The SparkApplication that Airflow made."""
    pi: str
    """Another one, made beside it."""
    spark_id: str
    calls: tuple[Call, ...]
    """What all of it asked of the object store."""
    requests: tuple[Request, ...]
    """What all of it asked of the cluster."""


@pytest.fixture(scope="session")
def run() -> Iterator[Run]:
    """Run the pipeline once for all tests, with the object store's trace and the apiserver's audit log of it."""
    root = Account(object_store.ROOT_USER, secret_store.password("minio-root-password"))
    airflow, audit = AirflowApi(), Audit()
    root.s3.put_object(Bucket="datalake", Key=f"{INPUT}text", Body=b"to be or not to be\nthat is the question\nto die to sleep no more\n")
    before = pipeline.applications()
    with traced(root) as trace:
        conf = {"example_hello": {}, "word_count": {"input": f"s3a://datalake/{INPUT}"}}
        tasks = dict([pipeline.HELLO, pipeline.WORD_COUNT])
        pi = pipeline.create_pi()
        runs = {dag: airflow.trigger(dag, **conf[dag]) for dag in tasks}
        ends = {dag: airflow.finish(dag, run) for dag, run in runs.items()}
        assert set(ends.values()) == {"success"}, {dag: airflow.log(dag, runs[dag], task) for dag, task in tasks.items()}
        (application,) = pipeline.applications() - before - {pi}
        spark_id = pipeline.completed(application)
        pipeline.completed(pi)
        wait_for("the end of the task pods", lambda: not any(map(pipeline.task_pods, tasks)), 60)
        logs = {dag: airflow.log(dag, runs[dag], task) for dag, task in tasks.items()}
        # A new pod, so that what it asks at its start is in the trace too.
        kubectl("rollout", "restart", "--namespace", "spark-history", "deployment/spark-history-server")
        kubectl("rollout", "status", "--namespace", "spark-history", "deployment/spark-history-server", "--timeout=240s")
        wait_for(f"{spark_id} in the History Server", lambda: spark_id in pipeline.history(), 120)
        # From here on the tests ask too, and for what is refused.
        calls, requests = tuple(trace.calls), audit.requests()
    yield Run(runs, logs, application, pi, spark_id, calls, requests)
    kubectl("delete", "sparkapplication", "--namespace", "spark-jobs", application, pi)
    remove_objects(root, "datalake", INPUT)


@pytest.fixture(scope="session")
def computer() -> Iterator[Computer]:
    """The user's computer, with the tunnel open."""
    with tunnel.opened() as computer:
        yield computer
