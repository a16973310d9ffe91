"""Airflow 3, once it is there, in other forms than the inventory has it: Celery, and its page below a path of a host of one's own."""

from __future__ import annotations

import json
from pathlib import Path

from lab.certificates import Authority
from lab.settings import INGRESS_PORT, WORKER_1
from tests import own_host
from tests.own_host import AIRFLOW_PATH, HOST
from tests.pages import chromium
from tests.platform.reality import secret
from tests.playbook import changed
from tests.upgrade.conftest import UpgradedSite, run_dag, sql

ADDRESS = f"https://{HOST}:{INGRESS_PORT}{AIRFLOW_PATH}/"
CELERY = {"airflow_executor": "CeleryExecutor", "airflow_celery": {"workers": 1, "concurrency": 2}}


def test_celery_runs_tasks_and_one_logs_in_below_a_path_of_ones_own_host(site: UpgradedSite, tmp_path: Path) -> None:
    pair = Authority(tmp_path, "pages").create().issue("data", HOST, names=[HOST])
    own_host.put_certificate(pair, "airflow")
    declared = json.dumps({**CELERY, **own_host.declaration(INGRESS_PORT)})
    site.wants("3.2.2")
    words = ("playbooks/site.yml", "--tags", "ingress_controller,airflow", "--extra-vars", declared)
    changed(site.play(*words))
    assert not any(changed(site.play(*words)).values())

    # The workers find the API that they report to below the path, too.
    dag_run = run_dag()
    (worker,) = sql(f"select hostname from task_instance where run_id = '{dag_run}'")
    assert worker.startswith("airflow-worker-")

    with chromium.running((), *own_host.browser_options(pair, WORKER_1.address)) as browser:
        page = browser.page()
        page.open(ADDRESS)
        page.submit(username="admin", password=secret("airflow", "airflow-admin")["password"])
        assert page.url == ADDRESS
        answers = {answer.url.removeprefix(ADDRESS): answer.status for answer in page.answers}
        assert answers["ui/auth/me"] == 200
        assert {status for url, status in answers.items() if url.startswith("static/")} == {200}
