# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for objects of a cluster, and finding out why they do not become ready."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import (
    CLUSTER_WIDE,
    ApiError,
    Client,
    KubernetesError,
    Object,
)
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.readiness import (
    Problem,
    State,
    pod_is_fine,
    pod_problems,
    selector_of,
    state_of,
    unsettled,
)

API_VERSIONS = {
    "CustomResourceDefinition": "apiextensions.k8s.io/v1",
    "DaemonSet": "apps/v1",
    "Deployment": "apps/v1",
    "Job": "batch/v1",
    "Namespace": "v1",
    "PersistentVolumeClaim": "v1",
    "Pod": "v1",
    "StatefulSet": "apps/v1",
}

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 4.0
LOG_LINES, EVENTS = 8, 3
LOG_IS_GONE = "unable to retrieve container logs"
"""The kubelet's answer, with status 200, when the container that ran before has been removed."""


@dataclass(frozen=True)
class Resource:
    """One object to wait for."""

    kind: str
    name: str
    namespace: str | None = None
    api_version: str = ""
    condition: str | None = None
    bound: bool = True

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace + '/' if self.namespace else ''}{self.name}"


@dataclass(frozen=True)
class Status:
    """What the last look at an object showed."""

    resource: Resource
    state: State
    hopeless: bool = False

    def as_result(self) -> dict[str, Any]:
        """The entry of the module's result."""
        names = {"kind": self.resource.kind, "name": self.resource.name, "namespace": self.resource.namespace}
        return {**names, "ready": self.state.ready, "detail": self.state.detail}


def parse(options: Mapping[str, Any]) -> Resource:
    """Read one entry of the module's option ``resources``."""
    api_version = options["api_version"] or API_VERSIONS.get(options["kind"])
    resource = Resource(options["kind"], options["name"], options["namespace"], api_version or "", options["condition"], options["bound"])
    if not api_version:
        raise KubernetesError(f"{resource}: the API version of this kind is not known here; set api_version.")
    if options["kind"] in API_VERSIONS and options["kind"] not in CLUSTER_WIDE and not options["namespace"]:
        raise KubernetesError(f"{resource}: this kind lives in a namespace; set namespace.")
    return resource


class Waiter:
    """Looks at objects over and over until they are ready."""

    def __init__(self, client: Client, resources: Sequence[Resource], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._resources = resources
        self._clock = clock
        self._first_look = True
        self._since: dict[tuple[str, ...], float] = {}
        self._restarts_before: dict[tuple[str, ...], int] = {}

    def wait(self, timeout: float) -> list[Status]:
        """Return when everything is ready, when something cannot become ready any more, or when time is up."""
        deadline = self._clock() + timeout
        pause = FIRST_PAUSE
        while True:
            statuses, error = self._try_look()
            done = bool(statuses) and (all(status.state.ready for status in statuses) or any(status.hopeless for status in statuses))
            if done:
                return statuses
            remaining = deadline - self._clock()
            if remaining <= 0:
                if error:
                    raise error
                return statuses
            time.sleep(min(pause, remaining))
            pause = min(pause * 1.5, LONGEST_PAUSE)

    def look(self) -> list[Status]:
        """Look once at every object."""
        statuses = [self._status(resource) for resource in self._resources]
        self._first_look = False
        return statuses

    def explain(self, status: Status) -> list[str]:
        """One line for each cause that keeps an object from being ready, with what can be done."""
        resource = status.resource
        head = f"{resource}: {status.state.detail}"
        found = self._get(resource)
        causes = [f"{head}. {cause}" for pod in self._troubled_pods(found) for cause in self._pod_causes(pod)] if found else []
        if not causes:
            events = self._events(resource.kind, resource.name, resource.namespace)
            said = f". Events: {'; '.join(events)}" if events else ""
            causes = [f"{head}{said}. What to do: {_advice(resource, found)}."]
        return causes

    def _try_look(self) -> tuple[list[Status], KubernetesError | None]:
        try:
            return self.look(), None
        except ApiError as error:
            if error.status in (401, 403):
                raise
            return [], error
        except KubernetesError as error:
            # The API itself may be restarting.
            return [], error

    def _status(self, resource: Resource) -> Status:
        found = self._get(resource)
        state = state_of(found, condition=resource.condition, bound=resource.bound)
        if state.ready and found is not None:
            return Status(resource, self._settled(found, state))
        if state.final or found is None:
            return Status(resource, state, hopeless=state.final)
        hopeless = [self._is_hopeless(pod, problem) for pod in self._troubled_pods(found) for problem in pod_problems(pod)]
        return Status(resource, state, hopeless=any(hopeless))

    def _is_hopeless(self, pod: Object, problem: Problem) -> bool:
        key = (pod["metadata"]["uid"], problem.container, problem.kind)
        since = self._since.setdefault(key, self._clock())
        # Restarts from before this wait may have had a cause that is gone; those of pods that came later all count.
        before = self._restarts_before.setdefault(key, problem.restarts if self._first_look else 0)
        return problem.hopeless(self._clock() - since, problem.restarts - before)

    def _get(self, resource: Resource) -> Object | None:
        try:
            return self._client.get(self._client.path(resource.api_version, resource.kind, resource.namespace, resource.name))
        except ApiError as error:
            if error.status == 404:
                # The kind itself is not there yet.
                return None
            raise

    def _settled(self, found: Object, state: State) -> State:
        now = datetime.now(timezone.utc)
        reasons = (unsettled(pod, now) for pod in self._pods(found) if pod.get("status", {}).get("phase") == "Running")
        reason = next(filter(None, reasons), "")
        return State(False, f"{state.detail}, but {reason}") if reason else state

    def _troubled_pods(self, found: Object) -> Iterator[Object]:
        """Pods of the workload's current revision that are not fine."""
        return (pod for pod in self._pods(found) if not pod_is_fine(pod))

    def _pods(self, found: Object) -> Iterator[Object]:
        """Pods of the workload's current revision."""
        if found["kind"] == "Pod":
            yield found
            return
        selector = selector_of(found)
        namespace = found["metadata"].get("namespace")
        if not selector or not namespace:
            return
        owners = self._owners(found, namespace, selector)
        pods = self._client.get(self._client.path("v1", "Pod", namespace), labelSelector=selector) or {}
        for pod in pods.get("items", []):
            owned = any(owner["uid"] in owners for owner in pod["metadata"].get("ownerReferences", []))
            if owned and not pod["metadata"].get("deletionTimestamp"):
                yield pod

    def _owners(self, found: Object, namespace: str, selector: str) -> set[str]:
        """The uid of what owns the pods: the workload, or a Deployment's newest ReplicaSet."""
        if found["kind"] != "Deployment":
            return {found["metadata"]["uid"]}
        revision = "deployment.kubernetes.io/revision"
        wanted = found["metadata"].get("annotations", {}).get(revision)
        sets = self._client.get(f"/apis/apps/v1/namespaces/{namespace}/replicasets", labelSelector=selector) or {}
        items = sets.get("items", [])
        return {item["metadata"]["uid"] for item in items if item["metadata"].get("annotations", {}).get(revision) == wanted}

    def _pod_causes(self, pod: Object) -> Iterator[str]:
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        problems = pod_problems(pod)
        for problem in problems:
            log = self._log(namespace, name, problem.container) if problem.kind in ("crash", "restart") else ""
            yield f"Pod {name}: {problem.text}.{log} What to do: {problem.advice}."
        if not problems:
            events = self._events("Pod", name, namespace)
            phase = pod.get("status", {}).get("phase", "Pending")
            said = f" Events: {'; '.join(events)}." if events else ""
            advice = f"wait longer, or look at it with kubectl describe pod -n {namespace} {name}"
            yield f"Pod {name}: {phase}, not ready.{said} What to do: {advice}."

    def _log(self, namespace: str, pod: str, container: str) -> str:
        path = f"{self._client.path('v1', 'Pod', namespace, pod)}/log"
        for previous in ("true", "false"):
            try:
                text = self._client.text(path, container=container, tailLines=LOG_LINES, previous=previous).strip()
            except KubernetesError:
                continue
            if text and not text.startswith(LOG_IS_GONE):
                return f" Last lines of its log: {' | '.join(line.strip() for line in text.splitlines())}."
        return ""

    def _events(self, kind: str, name: str, namespace: str | None) -> list[str]:
        """The newest warnings about an object."""
        path = f"/api/v1/namespaces/{namespace}/events" if namespace else "/api/v1/events"
        selector = f"involvedObject.kind={kind},involvedObject.name={name},type=Warning"
        try:
            found = self._client.get(path, fieldSelector=selector) or {}
        except KubernetesError:
            return []
        events = sorted(found.get("items", []), key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
        return [f"{event.get('reason')}: {event.get('message', '').strip()}" for event in events[-EVENTS:]]


def _advice(resource: Resource, found: Object | None) -> str:
    if resource.kind == "PersistentVolumeClaim":
        if found is None:
            return "declare the volume in data_disks and run the role static_volume, or create the claim"
        return "check that its PersistentVolume exists and its node is there (role static_volume), or that its class has a provisioner"
    if found is None:
        return "check that what creates it was run, and the name"
    if resource.kind == "Job":
        log = f"kubectl logs -n {resource.namespace} job/{resource.name}"
        return f"read the log of its pods ({log}), then delete the Job so that it is made again"
    place = f"-n {resource.namespace} " if resource.namespace else ""
    return f"wait longer, or look at it with kubectl describe {place}{resource.kind.lower()} {resource.name}"
