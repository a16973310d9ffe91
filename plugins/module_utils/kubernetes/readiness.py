# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an object of Kubernetes is ready, and what it is at: pure functions of what the API says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import Object

SETTLED_AFTER = 10.0
"""Seconds that a container must have run to count as up, where no probe says so or after it ended with an error."""


@dataclass(frozen=True)
class State:
    """Whether an object is ready."""

    ready: bool
    detail: str
    final: bool = False
    """It cannot become ready any more."""
    absent: bool = False
    """It does not exist."""


def state_of(found: Object | None, *, condition: str | None = None, bound: bool = True) -> State:
    """Say whether an object is ready: by the named condition, or by what ready means for its kind."""
    if found is None:
        return State(False, "it does not exist", absent=True)
    if found.get("metadata", {}).get("deletionTimestamp") and not condition:
        return State(False, "it is being deleted")
    if condition:
        return _condition_state(found, condition)
    if found["kind"] == "PersistentVolumeClaim":
        return _claim(found, bound)
    return _KINDS.get(found["kind"], _anything)(found)


def pod_is_fine(pod: Object) -> bool:
    """Whether a pod needs no explanation."""
    phase = pod.get("status", {}).get("phase")
    return bool(phase == "Succeeded" or (phase == "Running" and condition_of(pod, "Ready").get("status") == "True"))


def unsettled(pod: Object, now: datetime) -> str:
    """Say which container of a ready pod may be up for a moment only; nothing when there is none.

    Kubernetes calls a container without a probe ready as soon as it is started, so that one in a crash loop is ready now and then.
    """
    probed = {container["name"] for container in pod["spec"]["containers"] if {"readinessProbe", "startupProbe"} & container.keys()}
    for container in pod.get("status", {}).get("containerStatuses", []):
        started = (container.get("state", {}).get("running") or {}).get("startedAt")
        ended = container.get("lastState", {}).get("terminated") or {}
        if not started or (container["name"] in probed and not ended.get("exitCode")):
            continue
        seconds = (now - datetime.strptime(started, "%Y-%m-%dT%H:%M:%S%z")).total_seconds()
        if seconds < SETTLED_AFTER:
            return f"container {container['name']} of pod {pod['metadata']['name']} was started a moment ago"
    return ""


def pod_doing(pod: Object) -> str:
    """What a pod is at, in a few words, as kubectl says it: ``Init:1/2 wait-for-airflow-migrations``."""
    status, spec = pod.get("status", {}), pod.get("spec", {})
    before = status.get("initContainerStatuses", [])
    for number, container in enumerate(before):
        ended = container.get("state", {}).get("terminated") or {}
        sidecar = container.get("started") and "running" in container.get("state", {})
        if ended.get("exitCode") == 0 or (sidecar and container["name"] in _sidecars(spec)):
            continue
        waiting = (container.get("state", {}).get("waiting") or {}).get("reason")
        why = f" ({waiting})" if waiting and waiting != "PodInitializing" else ""
        return f"Init:{number}/{len(before)} {container['name']}{why}"
    for container in status.get("containerStatuses", []):
        waiting = (container.get("state", {}).get("waiting") or {}).get("reason")
        if waiting:
            return f"{waiting} {container['name']}"
    if status.get("phase") == "Running":
        late = [container["name"] for container in status.get("containerStatuses", []) if not container.get("ready")]
        return f"Running, {' and '.join(late)} not ready yet" if late else "Running"
    return str(status.get("phase", "Pending"))


def selector_of(found: Object) -> str:
    """The label selector of a workload's pods, as a query takes it; nothing for kinds without pods."""
    selector = found.get("spec", {}).get("selector")
    labels = selector.get("matchLabels") if isinstance(selector, dict) else None
    return ",".join(f"{key}={value}" for key, value in (labels or {}).items())


def _sidecars(spec: Object) -> set[str]:
    """Containers that start before the others and stay."""
    return {container["name"] for container in spec.get("initContainers", []) if container.get("restartPolicy") == "Always"}


def condition_of(found: Object, kind: str) -> dict[str, Any]:
    """A condition of an object, empty where it has none."""
    conditions: Sequence[dict[str, Any]] = found.get("status", {}).get("conditions") or []
    return next((condition for condition in conditions if condition.get("type") == kind), {})


def _condition_state(found: Object, kind: str) -> State:
    condition = condition_of(found, kind)
    if condition.get("status") == "True":
        return State(True, f"condition {kind} is true")
    said = ": ".join(filter(None, (condition.get("reason"), condition.get("message"))))
    return State(False, f"condition {kind} is {condition.get('status', 'not set')}" + (f" ({said})" if said else ""))


def _observed(found: Object) -> bool:
    return bool(found.get("status", {}).get("observedGeneration", 0) >= found["metadata"].get("generation", 0))


def _deployment(found: Object) -> State:
    status, wanted = found.get("status", {}), found["spec"].get("replicas", 1)
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if not _observed(found):
        return State(False, "its latest change has not been picked up")
    ready = updated >= wanted and available >= wanted and status.get("replicas", 0) <= updated
    return State(ready, f"{min(updated, available)} of {wanted} pods available")


def _stateful_set(found: Object) -> State:
    status, wanted = found.get("status", {}), found["spec"].get("replicas", 1)
    ready, updated = status.get("readyReplicas", 0), status.get("updatedReplicas", 0)
    if not _observed(found):
        return State(False, "its latest change has not been picked up")
    if found["spec"].get("updateStrategy", {}).get("type") == "OnDelete":
        return State(ready >= wanted, f"{ready} of {wanted} pods ready")
    current = wanted == 0 or status.get("currentRevision") == status.get("updateRevision")
    # After a roll-out the controller drops updatedReplicas and makes the revisions equal.
    done = ready >= wanted and (updated >= wanted or current)
    return State(done, f"{ready if current else min(ready, updated)} of {wanted} pods ready")


def _daemon_set(found: Object) -> State:
    status = found.get("status", {})
    wanted = status.get("desiredNumberScheduled", 0)
    available = min(status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0))
    if not _observed(found):
        return State(False, "its latest change has not been picked up")
    return State(available >= wanted, f"{available} of {wanted} pods available")


def _job(found: Object) -> State:
    failed = condition_of(found, "Failed")
    if failed.get("status") == "True":
        return State(False, f"it failed ({failed.get('reason')}: {failed.get('message')})", final=True)
    if condition_of(found, "Complete").get("status") == "True":
        return State(True, "it is complete")
    status = found.get("status", {})
    return State(False, f"it is not complete (pods: {status.get('active', 0)} active, {status.get('failed', 0)} failed)")


def _claim(found: Object, bound: bool) -> State:
    phase = found.get("status", {}).get("phase", "Pending")
    if phase == "Bound":
        return State(True, f"it is bound to {found['spec'].get('volumeName')}")
    if phase == "Lost":
        return State(False, f"its volume {found['spec'].get('volumeName')} is gone", final=True)
    return State(not bound, f"it is {phase.lower()} (storage class {found['spec'].get('storageClassName') or 'none'})")


def _pod(found: Object) -> State:
    status = found.get("status", {})
    if status.get("phase") == "Failed":
        return State(False, f"it failed ({status.get('reason') or 'a container ended with an error'})", final=True)
    return State(pod_is_fine(found), f"it is {str(status.get('phase', 'Pending')).lower()}")


def _definition(found: Object) -> State:
    names = condition_of(found, "NamesAccepted")
    if names.get("status") == "False":
        return State(False, f"its names are taken: {names.get('message')}", final=True)
    return _condition_state(found, "Established")


def _namespace(found: Object) -> State:
    phase = found.get("status", {}).get("phase", "unknown")
    return State(phase == "Active", f"it is {phase.lower()}")


def _anything(found: Object) -> State:
    for kind in ("Ready", "Available"):
        if condition_of(found, kind):
            return _condition_state(found, kind)
    return State(True, "it exists")


_KINDS: dict[str, Callable[[Object], State]] = {
    "CustomResourceDefinition": _definition,
    "DaemonSet": _daemon_set,
    "Deployment": _deployment,
    "Job": _job,
    "Namespace": _namespace,
    "Pod": _pod,
    "StatefulSet": _stateful_set,
}
