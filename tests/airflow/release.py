"""Airflow's release in other forms than the lab's inventory declares it, and what can be asked of it."""

from __future__ import annotations

import json
import subprocess
import uuid
from typing import Any

from lab import components
from lab.node import machine
from lab.settings import INVENTORY, Node
from tests.platform.pipeline import airflow
from tests.platform.reality import kubectl, wait_for
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


def run_dag(dag: str, wanted: str = "success") -> str:
    """Trigger a DAG, see its run end, and return the run's name."""
    run = f"check-{uuid.uuid4()}"
    # The scheduler has to have read it; the command line reads files on its own.
    wait_for(f"the DAG {dag}", lambda: _done("dags", "details", dag), 180)
    airflow("dags", "unpause", dag)
    airflow("dags", "trigger", dag, "--run-id", run)

    def ended() -> str:
        runs = json.loads(airflow("dags", "list-runs", "--dag-id", dag, "--output", "json").splitlines()[-1])
        (state,) = [str(entry["state"]) for entry in runs if entry["run_id"] == run]
        return state if state in ("success", "failed") else ""

    assert wait_for(f"the end of {dag}", ended, 300) == wanted
    return run


def _done(*words: str) -> bool:
    try:
        airflow(*words)
    except Exception as error:  # noqa: BLE001 - kubectl's, whatever it is
        print(error)
        return False
    return True


def import_image(node: Node, name: str) -> None:
    """Give a node an image that the lab does not bring by itself."""
    leader = machine(node).leader
    inside = ["nsenter", f"--target={leader}", "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd"]
    with (components.ensure([name])[name] / "image.tar").open("rb") as image:
        subprocess.run([*inside, "/usr/bin/ctr", "-n", "k8s.io", "images", "import", "-"], stdin=image, check=True, capture_output=True)


def source_of(dag: str, command: str = "hostname") -> str:
    """The source of a DAG of one task that says where it runs."""
    return (
        "from datetime import datetime\n"
        "from airflow import DAG\n"
        "from airflow.operators.bash import BashOperator\n"
        f"with DAG({dag!r}, schedule=None, start_date=datetime(2025, 1, 1), catchup=False):\n"
        f"    BashOperator(task_id='say', bash_command={command!r})\n"
    )


def log_of(dag: str, run: str, task: str = "say") -> str:
    """A task's log, as it was put into the object store and is read by the webserver."""
    words = ("deployment/airflow-webserver", "--container", "webserver", "--", "python", "-c", READ_LOG, dag, task, run)
    return kubectl("exec", "--namespace", "airflow", *words)


READ_LOG = """
import sys
from airflow.models import TaskInstance
from airflow.utils.log.log_reader import TaskLogReader
from airflow.utils.session import create_session
dag, task, run = sys.argv[1:]
with create_session() as session:
    ti = session.query(TaskInstance).filter_by(dag_id=dag, task_id=task, run_id=run).one()
    print(TaskLogReader().read_log_chunks(ti, 1, {})[0])
"""
