"""A site whose one variable is edited, and what Airflow knew before."""

from __future__ import annotations

import json
import shutil
import uuid
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from lab import git_server
from lab.settings import GIT_REPOSITORY, INVENTORY, WORKER_1
from lab.shell import run
from tests.platform.pipeline import HELLO, airflow
from tests.platform.reality import kubectl, on, s3, secret, wait_for
from tests.playbook import Site

DAG = HELLO[0]
BROKEN = '''"""Written for Airflow 2: Airflow 3 has no schedule_interval."""

from datetime import datetime

from airflow import DAG
from airflow.operators.python import PythonOperator

with DAG(dag_id="old_report", schedule_interval="@daily", start_date=datetime(2025, 1, 1), catchup=False) as dag:
    PythonOperator(task_id="report", python_callable=print)
'''


@dataclass
class UpgradedSite(Site):
    """The lab's inventory, in which Airflow's version is a variable."""

    def wants(self, version: str) -> None:
        """Edit the variable."""
        (self.inventory / "group_vars/all/upgrade.yml").write_text(yaml.safe_dump({"platform_versions_airflow": version}))


@dataclass(frozen=True)
class Known:
    """What Airflow 2.10.4 knew."""

    dag_run: str
    connection: str
    password: str


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> UpgradedSite:
    """The lab, as its inventory declares it."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(INVENTORY, folder / "inventory")
    return UpgradedSite(folder / "inventory")


@pytest.fixture(scope="session")
def known() -> Known:
    """Give Airflow something to keep: a connection, a variable, a run, and a DAG that only Airflow 2 can import."""
    push("old_report.py", BROKEN)
    password = uuid.uuid4().hex
    connection = {"conn_type": "postgres", "host": "warehouse", "login": "reader", "password": password}
    sql("delete from connection where conn_id = 'warehouse'")
    airflow("connections", "add", "warehouse", "--conn-json", json.dumps(connection))
    airflow("variables", "set", "colour", "green")
    return Known(run_dag(), "warehouse", password)


@pytest.fixture(scope="session")
def airflow_store() -> Any:
    """The object store as Airflow may use it."""
    keys = secret("airflow", "airflow-object-store")
    return s3(keys["access-key"], keys["secret-key"])


def push(name: str, text: str) -> None:
    """Put a DAG into the git repository."""
    repository, work = git_server.ROOT / f"{GIT_REPOSITORY}.git", git_server.ROOT / "edit"
    shutil.rmtree(work, ignore_errors=True)
    run(["git", "clone", "--quiet", repository, work])
    (work / "dags" / name).write_text(text)
    run(["git", "-C", work, "add", "--all"])
    run(["git", "-C", work, "-c", "user.name=lab", "-c", "user.email=lab@lab.test", "commit", "--quiet", "--allow-empty", "-m", name])
    run(["git", "-C", work, "push", "--quiet"])
    shutil.rmtree(work)


def sql(statement: str, database: str = "airflow") -> list[str]:
    """Ask the database itself; one line a row."""
    words = ["exec", "--namespace", "airflow", "postgresql-0", "--", "psql", "--username=airflow", f"--dbname={database}"]
    return kubectl(*words, "--tuples-only", "--no-align", "--command", statement).split()


def run_dag() -> str:
    """Run the DAG of the git repository to its end; the database says how it went, whatever the version."""
    dag_run = f"check-{uuid.uuid4()}"
    wait_for("the DAG of the git repository", lambda: sql(f"select 1 from serialized_dag where dag_id = '{DAG}'"), 180)
    airflow("dags", "unpause", DAG)
    wait_for("Airflow to take the run", lambda: triggered(dag_run), 180)

    def ended() -> str:
        (state,) = sql(f"select state from dag_run where run_id = '{dag_run}'")
        return state if state in ("success", "failed") else ""

    assert wait_for("the end of the DAG run", ended, 300) == "success"
    return dag_run


def triggered(dag_run: str) -> bool:
    """Trigger the DAG; a new Airflow first has to read it."""
    if not sql(f"select 1 from dag_run where run_id = '{dag_run}'"):
        kubectl(
            *("exec", "--namespace", "airflow", "deployment/airflow-scheduler", "--container", "scheduler", "--"),
            *("sh", "-c", f"airflow dags trigger {DAG} --run-id {dag_run} || true"),
        )
    return bool(sql(f"select 1 from dag_run where run_id = '{dag_run}'"))


def backups() -> list[str]:
    """The backups on the data disk, as the node has them."""
    return on(WORKER_1, "find /mnt/airflow-data/airflow-backups -name '*.dump' -printf '%f\\n'").split()
