"""The SparkApplications of the examples, as data."""

from __future__ import annotations

from typing import Any

import jinja2
import yaml

from lab.settings import CHECKOUT

EXAMPLES = CHECKOUT / "examples"
VARIABLES = {
    "spark_version": "3.5.7",
    "spark_image": "registry.lan/spark-s3a:3.5.7-python3",
    "spark_service_account": "spark-sa",
    "spark_ca_config_map": "data-platform-ca",
}
"""Variables of Airflow, as the role sets them in the lab."""


def pi() -> dict[str, Any]:
    """Pi."""
    found: dict[str, Any] = yaml.safe_load((EXAMPLES / "spark-pi.yaml").read_text())
    return found


def word_count(output: str = "s3a://datalake/spark/word_count", script: str = "") -> dict[str, Any]:
    """The word count as Airflow renders it, with its own script or another."""
    folder = EXAMPLES / "dags/word_count"
    files = {"application.yaml": (folder / "application.yaml").read_text(), "count.py": script or (folder / "count.py").read_text()}
    template = jinja2.Environment(loader=jinja2.DictLoader(files), autoescape=False).get_template("application.yaml")
    found: dict[str, Any] = yaml.safe_load(template.render(var={"value": VARIABLES}, params={"output": output}))
    found["metadata"]["namespace"] = "spark-jobs"
    return found
