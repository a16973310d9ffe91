"""What ready means for each kind, and what keeps a pod from running."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.readiness import (
    SETTLED_AFTER,
    pod_doing,
    selector_of,
    state_of,
    unsettled,
)

CASES = """
- [Deployment, {replicas: 1}, {observedGeneration: 1, updatedReplicas: 1, availableReplicas: 1}, false, picked up]
- [Deployment, {replicas: 1}, {replicas: 1, updatedReplicas: 1, availableReplicas: 1}, true, 1 of 1]
- [Deployment, {replicas: 1}, {replicas: 2, updatedReplicas: 1, availableReplicas: 1}, false, 1 of 1]
- [Deployment, {replicas: 2}, {replicas: 2, updatedReplicas: 2, availableReplicas: 1}, false, 1 of 2]
- [Deployment, {replicas: 0}, {}, true, 0 of 0]
- [StatefulSet, {replicas: 1}, {readyReplicas: 1, currentRevision: a, updateRevision: a}, true, 1 of 1]
- [StatefulSet, {replicas: 1}, {readyReplicas: 1, currentRevision: a, updateRevision: b}, false, 0 of 1]
- [StatefulSet, {replicas: 1}, {readyReplicas: 1, updatedReplicas: 1, currentRevision: a, updateRevision: b}, true, 1 of 1]
- [StatefulSet, {replicas: 1}, {observedGeneration: 1}, false, picked up]
- [DaemonSet, {}, {desiredNumberScheduled: 2, updatedNumberScheduled: 2, numberAvailable: 1}, false, 1 of 2]
- [DaemonSet, {}, {desiredNumberScheduled: 2, updatedNumberScheduled: 2, numberAvailable: 2}, true, 2 of 2]
- [Job, {}, {active: 1}, false, not complete]
- [Job, {}, {conditions: [{type: Complete, status: "True"}]}, true, complete]
- [PersistentVolumeClaim, {volumeName: pv}, {phase: Bound}, true, bound to pv]
- [PersistentVolumeClaim, {storageClassName: static-local}, {phase: Pending}, false, storage class static-local]
- [Pod, {}, {phase: Running, conditions: [{type: Ready, status: "True"}]}, true, running]
- [Pod, {}, {phase: Running, conditions: [{type: Ready, status: "False"}]}, false, running]
- [Pod, {}, {phase: Succeeded}, true, succeeded]
- [CustomResourceDefinition, {}, {conditions: [{type: Established, status: "True"}]}, true, Established]
- [CustomResourceDefinition, {}, {}, false, Established is not set]
- [Namespace, {}, {phase: Active}, true, active]
- [Namespace, {}, {phase: Terminating}, false, terminating]
- [ConfigMap, {}, {}, true, exists]
- [Certificate, {}, {conditions: [{type: Ready, status: "False", reason: Issuing, message: soon}]}, false, "Ready is False (Issuing: soon)"]
"""


def found(kind: str, metadata: dict[str, Any], spec: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": "it", **metadata}, "spec": spec, "status": status}


@pytest.mark.parametrize(("kind", "spec", "status", "ready", "detail"), yaml.safe_load(CASES))
def test_states(kind: str, spec: dict[str, Any], status: dict[str, Any], ready: bool, detail: str) -> None:
    state = state_of(found(kind, {"generation": 2}, spec, {"observedGeneration": 2, **status}))
    assert (state.ready, state.final) == (ready, False)
    assert detail in state.detail


@pytest.mark.parametrize(
    ("kind", "status", "detail"),
    [
        (
            "Job",
            {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "m"}]},
            "BackoffLimitExceeded: m",
        ),
        ("Pod", {"phase": "Failed", "reason": "Evicted"}, "Evicted"),
        ("PersistentVolumeClaim", {"phase": "Lost"}, "is gone"),
        ("CustomResourceDefinition", {"conditions": [{"type": "NamesAccepted", "status": "False", "message": "taken"}]}, "taken"),
    ],
)
def test_states_that_do_not_mend(kind: str, status: dict[str, Any], detail: str) -> None:
    state = state_of(found(kind, {}, {}, status))
    assert (state.ready, state.final) == (False, True)
    assert detail in state.detail


def test_absent_going_condition_and_unbound() -> None:
    assert state_of(None).detail == "it does not exist"
    assert not state_of(found("Namespace", {"deletionTimestamp": "now"}, {}, {"phase": "Active"})).ready
    pending = found("PersistentVolumeClaim", {}, {}, {"phase": "Pending"})
    assert state_of(pending, bound=False).ready
    done = found("Job", {}, {}, {"conditions": [{"type": "Suspended", "status": "True"}]})
    assert state_of(done, condition="Suspended").ready
    assert not state_of(done, condition="Complete").ready


@pytest.mark.parametrize(
    ("status", "doing"),
    [
        ({}, "Pending"),
        ({"phase": "Running", "containerStatuses": [{"name": "web", "state": {"running": {}}}]}, "Running, web not ready yet"),
        ({"containerStatuses": [{"name": "web", "state": {"waiting": {"reason": "ContainerCreating"}}}]}, "ContainerCreating web"),
        (
            {
                "initContainerStatuses": [
                    {"name": "sync", "started": True, "state": {"running": {}}},
                    {"name": "copy", "state": {"terminated": {"exitCode": 0}}},
                    {"name": "wait-for-airflow-migrations", "state": {"running": {}}},
                ]
            },
            "Init:2/3 wait-for-airflow-migrations",
        ),
        ({"initContainerStatuses": [{"name": "copy", "state": {"waiting": {"reason": "ErrImagePull"}}}]}, "Init:0/1 copy (ErrImagePull)"),
    ],
)
def test_what_a_pod_is_at(status: dict[str, Any], doing: str) -> None:
    assert pod_doing({"spec": {"initContainers": [{"name": "sync", "restartPolicy": "Always"}]}, "status": status}) == doing


def test_selectors() -> None:
    assert selector_of({"spec": {"selector": {"matchLabels": {"a": "1", "b": "2"}}}}) == "a=1,b=2"
    assert selector_of({"spec": {}}) == ""


@pytest.mark.parametrize(
    ("probe", "status", "moment"),
    [
        ({}, {}, True),
        ({"readinessProbe": {}}, {}, False),
        ({"startupProbe": {}}, {}, False),
        ({"readinessProbe": {}}, {"lastState": {"terminated": {"exitCode": 1}}}, True),
        ({"readinessProbe": {}}, {"lastState": {"terminated": {"exitCode": 0}}}, False),
    ],
)
def test_a_container_that_may_be_up_for_a_moment_only(probe: dict[str, Any], status: dict[str, Any], moment: bool) -> None:
    running = {"name": "main", "state": {"running": {"startedAt": "2026-01-01T12:00:00Z"}}, **status}
    pod = {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "main", **probe}]}, "status": {"containerStatuses": [running]}}
    start = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
    assert bool(unsettled(pod, start + timedelta(seconds=5))) is moment
    assert unsettled(pod, start + timedelta(seconds=SETTLED_AFTER)) == ""
