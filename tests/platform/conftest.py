"""What the checks of a converged lab share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from lab import object_store, secret_store
from tests import tunnel
from tests.object_store.calls import Account
from tests.object_store.trace import Call, traced
from tests.platform import pipeline
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


@dataclass(frozen=True)
class Run:
    """One run of everything: a task and its log, an application and its event log, the pages of both."""

    dag_run: str
    task_log: str
    application: str
    spark_id: str
    calls: tuple[Call, ...]
    """What all of it asked of the object store."""


@pytest.fixture(scope="session")
def run() -> Iterator[Run]:
    """Run the pipeline once for all tests, with the object store's trace of it."""
    root = Account(object_store.ROOT_USER, secret_store.password("minio-root-password"))
    with traced(root) as trace:
        application = pipeline.create_word_count()
        dag_run = pipeline.run_dag()
        task_log = pipeline.task_log(dag_run)
        spark_id = pipeline.completed(application)
        # A new pod, so that what it asks at its start is in the trace too.
        kubectl("rollout", "restart", "--namespace", "spark-history", "deployment/spark-history-server")
        kubectl("rollout", "status", "--namespace", "spark-history", "deployment/spark-history-server", "--timeout=240s")
        wait_for(f"{spark_id} in the History Server", lambda: spark_id in pipeline.history(), 120)
        # From here on the tests ask too, and for what is refused.
        calls = tuple(trace.calls)
    yield Run(dag_run, task_log, application, spark_id, calls)
    kubectl("delete", "sparkapplication", "--namespace", "spark-jobs", application)


@pytest.fixture(scope="session")
def computer() -> Iterator[Computer]:
    """The user's computer, with the tunnel open."""
    with tunnel.opened() as computer:
        yield computer
