"""What Airflow's keys may do in the object store, and what not."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.platform.reality import refused


def test_airflow_writes_and_reads_its_logs(airflow_store: Any) -> None:
    key = f"logs/airflow-logs/check/{uuid.uuid4()}"
    airflow_store.put_object(Bucket="datalake", Key=key, Body=b"a line of a log")
    assert airflow_store.get_object(Bucket="datalake", Key=key)["Body"].read() == b"a line of a log"
    airflow_store.delete_object(Bucket="datalake", Key=key)


def test_airflow_lists_the_bucket(airflow_store: Any) -> None:
    assert airflow_store.list_objects_v2(Bucket="datalake")["ResponseMetadata"]["HTTPStatusCode"] == 200


@pytest.mark.parametrize("key", ["logs/spark-log/x", "raw/x", "x", "logs/airflow-logsx/x"])
def test_airflow_writes_nowhere_else(airflow_store: Any, key: str) -> None:
    assert refused(lambda: airflow_store.put_object(Bucket="datalake", Key=key, Body=b"x"))


def test_airflow_makes_no_bucket(airflow_store: Any) -> None:
    assert refused(lambda: airflow_store.create_bucket(Bucket=f"other-{uuid.uuid4()}"))
