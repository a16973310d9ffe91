"""The accounts, and places to try them in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import components
from tests.platform.reality import get, kubectl, wait_for
from tests.rbac.calls import RUNNING, Caller, administrator, body, path_of
from tests.rbac.matrix import HOME, JOBS, OTHER, SYSTEM, TASKS


@pytest.fixture(scope="session")
def accounts() -> dict[str, Caller]:
    """Each account with a token of its own."""
    return {account: Caller.of(namespace, account) for account, namespace in HOME.items()}


@pytest.fixture(scope="session")
def places() -> Iterator[None]:
    """SparkApplications without an operator that would start them, a namespace of nobody, and a pod that runs in each namespace."""
    definitions = components.path("spark-operator") / "spark-operator-chart/crds"
    kubectl("apply", "--server-side", f"--filename={definitions}")
    wait_for("the kind SparkApplication", _established, 30)
    kubectl("create", "namespace", OTHER)
    for namespace in (TASKS, JOBS, OTHER, SYSTEM):
        pod = body("pods", RUNNING, nodeSelector={}, terminationGracePeriodSeconds=0)
        answer = administrator().ask("POST", path_of("pods", namespace), json=pod)
        assert answer.status_code == 201, answer.text
    for namespace in (TASKS, JOBS, OTHER, SYSTEM):
        kubectl("wait", "--namespace", namespace, "--for=condition=Ready", f"pod/{RUNNING}", "--timeout=60s")
    yield
    for namespace in (TASKS, JOBS, SYSTEM):
        kubectl("delete", "pod", RUNNING, "--namespace", namespace, "--wait=false")
    kubectl("delete", "namespace", OTHER, "--wait=false")


def _established() -> bool:
    status = get("crd", "sparkapplications.sparkoperator.k8s.io").get("status", {})
    return any(condition["type"] == "Established" for condition in status.get("conditions") or [])
