"""Airflow's release in other forms than the lab's inventory declares it, and what can be asked of it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from lab.settings import INVENTORY
from tests.platform.airflow_api import AirflowApi
from tests.platform.pipeline import airflow
from tests.playbook import Site, changed

PLAYBOOK = "playbooks/airflow.yml"
QUIET = {"vm-bastion": 0}
SITE = Site(INVENTORY)


def declare(**variables: Any) -> subprocess.CompletedProcess[str]:
    """Run the role with these variables beside those of the inventory."""
    return SITE.play(PLAYBOOK, "--extra-vars", json.dumps(variables), "--diff")


def deploy(**variables: Any) -> None:
    """Deploy the release so, and see that a second run has nothing to do."""
    changed(declare(**variables))
    assert changed(declare(**variables)) == QUIET


def dag_ids() -> set[str]:
    """The DAGs that `airflow dags list` shows."""
    return {dag["dag_id"] for dag in json.loads(airflow("dags", "list", "--output", "json").splitlines()[-1])}


def run_dag(dag: str, task: str = "say") -> str:
    """Run a DAG, see it succeed, and return its task's log as Airflow gives it."""
    api = AirflowApi()
    run = api.trigger(dag)
    assert api.finish(dag, run) == "success", api.log(dag, run, task)
    return api.log(dag, run, task)


def source_of(dag: str, command: str = "hostname") -> str:
    """The source of a DAG of one task that says where it runs."""
    return (
        "from datetime import datetime\n"
        "from airflow import DAG\n"
        "from airflow.operators.bash import BashOperator\n"
        f"with DAG({dag!r}, schedule=None, start_date=datetime(2025, 1, 1), catchup=False):\n"
        f"    BashOperator(task_id='say', bash_command={command!r})\n"
    )
