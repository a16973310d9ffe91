"""Somebody is told of failures, and old runs are forgotten."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lab.settings import SWITCH
from tests.airflow.release import declare, deploy, source_of
from tests.listeners import mail_server, web_server
from tests.platform.airflow_api import AirflowApi
from tests.platform.pipeline import airflow
from tests.platform.reality import get, kubectl, wait_for
from tests.playbook import changed
from tests.repository import pushed
from tests.serving import served


@pytest.fixture(scope="module", autouse=True)
def _as_declared() -> Iterator[None]:
    yield
    changed(declare())


def test_failures_are_told_by_mail_and_webhook() -> None:
    kept: list[dict[str, Any]] = []
    api = AirflowApi()
    with served(mail_server(kept.append), SWITCH.address) as mail, served(web_server(kept.append), SWITCH.address) as web:
        notifications = {
            "events": ["task", "dag_run"],
            "mail": {"host": SWITCH.address, "port": mail, "tls": "none", "from": "airflow@lab.test", "to": "me@lab.test"},
            "webhook": True,
        }
        address = f"http://{SWITCH.address}:{web}/hooks/s3cret-path"
        done = declare(airflow_notifications=notifications, airflow_webhook_url=address)
        changed(done)
        assert "s3cret-path" not in done.stdout + done.stderr
        # Only now: what the scheduler before read of a DAG stands for half a minute, and has nobody to tell of a failed run.
        with pushed() as clone:
            (clone / "dags/fails.py").write_text(source_of("fails", "echo no more disk; exit 7"))
        run = api.trigger("fails")
        assert api.finish("fails", run) == "failed"
        wait_for("four messages", lambda: len(kept) >= 4, 120)
    hooks = {entry["body"]["event"]: entry["body"] for entry in kept if entry["way"] == "webhook"}
    assert {event: body["run_id"] for event, body in hooks.items()} == {"task": run, "dag_run": run}
    assert hooks["task"]["task_id"] == "say"
    subjects = {entry["subject"] for entry in kept if entry["way"] == "mail"}
    assert subjects == {"[Airflow] Task fails.say failed", "[Airflow] Run of fails failed"}
    assert "s3cret-path" not in json.dumps(get("configmaps,deployments,pods", "--namespace", "airflow"))
    with pushed() as clone:
        (clone / "dags/fails.py").unlink()


OLD_RUN = """
from datetime import datetime, timezone
from airflow.models import DagRun
from airflow.utils.session import create_session
from airflow.utils.types import DagRunType
when = datetime(2020, 1, 1, tzinfo=timezone.utc)
with create_session() as session:
    for run in ("old-1", "old-2"):
        session.add(DagRun(dag_id="example_hello", run_id=run, run_type=DagRunType.MANUAL, execution_date=when, start_date=when,
                           state="success", data_interval=(when, when)))
        when = when.replace(day=2)
"""


def runs() -> set[str]:
    listed = airflow("dags", "list-runs", "--dag-id", "example_hello", "--output", "json").splitlines()[-1]
    return {run["run_id"] for run in json.loads(listed)}


def test_old_runs_are_forgotten() -> None:
    deploy(airflow_database_cleanup={"schedule": "0 4 * * 0", "days": 30})
    kubectl("exec", "--namespace", "airflow", "deployment/airflow-scheduler", "--container", "scheduler", "--", "python", "-c", OLD_RUN)
    assert {"old-1", "old-2"} <= runs()
    api = AirflowApi()
    young = api.trigger("example_hello")
    assert api.finish("example_hello", young) == "success"
    kubectl("create", "job", "--namespace", "airflow", "--from=cronjob/airflow-db-clean", "clean-now")
    kubectl("wait", "--namespace", "airflow", "--for=condition=complete", "job/clean-now", "--timeout=240s")
    # The newest run stays, whatever its age: it says when the next one is due.
    assert runs() & {"old-1", "old-2", young} == {young}
    kubectl("delete", "job", "--namespace", "airflow", "clean-now")
    deploy()
    assert not get("cronjobs", "--namespace", "airflow")["items"]
