"""What the checks of a converged lab share."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from lab import object_store, secret_store
from lab.settings import STATE
from tests.object_store.calls import Account
from tests.object_store.trace import Call, traced
from tests.platform import pipeline
from tests.platform.reality import kubectl, s3, secret, wait_for


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


OUTSIDE = ["nsenter", f"--net={os.environ['LAB_OUTSIDE']}"]
"""Runs a command where the lab's user is: on the machine itself, not in the lab's LAN."""


@pytest.fixture
def tunnel() -> Iterator[Callable[[str], str]]:
    """The tunnel as its user opens it; yields what fetches a page through it."""
    first_line = (STATE / "tunnel.ssh_config").read_text().splitlines()[0]
    process = subprocess.Popen([*OUTSIDE, *shlex.split(first_line.partition("Open with: ")[2])], stderr=subprocess.PIPE)

    def fetch(path: str) -> str:
        argv = [*OUTSIDE, "curl", "--silent", "--fail", "--max-time", "10", f"http://127.0.0.1:8080{path}"]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout

    try:
        yield fetch
    finally:
        process.terminate()
        process.wait(10)
