# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workloads whose pods started before a Secret or ConfigMap that they read got its present values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import Client, KubernetesError, Object

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
"""The annotation of a pod template by which `kubectl rollout restart` makes new pods."""

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")

_IN_VOLUMES = {"Secret": ("secret", "secretName"), "ConfigMap": ("configMap", "name")}
_IN_ENVIRONMENT = {"Secret": ("secretRef", "secretKeyRef"), "ConfigMap": ("configMapRef", "configMapKeyRef")}


@dataclass(frozen=True)
class Source:
    """A Secret or ConfigMap, and when its values were last changed."""

    kind: str
    name: str
    namespace: str
    changed: datetime

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True)
class Restart:
    """A workload to restart, and why."""

    workload: Object
    because: tuple[Source, ...]

    @property
    def at(self) -> str:
        """What the annotation says afterwards: the time of the change, so that one change is one restart."""
        return stamp(max(source.changed for source in self.because))


def stamp(time: datetime) -> str:
    """A time as Kubernetes writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def values_changed(held: Object) -> datetime:
    """When somebody last changed the values of a Secret or ConfigMap: the API server keeps it with each writer's fields."""
    metadata = held["metadata"]
    written = [
        entry["time"]
        for entry in metadata.get("managedFields") or []
        if {"f:data", "f:binaryData", "f:stringData"} & set(entry.get("fieldsV1") or {}) and entry.get("time")
    ]
    return _time(max(written, default=metadata["creationTimestamp"]))


def reads(pod_spec: Mapping[str, Any], source: Source) -> bool:
    """Whether a pod takes anything from a Secret or ConfigMap, by environment or as a volume."""
    return source.name in set(_names(pod_spec, source.kind))


def stale_pods(pods: Sequence[Object], sources: Sequence[Source]) -> Iterator[tuple[Object, tuple[Source, ...]]]:
    """The living pods that are older than what they read, each with what that is."""
    for pod in pods:
        if pod["metadata"].get("deletionTimestamp") or pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            continue
        started = _time(pod["metadata"]["creationTimestamp"])
        because = tuple(source for source in sources if started < source.changed and reads(pod["spec"], source))
        if because:
            yield pod, because


def plan(client: Client, namespace: str, sources: Sequence[Source]) -> tuple[list[Restart], list[str]]:
    """The workloads of a namespace to restart, and the pods without a workload, which nobody would make again."""
    pods = (client.get(client.path("v1", "Pod", namespace)) or {}).get("items") or []
    reasons: dict[tuple[str, str], set[Source]] = {}
    alone = []
    for pod, because in stale_pods(pods, sources):
        owner = _workload(client, namespace, pod)
        if owner is None:
            alone.append(f"{namespace}/{pod['metadata']['name']}")
        else:
            reasons.setdefault(owner, set()).update(because)
    restarts = []
    for (kind, name), found in sorted(reasons.items()):
        workload = client.get(client.path("apps/v1", kind, namespace, name))
        restart = Restart({**workload, "kind": kind}, tuple(sorted(found, key=str))) if workload else None
        # One whose template carries the time already is replacing its pods.
        if restart and restarted_at(restart.workload) < restart.at:
            restarts.append(restart)
    return restarts, sorted(alone)


def restarted_at(workload: Object) -> str:
    """When a workload was last told to restart, or nothing."""
    annotations = workload["spec"]["template"]["metadata"].get("annotations") or {}
    found = annotations.get(RESTARTED_AT)
    # kubectl writes its own time zone.
    return stamp(_time(found)) if found else ""


def apply(client: Client, restart: Restart) -> None:
    """Make a workload replace its pods, in the way that it declares."""
    metadata = restart.workload["metadata"]
    body = {"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: restart.at}}}}}
    client.patch(client.path("apps/v1", restart.workload["kind"], metadata["namespace"], metadata["name"]), body)


def _names(pod_spec: Mapping[str, Any], kind: str) -> Iterator[str]:
    member, key = _IN_VOLUMES[kind]
    for volume in pod_spec.get("volumes") or []:
        yield str((volume.get(member) or {}).get(key))
        for projected in (volume.get("projected") or {}).get("sources") or []:
            yield str((projected.get(member) or {}).get("name"))
    whole, single = _IN_ENVIRONMENT[kind]
    for container in (*(pod_spec.get("initContainers") or []), *pod_spec["containers"]):
        for entry in container.get("envFrom") or []:
            yield str((entry.get(whole) or {}).get("name"))
        for variable in container.get("env") or []:
            yield str(((variable.get("valueFrom") or {}).get(single) or {}).get("name"))


def _workload(client: Client, namespace: str, pod: Object) -> tuple[str, str] | None:
    """What makes a pod again when it goes: a Deployment stands behind a ReplicaSet."""
    owner = _controller(pod)
    if owner and owner[0] == "ReplicaSet":
        owner = _controller(client.get(client.path("apps/v1", "ReplicaSet", namespace, owner[1])) or {"metadata": {}})
    return owner if owner and owner[0] in WORKLOADS else None


def _controller(held: Object) -> tuple[str, str] | None:
    for owner in held["metadata"].get("ownerReferences") or []:
        if owner.get("controller"):
            return owner["kind"], owner["name"]
    return None


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(timezone.utc)
    except ValueError as error:
        raise KubernetesError(f"{text!r} is no time as Kubernetes writes it; correct the annotation {RESTARTED_AT}.") from error
