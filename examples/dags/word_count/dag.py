"""A job on Spark, submitted by Airflow's own operator: the words of a text in the object store are counted.

The task renders application.yaml, which takes count.py in, creates the SparkApplication under a name with a random suffix, and shows
what the driver says as its own log. Where Spark runs, and from which image, the Variables say that the platform declares.
"""

# Airflow is in the image, not in the environment of the checks.
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from datetime import datetime, timezone

from airflow import DAG
from airflow.providers.cncf.kubernetes.operators.spark_kubernetes import SparkKubernetesOperator

with DAG(
    dag_id="word_count",
    description="Counts the words of a text in the object store, on Spark",
    schedule=None,
    start_date=datetime(2025, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    # Two runs at once would write to the same place.
    max_active_runs=1,
    # Asked for when the DAG is triggered. Without an input, the job writes a small text beside the output first.
    params={"input": "", "output": "s3a://datalake/spark/word_count"},
    tags=["example"],
) as dag:
    SparkKubernetesOperator(
        task_id="count",
        namespace="{{ var.value.spark_namespace }}",
        name="word-count",
        random_name_suffix=True,
        application_file="application.yaml",
        # The application and its page stay for as long as application.yaml says.
        delete_on_termination=False,
        log_events_on_failure=True,
    )
