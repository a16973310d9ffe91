# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a Job to its end, and learn what it has to say."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, Optional

from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import Client, KubernetesError, Object
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.waiter import Resource, Waiter

LAST_LINES = 12
GONE_WITHIN = 120.0
PAUSE = 0.5


def run(client: Client, job: Object, timeout: float) -> str:
    """Make the Job in place of one of its name, wait for its end, remove it, and return what its pod wrote.

    One that failed stays, so that it can be looked at; the next run replaces it.
    """
    namespace, name = job["metadata"]["namespace"], job["metadata"]["name"]
    path = client.path("batch/v1", "Job", namespace, name)
    _delete(client, path, f"{namespace}/{name}")
    made = client.create(client.path("batch/v1", "Job", namespace), {"apiVersion": "batch/v1", "kind": "Job", **job})
    waiter = Waiter(client, [Resource("Job", name, namespace, "batch/v1")])
    statuses, error = waiter.wait(timeout)
    if error:
        raise error
    (status,) = statuses
    log = _log(client, namespace, made["metadata"]["uid"])
    if not status.state.ready:
        said = " | ".join(line.strip() for line in log.strip().splitlines()[-LAST_LINES:])
        causes = " ".join(waiter.explain(status))
        raise KubernetesError(f"{causes}{f' It said: {said}' if said else ''}")
    _delete(client, path, f"{namespace}/{name}", wait=False)
    return log


def result_in(log: str) -> Optional[dict[str, Any]]:
    """Return the last line that is a JSON object, which is how a Job answers."""
    for line in reversed(log.splitlines()):
        if line.startswith("{"):
            try:
                found = json.loads(line)
            except ValueError:
                continue
            return found if isinstance(found, dict) else None
    return None


def _delete(client: Client, path: str, name: str, *, wait: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
    # Deleted in the foreground, a Job is gone when its pods are.
    client.delete(f"{path}?propagationPolicy=Foreground")
    deadline = clock() + GONE_WITHIN
    while wait and client.get(path) is not None:
        if clock() > deadline:
            raise KubernetesError(f"Job {name} of a run before does not go away. Look at its pods, and delete them.")
        time.sleep(PAUSE)


def _log(client: Client, namespace: str, uid: str) -> str:
    pods = client.get(client.path("v1", "Pod", namespace), labelSelector=f"controller-uid={uid}") or {}
    logs = []
    for pod in sorted(pods.get("items", []), key=lambda pod: str(pod["metadata"]["creationTimestamp"])):
        spec = pod["spec"]
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            try:
                logs.append(client.text(f"{client.path('v1', 'Pod', namespace, pod['metadata']['name'])}/log", container=container["name"]))
            except KubernetesError:
                # It has not run.
                continue
    return "\n".join(logs)
