"""The smallest DAG that shows the whole way: from git, through a pod of its own, to a log in the object store."""

# Airflow is in the image, not in the environment of the checks.
# mypy: disable-error-code="import-not-found,untyped-decorator"

from __future__ import annotations

import platform
from datetime import datetime, timezone

from airflow import DAG
from airflow.decorators import task


@task
def say_hello() -> str:
    """Say hello, and from which pod."""
    message = f"Hello from {platform.node()}"
    print(message)
    return message


with DAG(
    dag_id="example_hello",
    description="Says hello from a pod on the orchestration node",
    schedule=None,
    start_date=datetime(2025, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    tags=["example"],
) as dag:
    say_hello()
