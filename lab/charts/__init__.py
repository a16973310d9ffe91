"""The stand-in for Airflow's chart, under each version of the official one that it stands for: a chart knows its own version."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml

from lab.settings import CHECKOUT, STATE

AIRFLOW = CHECKOUT / "lab" / "charts" / "airflow"
VERSIONS = ("1.16.0", "1.22.0")
"""What the role takes for Airflow 2.10, and for 2.11 and 3.2."""


def directory() -> Path:
    """Return a directory with the chart in each version, written anew."""
    charts = STATE / "charts"
    for version in VERSIONS:
        # The directory above is mounted in a machine that runs.
        shutil.rmtree(charts / version, ignore_errors=True)
        write(version, charts / version)
    return charts


def write(version: str, place: Path) -> Path:
    """Write the chart as this version of it."""
    shutil.copytree(AIRFLOW, place)
    described = yaml.safe_load((AIRFLOW / "Chart.yaml").read_text())
    (place / "Chart.yaml").write_text(yaml.safe_dump({**described, "version": version}))
    return place
