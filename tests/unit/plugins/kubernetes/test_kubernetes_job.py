"""The module kubernetes_job against a real apiserver, whose Jobs get the status that controllers would write."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import Object
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.job import result_in

from .conftest import Api


def definition(namespace: str) -> Object:
    container = {"name": "app", "image": "app:1"}
    return {
        "metadata": {"name": "ask", "namespace": namespace},
        "spec": {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    }


def end_with(api: Api, namespace: str, outcome: str, **why: str) -> threading.Thread:
    """Give the Job its end as soon as it is there, as its controller does."""
    client = api.client
    path = client.path("batch/v1", "Job", namespace, "ask")

    def write() -> None:
        while client.get(path) is None:
            time.sleep(0.1)
        api.end_job(namespace, "ask", outcome, **why)

    thread = threading.Thread(target=write)
    thread.start()
    return thread


def run(api: Api, namespace: str, check: bool = False, **options: Any) -> dict[str, Any]:
    return api.run_module("kubernetes_job", definition=definition(namespace), check=check, **options)


def test_a_job_that_completes_is_removed(api: Api) -> None:
    namespace, client = api.namespace(), api.client
    thread = end_with(api, namespace, "Complete")
    done = run(api, namespace, timeout=30)
    thread.join()
    assert done["changed"] is True
    assert done["result"] == {}
    left = client.get(client.path("batch/v1", "Job", namespace, "ask"))
    assert left is None or left["metadata"]["deletionTimestamp"]


def test_a_job_that_fails_says_so_and_stays(api: Api) -> None:
    namespace, client = api.namespace(), api.client
    thread = end_with(api, namespace, "Failed", reason="BackoffLimitExceeded", message="Job has reached the specified backoff limit")
    failed = run(api, namespace, timeout=30)
    thread.join()
    assert failed["failed"] is True
    assert f"Job {namespace}/ask: it failed (BackoffLimitExceeded" in failed["msg"]
    left = client.get(client.path("batch/v1", "Job", namespace, "ask"))
    assert left is not None
    assert "deletionTimestamp" not in left["metadata"]


def test_check_mode_runs_nothing(api: Api) -> None:
    namespace, client = api.namespace(), api.client
    foretold = run(api, namespace, check=True)
    assert (foretold["changed"], foretold["result"]) == (True, {})
    assert client.get(client.path("batch/v1", "Job", namespace, "ask")) is None


def test_a_definition_without_a_namespace_is_refused(api: Api) -> None:
    failed = api.run_module("kubernetes_job", definition={"metadata": {"name": "ask"}, "spec": {"template": {}}})
    assert failed["msg"] == "The definition of a Job wants metadata.name, metadata.namespace and spec."


@pytest.mark.parametrize(
    ("log", "result"),
    [
        ("", None),
        ("starting\ndone\n", None),
        ('starting\n{"state": "older"}\n', {"state": "older"}),
        ('{"first": 1}\n{"second": 2}\na warning after it\n', {"second": 2}),
        ('{"whole": 1}\n{"cut off', {"whole": 1}),
        ("[1, 2]\n", None),
    ],
)
def test_the_result_is_the_last_line_that_is_an_object(log: str, result: dict[str, Any] | None) -> None:
    assert result_in(log) == result
