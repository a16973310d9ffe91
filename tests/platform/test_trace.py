"""What the programs of the platform ask of the object store in a pipeline run, held against the matrix of what they may."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest
import yaml

from lab import components, object_store, secret_store
from lab.settings import CHECKOUT
from tests.object_store.calls import Account
from tests.object_store.matrix import ALLOWED, WITHOUT_A_RUN
from tests.object_store.trace import Trace, traced
from tests.platform import pipeline
from tests.platform.reality import get, kubectl, wait_for

APPLICATIONS = "/api/v1/namespaces/spark-history/services/spark-history-server:18080/proxy/api/v1/applications"


@pytest.fixture(scope="module")
def trace() -> Iterator[Trace]:
    """The calls of one run of everything: a task and its log, an application and its event log, the page of both."""
    root = Account(object_store.ROOT_USER, secret_store.password("minio-root-password"))
    with traced(root) as calls:
        run = pipeline.run_dag()
        assert "Hello from" in pipeline.task_log(run)
        application = f"count-{uuid.uuid4().hex[:8]}"
        _run_application(application)
        # A new pod, so that its start is in the trace too.
        kubectl("rollout", "restart", "--namespace", "spark-history", "deployment/spark-history-server")
        kubectl("rollout", "status", "--namespace", "spark-history", "deployment/spark-history-server", "--timeout=240s")
        wait_for("the application in the History Server", lambda: application in kubectl("get", "--raw", APPLICATIONS), 120)
        yield calls


def _run_application(name: str) -> None:
    """The example, with the lab's image, under a name of its own."""
    script, application = yaml.safe_load_all((CHECKOUT / "examples/spark-s3a.yaml").read_text())
    application["metadata"]["name"] = name
    application["spec"]["image"] = (components.path("image-spark-s3a") / "name").read_text().strip()
    kubectl("apply", "--filename=-", stdin=json.dumps(script))
    kubectl("create", "--filename=-", stdin=json.dumps(application), identity=pipeline.AIRFLOW_ACCOUNT)

    def ended() -> str:
        state: str = (
            get("sparkapplication", "--namespace", "spark-jobs", name).get("status", {}).get("applicationState", {}).get("state", "")
        )
        return state if state in ("COMPLETED", "FAILED", "SUBMISSION_FAILED") else ""

    state = wait_for(f"the end of the SparkApplication {name}", ended, 300)
    log = kubectl("logs", "--namespace", "spark-jobs", f"{name}-driver")
    assert (state, "the most frequent word is 'to'" in log) == ("COMPLETED", True), log
    kubectl("delete", "sparkapplication", "--namespace", "spark-jobs", name)


def test_nothing_that_a_program_asked_for_was_refused(trace: Trace) -> None:
    assert [call for call in trace.calls if call.status in (401, 403)] == []


def test_the_matrix_allows_what_a_run_needs_and_nothing_else(trace: Trace) -> None:
    seen = {call.cell for call in trace.calls}
    assert seen - set(ALLOWED) == set(), "the matrix lacks what the programs do"
    assert set(ALLOWED) - seen == set(WITHOUT_A_RUN), "the matrix allows what no program does, or gives a reason for what one does"
