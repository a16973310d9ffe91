#!/usr/bin/python
# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin module: see the documentation below."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_ready
short_description: Wait until objects of Kubernetes are ready, or say why they are not
version_added: 0.1.0
description:
  - Waits for any number of objects over one connection and returns when all of them are ready.
  - While it waits, the run shows what is not ready yet and why, whenever that changes and every half minute.
  - Ends early when one of them cannot become ready without somebody's act, such as a Job that failed, a container that crashed three times
    during the wait, or for 45 seconds an image that cannot be pulled, a claim without a volume, a Secret that does not exist, a node that
    none of the pods may use, pods that a webhook or a quota refuses.
  - On failure, says what is not ready and why in one line for each cause, with the object at fault, the reason and the remedy. It reads
    conditions, containers' states, events, storage classes, volumes, nodes, webhooks, and the last log lines of a crashing container.
  - An object that does not exist is explained by an unfinished Helm release of its namespace, where there is one.
  - In check mode it returns at once and waits for nothing, since what it would wait for may only be planned.
author:
  - The homelab.data_platform contributors (@homelab)
extends_documentation_fragment:
  - homelab.data_platform.kubernetes
  - homelab.data_platform.attributes.info_module
options:
  resources:
    description: The objects.
    type: list
    elements: dict
    required: true
    suboptions:
      kind:
        description:
          - Kind of the object. Deployment, StatefulSet, DaemonSet, Job, PersistentVolumeClaim, Pod, Namespace and CustomResourceDefinition
            are ready by what that means for their kind.
          - Any other kind is ready when its condition C(Ready) or C(Available) is true, or when it exists and has neither.
        type: str
        required: true
      api_version:
        description: API version of the kind. It is known for the kinds that are named above.
        type: str
      name:
        description: Name of the object.
        type: str
        required: true
      namespace:
        description: Its namespace.
        type: str
      condition:
        description: A condition that has to be true, instead of what ready means for the kind.
        type: str
      bound:
        description: For a PersistentVolumeClaim, whether it has to be bound. Set V(false) where the first pod that uses it binds it.
        type: bool
        default: true
  timeout:
    description: Seconds to wait at most. With V(0) it looks once.
    type: int
    default: 300
  round:
    description:
      - One of several short waits that make one long one. The action of this name sets it, to show progress in between.
      - The wait returns RV(round) when it is not over after the round, and goes on with the next one.
    type: dict
    suboptions:
      seconds:
        description: How long this round takes at most.
        type: float
        required: true
      waited:
        description: Seconds since the wait began.
        type: float
        default: 0
      first_seen:
        description: When each trouble was first seen.
        type: dict
        default: {}
      restarts:
        description: How often each container had been started again before.
        type: dict
        default: {}
      looked:
        description: Whether there was a look.
        type: bool
        default: false
seealso:
  - module: kubernetes.core.k8s_info
"""

EXAMPLES = r"""
- name: Wait for Airflow
  homelab.data_platform.kubernetes_ready:
    kubeconfig: "{{ platform_kubeconfig }}"
    resources:
      - {kind: StatefulSet, namespace: airflow, name: postgresql}
      - {kind: Job, namespace: airflow, name: airflow-run-airflow-migrations}
      - {kind: Deployment, namespace: airflow, name: airflow-scheduler}
    timeout: 600

- name: Look once whether a claim is bound
  homelab.data_platform.kubernetes_ready:
    resources:
      - {kind: PersistentVolumeClaim, namespace: airflow, name: postgresql}
    timeout: 0

- name: Wait for a condition of any kind
  homelab.data_platform.kubernetes_ready:
    resources:
      - {kind: Certificate, api_version: cert-manager.io/v1, namespace: airflow, name: web, condition: Ready}
"""

RETURN = r"""
resources:
  description: The objects, in the order of the option.
  returned: always
  type: list
  elements: dict
  contains:
    kind:
      description: Kind of the object.
      type: str
    name:
      description: Its name.
      type: str
    namespace:
      description: Its namespace.
      type: str
    ready:
      description: Whether it is ready. None in check mode.
      type: bool
    detail:
      description: What was seen.
      type: str
      sample: 1 of 1 pods available
round:
  description: What the next round goes on with.
  returned: when a round is over before the wait
  type: dict
progress:
  description: What is not ready yet, and why, as far as that is known.
  returned: when a round is over before the wait
  type: list
  elements: dict
  sample:
    - object: Deployment airflow/airflow-scheduler
      state: 0 of 1 pods available
      why: Init:0/1 wait-for-airflow-migrations
error:
  description: Why there is no progress to tell of, such as an API that does not answer.
  returned: when a round is over before the wait
  type: str
causes:
  description: What keeps objects from being ready, and what to do.
  returned: failure
  type: list
  elements: str
"""

from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.arguments import (
    connect,
    connection_argument_spec,
    unmask_kubeconfig,
)
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import KubernetesError
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.readiness import State
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.waiter import (
    Memory,
    Resource,
    Status,
    Waiter,
    finished,
    parse,
)

RESOURCE_OPTIONS: dict[str, dict[str, Any]] = {
    "kind": {"type": "str", "required": True},
    "api_version": {"type": "str"},
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str"},
    "condition": {"type": "str"},
    "bound": {"type": "bool", "default": True},
}
ROUND_OPTIONS: dict[str, dict[str, Any]] = {
    "seconds": {"type": "float", "required": True},
    "waited": {"type": "float", "default": 0},
    "first_seen": {"type": "dict", "default": {}},
    "restarts": {"type": "dict", "default": {}},
    "looked": {"type": "bool", "default": False},
}


def main() -> None:
    """Wait, then report."""
    module = AnsibleModule(
        argument_spec={
            **connection_argument_spec(),
            "resources": {"type": "list", "elements": "dict", "required": True, "options": RESOURCE_OPTIONS},
            "timeout": {"type": "int", "default": 300},
            "round": {"type": "dict", "options": ROUND_OPTIONS},
        },
        supports_check_mode=True,
    )
    unmask_kubeconfig(module)
    try:
        resources = [parse(options) for options in module.params["resources"]]
        if module.check_mode:
            module.exit_json(changed=False, resources=[{**_expected(resource), "ready": None} for resource in resources])
        _wait(module, resources)
    except KubernetesError as error:
        module.fail_json(msg=str(error), resources=[])


def _wait(module: AnsibleModule, resources: list[Resource]) -> None:
    timeout = module.params["timeout"]
    seconds, memory = _round(module.params["round"], timeout)
    waiter = Waiter(connect(module), resources, memory)
    statuses, error = waiter.wait(min(timeout, memory.waited + seconds))
    results = [status.as_result() for status in statuses]
    if not finished(statuses) and waiter.waited < timeout:
        progress = [status.as_progress() for status in statuses if not status.state.ready]
        module.exit_json(changed=False, resources=results, round=asdict(waiter.memory), progress=progress, error=str(error or ""))
    if error:
        raise error
    late = [status for status in statuses if not status.state.ready]
    if not late:
        module.exit_json(changed=False, resources=results)
    # What cannot become ready explains the rest, which may only be waiting for it.
    hopeless = any(status.hopeless for status in late)
    guilty = [status for status in late if status.hopeless or status.causes or not hopeless]
    causes = [cause for status in guilty for cause in waiter.explain(status)]
    ending = "and will not become so" if hopeless else f"within {timeout} s"
    head = f"{len(late)} of {len(statuses)} objects are not ready {ending} (waited {round(waiter.waited)} s):"
    module.fail_json(msg="\n".join([head, *causes]), causes=causes, resources=results)


def _round(options: dict[str, Any] | None, timeout: int) -> tuple[float, Memory]:
    """How long to wait this time, and what is known from before."""
    if options is None:
        return timeout, Memory()
    return options["seconds"], Memory(**{name: value for name, value in options.items() if name != "seconds"})


def _expected(resource: Resource) -> dict[str, Any]:
    return Status(resource, State(ready=False, detail="would wait for it")).as_result()


if __name__ == "__main__":
    main()
