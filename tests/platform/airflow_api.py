"""Airflow's REST API, asked as its administrator from beside the cluster, by the ingress controller's NodePort."""

from __future__ import annotations

from typing import Any

import requests

from lab.settings import INGRESS_PORT, WORKER_1
from tests.platform.reality import secret, wait_for


class AirflowApi:
    """A session with the name and password that lie in the administrator's Secret."""

    def __init__(self) -> None:
        self._url = f"http://{WORKER_1.address}:{INGRESS_PORT}/api/v1"
        self._session = requests.Session()
        self._session.auth = ("admin", secret("airflow", "airflow-admin")["password"])
        self._session.trust_env = False

    def _ask(self, method: str, path: str, **options: Any) -> requests.Response:
        return self._session.request(method, f"{self._url}/{path}", timeout=30, **options)

    def has(self, dag: str) -> bool:
        """Whether Airflow has found a DAG, and not lost it again."""
        response = self._ask("GET", f"dags/{dag}")
        return response.ok and bool(response.json()["is_active"])

    def trigger(self, dag: str, **conf: str) -> str:
        """Start a DAG of the repository, once Airflow has it; return the run's name."""
        started = {"is_paused": False}
        wait_for(f"the DAG {dag}", lambda: self._ask("PATCH", f"dags/{dag}", json=started).ok, 180)
        response = self._ask("POST", f"dags/{dag}/dagRuns", json={"conf": conf})
        assert response.ok, response.text
        return str(response.json()["dag_run_id"])

    def finish(self, dag: str, run: str, seconds: float = 400) -> str:
        """Wait for the end of a run, and return how it ended."""

        def state() -> str:
            found = str(self._ask("GET", f"dags/{dag}/dagRuns/{run}").json()["state"])
            return found if found in ("success", "failed") else ""

        return str(wait_for(f"the end of {dag}", state, seconds))

    def log(self, dag: str, run: str, task: str) -> str:
        """What a task's first try said."""
        path = f"dags/{dag}/dagRuns/{run}/taskInstances/{task}/logs/1"
        response = self._ask("GET", path, params={"full_content": "true"}, headers={"Accept": "text/plain"})
        assert response.ok, response.text
        return response.text
