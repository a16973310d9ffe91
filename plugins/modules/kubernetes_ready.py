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
  - Ends early when one of them cannot become ready, such as a Job that failed, an image that cannot be pulled for a minute, or a container
    that crashed three times during the wait.
  - On failure, says what is not ready and why in one line for each cause, from the pods' conditions, the containers' states, events and the
    last log lines of a crashing container.
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
causes:
  description: What keeps objects from being ready, and what to do.
  returned: failure
  type: list
  elements: str
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.arguments import (
    connect,
    connection_argument_spec,
    unmask_kubeconfig,
)
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import KubernetesError
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.readiness import State
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.waiter import Resource, Status, Waiter, parse

RESOURCE_OPTIONS: dict[str, dict[str, Any]] = {
    "kind": {"type": "str", "required": True},
    "api_version": {"type": "str"},
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str"},
    "condition": {"type": "str"},
    "bound": {"type": "bool", "default": True},
}


def main() -> None:
    """Wait, then report."""
    module = AnsibleModule(
        argument_spec={
            **connection_argument_spec(),
            "resources": {"type": "list", "elements": "dict", "required": True, "options": RESOURCE_OPTIONS},
            "timeout": {"type": "int", "default": 300},
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
    started = time.monotonic()
    waiter = Waiter(connect(module), resources)
    statuses = waiter.wait(module.params["timeout"])
    results = [status.as_result() for status in statuses]
    late = [status for status in statuses if not status.state.ready]
    if not late:
        module.exit_json(changed=False, resources=results)
    # What cannot become ready explains the rest, which may only be waiting for it.
    guilty = [status for status in late if status.hopeless] or late
    causes = [cause for status in guilty for cause in waiter.explain(status)]
    seconds = round(time.monotonic() - started)
    ending = "and will not become so" if any(status.hopeless for status in late) else f"within {module.params['timeout']} s"
    head = f"{len(late)} of {len(statuses)} objects are not ready {ending} (waited {seconds} s):"
    module.fail_json(msg="\n".join([head, *causes]), causes=causes, resources=results)


def _expected(resource: Resource) -> dict[str, Any]:
    return Status(resource, State(ready=False, detail="would wait for it")).as_result()


if __name__ == "__main__":
    main()
