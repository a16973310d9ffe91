"""What the commanding account may do, tried as that account."""

from __future__ import annotations

import pytest

from lab.shell import LabError
from tests.platform.reality import kubectl

AIRFLOW = "system:serviceaccount:airflow:airflow-sa"


@pytest.mark.parametrize(
    "words",
    [
        ("get", "pods", "--namespace", "airflow"),
        ("get", "pods", "--namespace", "spark-jobs"),
        ("get", "sparkapplications", "--namespace", "spark-jobs"),
        ("create", "--dry-run=server", "--namespace", "airflow", "-f", "-"),
    ],
)
def test_allowed(words: tuple[str, ...]) -> None:
    kubectl(*words, identity=AIRFLOW, stdin=_POD)


@pytest.mark.parametrize(
    "words",
    [
        ("get", "secrets", "--namespace", "airflow"),
        ("get", "pods", "--namespace", "kube-system"),
        ("get", "nodes"),
        ("get", "sparkapplications", "--namespace", "default"),
        ("create", "--dry-run=server", "--namespace", "kube-system", "-f", "-"),
        ("create", "namespace", "elsewhere", "--dry-run=server"),
        ("create", "clusterrole", "all", "--verb=*", "--resource=*", "--dry-run=server"),
        ("delete", "statefulset", "postgresql", "--namespace", "airflow", "--dry-run=server"),
    ],
)
def test_denied(words: tuple[str, ...]) -> None:
    with pytest.raises(LabError, match="forbidden"):
        kubectl(*words, identity=AIRFLOW, stdin=_POD)


_POD = """
apiVersion: v1
kind: Pod
metadata: {name: check}
spec: {containers: [{name: check, image: "registry.k8s.io/pause:3.10"}]}
"""
