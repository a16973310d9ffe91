# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an object of Kubernetes is ready, and what keeps a pod from it: pure functions of what the API says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import Object

IMAGE_PATIENCE = 60
"""Seconds for which an image may fail to come before waiting is given up: registries have short troubles."""

RESTART_LIMIT = 3
"""New restarts of a crashing container after which waiting is given up."""

SETTLED_AFTER = 10.0
"""Seconds that a container must have run to count as up, where no probe says so or after it ended with an error."""


@dataclass(frozen=True)
class State:
    """Whether an object is ready."""

    ready: bool
    detail: str
    final: bool = False
    """It cannot become ready any more."""


@dataclass(frozen=True)
class Problem:
    """Something that keeps a pod from running."""

    kind: str
    """``image``, ``crash``, ``restart``, ``configuration`` or ``scheduling``."""
    container: str
    text: str
    advice: str
    restarts: int = 0

    def hopeless(self, seconds: float, new_restarts: int) -> bool:
        """Whether waiting longer is of no use, after it was seen for so long and the container restarted so often."""
        if self.kind == "image":
            return seconds >= IMAGE_PATIENCE
        return self.kind == "crash" and new_restarts >= RESTART_LIMIT


def state_of(found: Object | None, *, condition: str | None = None, bound: bool = True) -> State:
    """Say whether an object is ready: by the named condition, or by what ready means for its kind."""
    if found is None:
        return State(False, "it does not exist")
    if found.get("metadata", {}).get("deletionTimestamp") and not condition:
        return State(False, "it is being deleted")
    if condition:
        return _condition_state(found, condition)
    if found["kind"] == "PersistentVolumeClaim":
        return _claim(found, bound)
    return _KINDS.get(found["kind"], _anything)(found)


def pod_problems(pod: Object) -> list[Problem]:
    """What keeps one pod from running, most telling first."""
    status = pod.get("status", {})
    problems = []
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        problem = _container_problem(container)
        if problem:
            problems.append(problem)
    scheduled = _condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        advice = "give a node the labels, room or volume that it asks for, or change what it asks for"
        problems.append(Problem("scheduling", "", f"no node takes it: {scheduled.get('message', scheduled.get('reason'))}", advice))
    return problems


def pod_is_fine(pod: Object) -> bool:
    """Whether a pod needs no explanation."""
    phase = pod.get("status", {}).get("phase")
    return bool(phase == "Succeeded" or (phase == "Running" and _condition(pod, "Ready").get("status") == "True"))


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


def selector_of(found: Object) -> str:
    """The label selector of a workload's pods, as a query takes it; nothing for kinds without pods."""
    selector = found.get("spec", {}).get("selector")
    labels = selector.get("matchLabels") if isinstance(selector, dict) else None
    return ",".join(f"{key}={value}" for key, value in (labels or {}).items())


def _container_problem(container: Object) -> Problem | None:
    name, restarts = container["name"], container.get("restartCount", 0)
    waiting = container.get("state", {}).get("waiting") or {}
    ended = container.get("state", {}).get("terminated") or container.get("lastState", {}).get("terminated") or {}
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason in ("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"):
        text = f"the image {container.get('image')} of container {name} cannot be had ({reason}): {message}"
        return Problem("image", name, text, "check the image's name and tag, the registry and the pull secret", restarts)
    if reason in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError"):
        text = f"container {name} cannot be started ({reason}): {message}"
        return Problem("configuration", name, text, "create what it refers to, or correct the reference", restarts)
    if reason == "CrashLoopBackOff" or (ended.get("exitCode") and not container.get("ready")):
        why = f"exit code {ended.get('exitCode')}" + (f", {ended['reason']}" if ended.get("reason") not in (None, "Error") else "")
        advice = "give it more memory" if ended.get("reason") == "OOMKilled" else "read its log, and correct what it complains of"
        runs = "running" in container.get("state", {})
        text = f"container {name} {'runs again after it ended' if runs else 'ended'} with an error ({why}, {restarts} restarts)"
        return Problem("restart" if runs else "crash", name, text, advice, restarts)
    return None


def _condition(found: Object, kind: str) -> dict[str, Any]:
    conditions: Sequence[dict[str, Any]] = found.get("status", {}).get("conditions") or []
    return next((condition for condition in conditions if condition.get("type") == kind), {})


def _condition_state(found: Object, kind: str) -> State:
    condition = _condition(found, kind)
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
    failure = _condition(found, "ReplicaFailure")
    if failure.get("status") == "True":
        return State(False, f"its pods are refused: {failure.get('message')}")
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
    failed = _condition(found, "Failed")
    if failed.get("status") == "True":
        return State(False, f"it failed ({failed.get('reason')}: {failed.get('message')})", final=True)
    if _condition(found, "Complete").get("status") == "True":
        return State(True, "it is complete")
    status = found.get("status", {})
    return State(False, f"it is not complete ({status.get('active', 0)} pods active, {status.get('failed', 0)} failed)")


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
    names = _condition(found, "NamesAccepted")
    if names.get("status") == "False":
        return State(False, f"its names are taken: {names.get('message')}", final=True)
    return _condition_state(found, "Established")


def _namespace(found: Object) -> State:
    phase = found.get("status", {}).get("phase", "unknown")
    return State(phase == "Active", f"it is {phase.lower()}")


def _anything(found: Object) -> State:
    for kind in ("Ready", "Available"):
        if _condition(found, kind):
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
