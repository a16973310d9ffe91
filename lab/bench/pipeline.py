"""Measure the way of a DAG: from a push to Airflow's page, and from its trigger to the end of its job on Spark."""

from __future__ import annotations

import base64
import json
import os
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from lab import control_plane, git_server, service
from lab.bench.report import table, write
from lab.settings import CHECKOUT, GIT_REPOSITORY, INGRESS_PORT, SWITCH, WORKER_1
from lab.shell import LabError, in_namespace
from lab.shell import run as run_program

_RUNS = 3
_LIMIT = 600
_DAG, _TASK = "word_count", "count"
_STEPS = (
    "the task runs in its pod",
    "the SparkApplication is there",
    "the driver is submitted",
    "the job is done",
    "the DAG run has ended",
)


def run() -> None:
    """Measure on a lab that is up."""
    if service.pid("kube-apiserver") is None:
        raise LabError("the lab is down: bring it up with `make lab`, or measure everything with `make bench`.")
    airflow = _Airflow()
    pushed = _push(airflow)
    airflow.start(_DAG)
    runs = [_word_count(airflow) for _ in range(_RUNS)]
    medians = [(step, f"{statistics.median(measured[step] for measured in runs):.0f}") for step in _STEPS]
    write(
        "The pipeline",
        f"Measured by `make bench` on {os.cpu_count()} cores, on a lab that does nothing else. A push is measured once:\n"
        "git-sync looks for new commits, and the scheduler for new files, every `airflow_dags.period` seconds (here 10, else 60).\n\n"
        f"{table(['from the push of a new DAG', 'seconds'], [('Airflow has it', f'{pushed:.0f}')])}\n\n"
        f"The DAG `word_count`, median of {_RUNS}:\n\n{table(['from the trigger', 'seconds'], medians)}",
    )


class _Airflow:
    """Airflow's REST API, asked from the lab's LAN."""

    def __init__(self) -> None:
        data = _get("secret", "airflow-admin", "airflow")["data"]["password"]
        self._login = f'user = "admin:{base64.b64decode(data).decode()}"\n'
        self._url = f"http://{WORKER_1.address}:{INGRESS_PORT}/api/v1"

    def ask(self, path: str, *, method: str = "GET", body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer; empty where there is nothing of that name."""
        words = ["curl", "--silent", "--config", "-", "--request", method, f"{self._url}/{path}"]
        if body is not None:
            words += ["--header", "Content-Type: application/json", "--data", json.dumps(body)]
        found: dict[str, Any] = json.loads(run_program([*in_namespace(SWITCH), *words], stdin=self._login))
        return {} if found.get("status") == 404 else found

    def start(self, dag: str) -> None:
        """Let a DAG run when it is triggered."""
        self.ask(f"dags/{dag}", method="PATCH", body={"is_paused": False})


def _get(kind: str, name: str, namespace: str) -> Any:
    return json.loads(control_plane.kubectl("get", kind, *([name] if name else []), "--namespace", namespace, "--output=json"))


def _until(what: str, found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + _LIMIT
    while not (result := found()):
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not within {_LIMIT} s")
        time.sleep(0.5)
    return result


def _push(airflow: _Airflow) -> float:
    """Seconds from the push of a new file with a DAG until Airflow has it; the file is removed again."""
    name = f"bench_{secrets.token_hex(4)}"
    text = (CHECKOUT / "examples/dags/example_hello.py").read_text().replace("example_hello", name)
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory) / "work"
        run_program(["git", "clone", "--quiet", git_server.ROOT / f"{GIT_REPOSITORY}.git", work])
        file = work / f"dags/{name}.py"
        file.write_text(text)
        _commit(work, f"{name}: to be measured")
        start = time.monotonic()
        _until(f"the DAG {name}", lambda: airflow.ask(f"dags/{name}"))
        seconds = time.monotonic() - start
        file.unlink()
        _commit(work, f"{name}: measured")
    return seconds


def _commit(work: Path, message: str) -> None:
    git: list[str | Path] = ["git", "-C", work, "-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    run_program([*git, "add", "--all"])
    run_program([*git, "commit", "--quiet", "--message", message])
    run_program([*git, "push", "--quiet", "origin", "HEAD:main"])


def _word_count(airflow: _Airflow) -> dict[str, float]:
    """Seconds from the trigger to each step."""
    before = {item["metadata"]["name"] for item in _get("sparkapplications", "", "spark-jobs")["items"]}
    start = datetime.now(timezone.utc)
    triggered = airflow.ask(f"dags/{_DAG}/dagRuns", method="POST", body={})["dag_run_id"]
    path = f"dags/{_DAG}/dagRuns/{triggered}"
    ended = _until(f"the end of {path}", lambda: (state := airflow.ask(path))["state"] in ("success", "failed") and state)
    if ended["state"] != "success":
        raise LabError(f"{path}: {ended['state']}; see the log of its task in Airflow")
    (application,) = (item for item in _get("sparkapplications", "", "spark-jobs")["items"] if item["metadata"]["name"] not in before)
    times = (
        airflow.ask(f"{path}/taskInstances/{_TASK}")["start_date"],
        application["metadata"]["creationTimestamp"],
        application["status"]["lastSubmissionAttemptTime"],
        application["status"]["terminationTime"],
        ended["end_date"],
    )
    return {step: (_time(text) - start).total_seconds() for step, text in zip(_STEPS, times)}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
