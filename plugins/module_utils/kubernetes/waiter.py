# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for objects of a cluster, with what keeps them from becoming ready."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.causes import Cause, ended, one_line
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import (
    CLUSTER_WIDE,
    ApiError,
    Client,
    KubernetesError,
    Object,
)
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.diagnosis import Diagnosis
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.readiness import (
    State,
    pod_doing,
    pod_is_fine,
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
    causes: tuple[Cause, ...] = ()
    doing: str = ""
    """What its pods are at, where nothing is wrong with them."""
    hopeless: bool = False

    def as_result(self) -> dict[str, Any]:
        """The entry of the module's result."""
        names = {"kind": self.resource.kind, "name": self.resource.name, "namespace": self.resource.namespace}
        return {**names, "ready": self.state.ready, "detail": self.state.detail}

    def as_progress(self) -> dict[str, str]:
        """What is not ready yet, and why, for those who look on."""
        why = " ".join(self.line(cause) for cause in self.causes) or self.doing
        return {"object": str(self.resource), "state": one_line(self.state.detail), "why": why}

    def line(self, cause: Cause, more: str = "") -> str:
        """One of its causes, without the object's own name."""
        text = self._again(cause).line(more)
        own = f"{self.resource}: "
        return text[len(own)].upper() + text[len(own) + 1 :] if text.startswith(own) else text

    def _again(self, cause: Cause) -> Cause:
        """A cause with what it takes besides: a Job that failed does not run again."""
        if self.resource.kind != "Job" or not self.state.final:
            return cause
        delete = f"kubectl delete job -n {self.resource.namespace} {self.resource.name}"
        return replace(cause, remedy=f"{cause.remedy}; then run this again, after {delete} if the Job is still there")


@dataclass
class Memory:
    """What a wait knows of the looks before, so that another process can go on with it."""

    waited: float = 0.0
    """Seconds since the wait began."""
    first_seen: dict[str, float] = field(default_factory=dict)
    """When each trouble was first seen, in seconds since the wait began."""
    restarts: dict[str, int] = field(default_factory=dict)
    """How often a container had been started again before the wait."""
    looked: bool = False
    """Whether there has been a look."""


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

    def __init__(
        self, client: Client, resources: Sequence[Resource], memory: Memory | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._resources = resources
        self.memory = memory or Memory()
        self._clock = clock
        self._began = clock() - self.memory.waited
        self._diagnosis = Diagnosis(client)

    @property
    def waited(self) -> float:
        """Seconds since the wait began."""
        return self._clock() - self._began

    def wait(self, until: float) -> tuple[list[Status], KubernetesError | None]:
        """Return when everything is ready, when something cannot become ready any more, or so many seconds after the wait began.

        In place of statuses there may be the error of an API that does not answer.
        """
        pause = FIRST_PAUSE
        while True:
            statuses, error = self._try_look()
            remaining = until - self.waited
            if finished(statuses) or remaining <= 0:
                self.memory.waited = self.waited
                return statuses, error
            time.sleep(min(pause, remaining))
            pause = min(pause * 1.5, LONGEST_PAUSE)

    def look(self) -> list[Status]:
        """Look once at every object."""
        self._diagnosis = Diagnosis(self._client)
        statuses = [self._status(resource) for resource in self._resources]
        self.memory.looked = True
        return statuses

    def explain(self, status: Status) -> list[str]:
        """One line for each cause that keeps an object from being ready, with what can be done."""
        resource = status.resource
        head = f"{resource}: {one_line(status.state.detail)}"
        if status.causes:
            return [f"{head}. {status.line(cause, self._log(resource, cause))}" for cause in status.causes]
        events = self._diagnosis.warnings(resource.kind, resource.name, resource.namespace)
        said = "; ".join(one_line(f"{event.get('reason')}: {event.get('message', '')}") for event in events)
        now = f" ({status.doing})" if status.doing else ""
        return [f"{head}{now}. {f'Events: {ended(said)} ' if said else ''}What to do: {_advice(resource, status.state)}."]

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
        if found is not None and not self.memory.looked:
            self._remember_restarts(found)
        if state.ready and found is not None:
            return Status(resource, self._settled(found, state))
        troubles = self._diagnosis.causes(found) if found else self._diagnosis.absence(resource.namespace)
        hopeless = [self._is_hopeless(uid, cause) for uid, cause in troubles]
        # Pods of one workload have the same trouble many times over.
        causes = tuple({(cause.kind, cause.reason): cause for _uid, cause in troubles}.values())
        doing = self._doing(found) if found and not causes else ""
        return Status(resource, state, causes, doing, state.final or any(hopeless))

    def _is_hopeless(self, uid: str, cause: Cause) -> bool:
        key = f"{uid} {cause.kind} {cause.container}"
        since = self.memory.first_seen.setdefault(key, self.waited)
        # Restarts from before this wait may have had a cause that is gone; those of pods that came later all count.
        before = self.memory.restarts.get(f"{uid} {cause.container}", 0)
        began = datetime.now(timezone.utc) - timedelta(seconds=self.waited)
        return cause.hopeless(self.waited - since, cause.restarts - before, began)

    def _remember_restarts(self, found: Object) -> None:
        for pod in self._diagnosis.pods(found):
            status = pod.get("status", {})
            for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
                self.memory.restarts[f"{pod['metadata']['uid']} {container['name']}"] = container.get("restartCount", 0)

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
        reasons = (unsettled(pod, now) for pod in self._diagnosis.pods(found) if pod.get("status", {}).get("phase") == "Running")
        reason = next(filter(None, reasons), "")
        return State(False, f"{state.detail}, but {reason}") if reason else state

    def _doing(self, found: Object) -> str:
        late = (pod_doing(pod) for pod in self._diagnosis.pods(found) if not pod_is_fine(pod))
        return ", ".join(dict.fromkeys(late))

    def _log(self, resource: Resource, cause: Cause) -> str:
        kind, _space, name = cause.subject.partition(" ")
        if cause.kind not in ("crash", "restart") or kind != "Pod" or not resource.namespace:
            return ""
        return self._diagnosis.log(resource.namespace, name, cause.container)


def finished(statuses: Sequence[Status]) -> bool:
    """Whether there is nothing more to wait for."""
    return bool(statuses) and (all(status.state.ready for status in statuses) or any(status.hopeless for status in statuses))


def _advice(resource: Resource, state: State) -> str:
    if resource.kind == "PersistentVolumeClaim":
        if state.absent:
            return "declare the volume in data_disks and run the role static_volume, or create the claim"
        return "check that its PersistentVolume exists and its node is there (role static_volume), or that its class has a provisioner"
    if state.absent:
        return "check that what creates it was run, and the name"
    if resource.kind == "Job" and "DeadlineExceeded" in state.detail:
        return "give it more time (activeDeadlineSeconds), or find out what held it up, then delete the Job so that it is made again"
    if resource.kind == "Job":
        log = f"kubectl logs -n {resource.namespace} job/{resource.name}"
        return f"read the log of its pods ({log}), then delete the Job so that it is made again"
    place = f"-n {resource.namespace} " if resource.namespace else ""
    return f"wait longer, or look at it with kubectl describe {place}{resource.kind.lower()} {resource.name}"
