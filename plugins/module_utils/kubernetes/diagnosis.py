# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the API for what explains an object that is not ready, and has it explained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes import helm_records
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.causes import Cause, one_line, told
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.claim_causes import claim_cause, missing_claim
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import ApiError, Client, KubernetesError, Object
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.pod_causes import container_causes, mount_causes
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.readiness import condition_of, pod_is_fine, selector_of
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.refusals import refusal_cause, webhook_of
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.scheduling import SCALE_UP, scheduling_cause

LOG_LINES, EVENTS = 8, 3
LOG_IS_GONE = "unable to retrieve container logs"
"""The kubelet's answer, with status 200, when the container that ran before has been removed."""

OWNERS_OF_PODS = ("DaemonSet", "Deployment", "Job", "StatefulSet")
REVISION = "deployment.kubernetes.io/revision"
WEBHOOKS = ("validatingwebhookconfigurations", "mutatingwebhookconfigurations")


class Diagnosis:
    """One look at what surrounds objects that are not ready; what several of them need is asked for once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lists: dict[str, list[Object]] = {}
        self._pods: dict[str, list[Object]] = {}

    def causes(self, found: Object) -> list[tuple[str, Cause]]:
        """What keeps an object from being ready, each with the uid of the object that has the trouble."""
        if found["kind"] == "PersistentVolumeClaim":
            return list(self._claim(found))
        pods = self.pods(found)
        causes = [(pod["metadata"]["uid"], cause) for pod in pods if not pod_is_fine(pod) for cause in self._pod(pod)]
        # What was refused before the pods came is over.
        return causes or (list(self._refused(found)) if len(pods) < _wanted(found) else [])

    def absence(self, namespace: str | None) -> list[tuple[str, Cause]]:
        """What may keep an object from being made: an unfinished release of its namespace."""
        if not namespace:
            return []
        try:
            return [(record.secret, record.cause(helm_records.now())) for record in helm_records.pending(self._client, namespace)]
        except KubernetesError:
            # Secrets may be out of the account's reach.
            return []

    def pods(self, found: Object) -> list[Object]:
        """Pods of the workload's current revision."""
        if found["kind"] == "Pod":
            return [found]
        uid = found["metadata"]["uid"]
        if uid not in self._pods:
            self._pods[uid] = list(self._owned_pods(found))
        return self._pods[uid]

    def log(self, namespace: str, pod: str, container: str) -> str:
        """The last lines of a container that ended, as a sentence."""
        path = f"{self._client.path('v1', 'Pod', namespace, pod)}/log"
        for previous in ("true", "false"):
            try:
                text = self._client.text(path, container=container, tailLines=LOG_LINES, previous=previous).strip()
            except KubernetesError:
                continue
            if text and not text.startswith(LOG_IS_GONE):
                return f" Last lines of its log: {' | '.join(line.strip() for line in text.splitlines())}."
        return ""

    def warnings(self, kind: str, name: str, namespace: str | None) -> list[Object]:
        """The newest warnings about an object, oldest first."""
        return [event for event in self._events(kind, name, namespace) if event.get("type") == "Warning"][-EVENTS:]

    def _owned_pods(self, found: Object) -> Iterator[Object]:
        selector, namespace = selector_of(found), found["metadata"].get("namespace")
        if not selector or not namespace:
            return
        owners = {owner["metadata"]["uid"] for owner in self._owners(found)}
        path = self._client.path("v1", "Pod", namespace)
        for pod in (self._client.get(path, labelSelector=selector) or {}).get("items", []):
            owned = any(owner["uid"] in owners for owner in pod["metadata"].get("ownerReferences", []))
            if owned and not pod["metadata"].get("deletionTimestamp"):
                yield pod

    def _pod(self, pod: Object) -> Iterator[Cause]:
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        causes = list(container_causes(pod))
        if any(cause.kind.startswith("image") for cause in causes):
            # Older kubelets tell of a registry's answer in an event only.
            pulls = [event for event in self._events("Pod", name, namespace) if str(event.get("message")).startswith("Failed to pull")]
            last = pulls[-1] if pulls else {}
            causes = [replace(cause, told=told(last)) for cause in container_causes(pod, str(last.get("message", "")))]
        yield from causes
        scheduled = condition_of(pod, "PodScheduled")
        if scheduled.get("status") == "False":
            yield from self._unscheduled(pod, str(scheduled.get("message", scheduled.get("reason"))))
        elif _not_started(pod):
            yield from list(mount_causes(pod, reversed(self.warnings("Pod", name, namespace))))[:1]

    def _unscheduled(self, pod: Object, message: str) -> Iterator[Cause]:
        namespace = pod["metadata"]["namespace"]
        names = [one["persistentVolumeClaim"]["claimName"] for one in pod["spec"].get("volumes", []) if "persistentVolumeClaim" in one]
        volumes = []
        blamed = False
        for name in names:
            claim = self._client.get(self._client.path("v1", "PersistentVolumeClaim", namespace, name))
            if claim is None:
                blamed = True
                yield missing_claim(namespace, name)
            elif claim.get("status", {}).get("phase") != "Bound" and "persistent" in message.lower():
                blamed = True
                yield from (cause for _uid, cause in self._claim(claim, used=True))
            else:
                volume = claim["spec"].get("volumeName")
                volumes += [one for one in self._all("v1", "PersistentVolume") if one["metadata"]["name"] == volume]
        if blamed:
            return
        events = self._events("Pod", pod["metadata"]["name"], namespace)
        scaling = any(event.get("reason") in SCALE_UP for event in events)
        yield scheduling_cause(pod, message, self._all("v1", "Node"), volumes, scaling=scaling)

    def _claim(self, claim: Object, *, used: bool = False) -> Iterator[tuple[str, Cause]]:
        metadata = claim["metadata"]
        if claim.get("status", {}).get("phase", "Pending") != "Pending":
            return
        warnings = self.warnings("PersistentVolumeClaim", metadata["name"], metadata["namespace"])
        said = one_line(warnings[-1]["message"]) if warnings else ""
        classes, volumes = self._all("storage.k8s.io/v1", "StorageClass"), self._all("v1", "PersistentVolume")
        used = used or self._is_used(claim)
        yield metadata["uid"], claim_cause(claim, classes, volumes, self._all("v1", "Node"), used=used, said=said)

    def _is_used(self, claim: Object) -> bool:
        pods = (self._client.get(self._client.path("v1", "Pod", claim["metadata"]["namespace"])) or {}).get("items", [])
        name = claim["metadata"]["name"]
        return any(
            volume.get("persistentVolumeClaim", {}).get("claimName") == name for pod in pods for volume in pod["spec"].get("volumes", [])
        )

    def _refused(self, found: Object) -> Iterator[tuple[str, Cause]]:
        """Why pods that are wanted are not there."""
        namespace = found["metadata"].get("namespace")
        if found["kind"] not in OWNERS_OF_PODS or not namespace:
            return
        for owner in self._owners(found):
            kind, name = owner.get("kind", "ReplicaSet"), owner["metadata"]["name"]
            failed = [event for event in self.warnings(kind, name, namespace) if event.get("reason") == "FailedCreate"]
            failure = condition_of(owner, "ReplicaFailure")
            # The condition keeps the words of the first time.
            message = failed[-1]["message"] if failed else failure.get("message") if failure.get("status") == "True" else ""
            if message:
                webhook, endpoints = self._webhook(webhook_of(message))
                cause = refusal_cause(f"{kind} {namespace}/{name}", namespace, message, webhook, endpoints)
                yield owner["metadata"]["uid"], replace(cause, told=told(failed[-1])) if failed else cause

    def _webhook(self, name: str) -> tuple[Object | None, int | None]:
        """A webhook by its name, and how many ready addresses its service has, as far as the account may see."""
        if not name:
            return None, None
        try:
            configurations = [
                item
                for kind in WEBHOOKS
                for item in (self._client.get(f"/apis/admissionregistration.k8s.io/v1/{kind}") or {}).get("items", [])
            ]
            webhook = next((one for item in configurations for one in item.get("webhooks", []) if one["name"] == name), None)
            service = (webhook or {}).get("clientConfig", {}).get("service")
            if not service:
                return webhook, None
            path = f"/apis/discovery.k8s.io/v1/namespaces/{service['namespace']}/endpointslices"
            slices = (self._client.get(path, labelSelector=f"kubernetes.io/service-name={service['name']}") or {}).get("items", [])
        except ApiError:
            return None, None
        ends = [end for one in slices for end in one.get("endpoints") or [] if end.get("conditions", {}).get("ready") is not False]
        return webhook, len(ends)

    def _owners(self, found: Object) -> Sequence[Object]:
        """What makes the pods: the workload itself, or a Deployment's newest ReplicaSet."""
        if found["kind"] != "Deployment":
            return [found]
        wanted = found["metadata"].get("annotations", {}).get(REVISION)
        path = self._client.path("apps/v1", "ReplicaSet", found["metadata"]["namespace"])
        sets = (self._client.get(path, labelSelector=selector_of(found)) or {}).get("items", [])
        return [
            {"kind": "ReplicaSet", **one}
            for one in sets
            if one["metadata"].get("annotations", {}).get(REVISION) == wanted
            and any(owner["uid"] == found["metadata"]["uid"] for owner in one["metadata"].get("ownerReferences", []))
        ]

    def _all(self, api_version: str, kind: str) -> list[Object]:
        """Every object of a kind, as far as the account may see."""
        if kind not in self._lists:
            try:
                self._lists[kind] = (self._client.get(self._client.path(api_version, kind)) or {}).get("items", [])
            except ApiError:
                self._lists[kind] = []
        return self._lists[kind]

    def _events(self, kind: str, name: str, namespace: str | None) -> list[Object]:
        path = self._client.path("v1", "Event", namespace)
        try:
            found = self._client.get(path, fieldSelector=f"involvedObject.kind={kind},involvedObject.name={name}") or {}
        except KubernetesError:
            return []
        return sorted(found.get("items", []), key=told)


def _wanted(found: Object) -> int:
    """How many pods a workload is to have at least."""
    if found["kind"] == "DaemonSet":
        return int(found.get("status", {}).get("desiredNumberScheduled", 0))
    return int(found.get("spec", {}).get("replicas", 1))


def _not_started(pod: Object) -> bool:
    """Whether no container of a pod was started yet, as while its volumes are mounted."""
    status = pod.get("status", {})
    states = [one.get("state", {}) for one in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]]
    return status.get("phase") == "Pending" and all(
        (state.get("waiting") or {}).get("reason") in ("ContainerCreating", "PodInitializing") for state in states
    )
