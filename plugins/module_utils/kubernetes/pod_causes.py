# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps the containers of one pod from running: pure functions of what the API and kubelet's events say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.causes import PATIENCE, Cause, one_line, told
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import Object

IMAGE_REASONS = ("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable")
CONFIGURATION_REASONS = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")

_PASSING = ("cache: timed out", "no relationship found between node")
"""What kubelet's caches and the node authorizer's graph (kubernetes.io, Using Node Authorization) catch up with by themselves."""

_WRAPPING = re.compile(
    r'^(Back-off pulling image "[^"]*"(: |$)|Failed to pull image "[^"]*": |ErrImagePull: |rpc error: code = \w+ desc = '
    r'|failed to pull and unpack image "[^"]*": |failed to resolve reference "[^"]*": |failed to do request: \w+ "[^"]*": )+'
)
"""What kubelet and containerd put in front of a registry's answer, each once more."""

_ANSWERS: tuple[tuple[str, str, str], ...] = (
    # kind, what the answer says, what to do
    (
        "image-login",
        r"401|403|unauthorized|authorization failed|pull access denied|denied:",
        "give its registry's login in a pull secret (imagePullSecrets of the pod or its service account), or correct the image's name: "
        "registries answer so for a repository that they do not have, too",
    ),
    (
        "image-limit",
        r"429|toomanyrequests",
        "wait until the registry's limit is over, log in by a pull secret, or name a mirror in platform_image_registry",
    ),
    ("image-ca", r"x509|certificate", "let the node's container runtime trust the CA of that registry"),
    (
        "image-registry",
        r"no such host|server misbehaving|connection refused|i/o timeout|no route to host|unreachable|deadline exceeded|EOF|dial tcp",
        "check the registry's name, and that the node reaches it, or name a mirror in platform_image_registry",
    ),
    ("image-platform", r"no match for platform|exec format", "take an image that is built for the node's processor"),
    ("image-tag", r"not found|manifest unknown|NotFound", "correct the image's name and tag, or push it to that registry"),
)

_REFERENCES = re.compile(
    r"""couldn't\ find\ key\ (?P<key>\S+)\ in\ (?P<kind>Secret|ConfigMap)\ (?:[^/\s]+/)?(?P<name>\S+)
    | (?P<missing_kind>secret|configmap)\ "(?:[^/"]+/)?(?P<missing>[^"]+)"\ not\ found
    | (?P<mounted_kind>secret|configmap)?\s?references\ non-existent\ (?P<key_kind>secret|config)\ key:\ (?P<mounted_key>\S+)""",
    re.VERBOSE,
)
_KINDS = {"secret": "Secret", "configmap": "ConfigMap", "config": "ConfigMap"}


def container_causes(pod: Object, answer: str = "") -> Iterator[Cause]:
    """What keeps its containers from running; ``answer`` is what kubelet said last of an image that it could not pull."""
    status = pod.get("status", {})
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        cause = _container_cause(pod, container, answer)
        if cause:
            yield cause


def mount_causes(pod: Object, events: Iterable[Object]) -> Iterator[Cause]:
    """What kubelet says of the volumes of a pod whose containers wait for them."""
    for event in events:
        message = one_line(event.get("message", ""))
        if event.get("reason") in ("FailedMount", "FailedAttachVolume"):
            named = re.search(r'for volume "([^"]+)" ?: (.*)', message)
            volume, said = (named[1], named[2]) if named else ("", message)
            # Those of kubelet's own making are there a moment later, and so is its right to what a pod just bound to its node names.
            if volume.startswith("kube-api-access-") or any(words in said for words in _PASSING):
                continue
            reference = _reference(pod, said, f"its volume {volume}", _mounted(pod, volume))
            cause = reference or Cause(
                "mount",
                pod_name(pod),
                f"its volume {volume} cannot be mounted ({event['reason']}): {said}",
                "correct what it names, or give the node what it takes (docs/troubleshooting.md, Storage)",
            )
            yield replace(cause, told=told(event))
        elif event.get("reason") == "FailedCreatePodSandBox":
            remedy = "look at the node's network plugin and container runtime"
            yield Cause("sandbox", pod_name(pod), f"the node cannot start it: {message}", remedy)


def pod_name(pod: Object) -> str:
    """Kind and name of a pod, as causes name it."""
    return f"Pod {pod['metadata'].get('name', '')}"


def _container_cause(pod: Object, container: Object, answer: str) -> Cause | None:
    name, restarts = container["name"], container.get("restartCount", 0)
    waiting = container.get("state", {}).get("waiting") or {}
    ended = container.get("state", {}).get("terminated") or container.get("lastState", {}).get("terminated") or {}
    reason, message = waiting.get("reason", ""), one_line(waiting.get("message", ""))
    if reason in IMAGE_REASONS:
        return _image(pod, name, str(container.get("image")), reason, message if _WRAPPING.sub("", message) else one_line(answer))
    if reason in CONFIGURATION_REASONS:
        text = f"container {name} cannot be started ({reason}): {message}"
        general = Cause("configuration", pod_name(pod), text, "correct what it names in the container's settings", PATIENCE, name)
        return _reference(pod, message, f"container {name}", "") or general
    if reason == "CrashLoopBackOff" or (ended.get("exitCode") and not container.get("ready")):
        killed = ended.get("reason") == "OOMKilled"
        why = f"exit code {ended.get('exitCode')}" + (f", {ended['reason']}" if ended.get("reason") not in (None, "Error") else "")
        remedy = "give it more memory (resources.limits.memory)" if killed else "read its log, and correct what it complains of"
        runs = "running" in container.get("state", {})
        text = f"container {name} {'runs again after it ended' if runs else 'ended'} with an error ({why}, {restarts} restarts)"
        return Cause("restart" if runs else "crash", pod_name(pod), text, remedy, None, name, restarts)
    return None


def _image(pod: Object, container: str, image: str, reason: str, message: str) -> Cause:
    answer = _WRAPPING.sub("", message) or reason
    head = f"the image {image} of container {container} cannot be pulled"
    if reason == "InvalidImageName":
        return Cause("image-name", pod_name(pod), f"{head}: {answer}", "correct the image's name", 0.0, container)
    if reason == "ErrImageNeverPull":
        remedy = "load it on the node, or let it be pulled (imagePullPolicy: IfNotPresent)"
        text = f"{head}: its pull policy is Never, and the node does not hold it"
        return Cause("image-never", pod_name(pod), text, remedy, PATIENCE, container)
    kind, remedy = "image", "check the image's name and tag, the registry and the pull secret"
    for one, pattern, advice in _ANSWERS:
        if re.search(pattern, f"{answer} {message}" if one == "image-tag" else answer, re.IGNORECASE):
            kind, remedy = one, advice
            break
    return Cause(kind, pod_name(pod), f"{head}: {answer}", remedy, PATIENCE, container)


def _reference(pod: Object, message: str, user: str, mounted: str) -> Cause | None:
    found = _REFERENCES.search(message)
    if not found:
        return None
    namespace = pod["metadata"].get("namespace", "")
    kind = found["kind"] or _KINDS[(found["missing_kind"] or found["key_kind"])]
    name, key = found["name"] or found["missing"] or mounted, found["key"] or found["mounted_key"]
    wanted = f"{kind} {namespace}/{name}" if name else f"a {kind}"
    if key:
        reason, remedy = f"{user} wants the key {key} of {wanted}, which has no such key", f"add the key to {wanted}, or correct its name"
    else:
        reason, remedy = f"{user} wants {wanted}, which does not exist", f"create {wanted}, or correct the name"
    return Cause("reference", pod_name(pod), reason, remedy, PATIENCE)


def _mounted(pod: Object, volume: str) -> str:
    """Name of the Secret or ConfigMap of a volume."""
    for one in pod.get("spec", {}).get("volumes", []):
        if one.get("name") == volume:
            return str(one.get("secret", {}).get("secretName") or one.get("configMap", {}).get("name") or "")
    return ""
