"""Tasks run in workers of Celery behind Redis, and in the scheduler itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.airflow.release import declare, deploy, run_dag
from tests.platform.pipeline import HELLO
from tests.platform.reality import get, kubectl, secret
from tests.playbook import changed


@pytest.fixture(scope="module", autouse=True)
def _as_declared() -> Iterator[None]:
    yield
    changed(declare())


def test_celery() -> None:
    deploy(airflow_executor="CeleryExecutor", airflow_celery={"workers": 1, "concurrency": 2})
    assert "Hello from airflow-worker-" in run_dag(*HELLO)
    broker = get("statefulset", "--namespace", "airflow", "airflow-redis")["spec"]["template"]["spec"]
    assert "volumeClaimTemplates" not in broker
    password = secret("airflow", "airflow-broker")["password"]
    ping = ("exec", "--namespace", "airflow", "airflow-redis-0", "--", "sh", "-c")
    assert "NOAUTH" in kubectl(*ping, "redis-cli ping")
    assert kubectl(*ping, 'REDISCLI_AUTH="$REDIS_PASSWORD" redis-cli ping').strip() == "PONG"
    assert password not in kubectl(*ping, "cat /proc/1/cmdline")


def test_local() -> None:
    deploy(airflow_executor="LocalExecutor")
    assert "Hello from airflow-scheduler-" in run_dag(*HELLO)
