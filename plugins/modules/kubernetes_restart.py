#!/usr/bin/python
# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restart what runs with older values of a Secret or ConfigMap."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_restart
short_description: Restart what runs with older values of a Secret or ConfigMap
version_added: 0.1.0
description:
  - A program reads its Secrets and ConfigMaps when it starts. This module finds the Deployments, StatefulSets and DaemonSets with pods that
    started before the values of what they read were last changed, and makes them replace their pods, as C(kubectl rollout restart) does.
  - It looks at what is there, not at what an earlier task did, so what an interrupted run has left is made up for by the next one.
  - Pods without such a workload (tasks, Jobs, Spark drivers) are named and left to end by themselves.
  - It does not wait. M(homelab.data_platform.kubernetes_ready) takes RV(restarted) as it is.
author:
  - The homelab.data_platform contributors (@homelab)
extends_documentation_fragment:
  - homelab.data_platform.kubernetes
  - homelab.data_platform.attributes.full
options:
  secrets:
    description:
      - The Secrets, each with C(name) and C(namespace). One that does not exist is left out.
      - An entry may be a result of M(homelab.data_platform.kubernetes_secret). In check mode, one whose C(action) is V(update) counts as
        changed now, for the task that returned it has only planned it.
    type: list
    elements: dict
    default: []
  config_maps:
    description: The ConfigMaps, likewise, or results of M(homelab.data_platform.trust_bundle).
    type: list
    elements: dict
    default: []
seealso:
  - module: homelab.data_platform.kubernetes_secret
  - module: homelab.data_platform.trust_bundle
  - module: homelab.data_platform.kubernetes_ready
"""

EXAMPLES = r"""
- name: Let Airflow use its new keys
  homelab.data_platform.kubernetes_restart:
    kubeconfig: "{{ platform_kubeconfig }}"
    secrets:
      - {name: airflow-connections, namespace: airflow}
  register: result

- name: Wait for it
  homelab.data_platform.kubernetes_ready:
    kubeconfig: "{{ platform_kubeconfig }}"
    resources: "{{ result.restarted }}"
"""

RETURN = r"""
restarted:
  description: The workloads, as the option O(homelab.data_platform.kubernetes_ready#module:resources) takes them.
  returned: success
  type: list
  elements: dict
  sample: [{"api_version": "apps/v1", "kind": "Deployment", "namespace": "airflow", "name": "airflow-webserver"}]
left:
  description: Pods with older values that nobody would make again, as C(namespace/name).
  returned: success
  type: list
  elements: str
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from itertools import groupby
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes import restarts
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.arguments import (
    connect,
    connection_argument_spec,
    unmask_kubeconfig,
)
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import Client, KubernetesError


def sources(client: Client, params: Mapping[str, Any], *, check_mode: bool) -> Iterator[restarts.Source]:
    """The Secrets and ConfigMaps that exist, and when each was changed."""
    for option, kind in (("secrets", "Secret"), ("config_maps", "ConfigMap")):
        for index, entry in enumerate(params[option]):
            missing = [key for key in ("name", "namespace") if not entry.get(key)]
            if missing:
                raise KubernetesError(f"{option}[{index}] has no {missing[0]}: give name and namespace.")
            held = client.get(client.path("v1", kind, entry["namespace"], entry["name"]))
            if held is not None:
                planned = check_mode and entry.get("action") == "update"
                changed = datetime.now(timezone.utc) if planned else restarts.values_changed(held)
                yield restarts.Source(kind, entry["name"], entry["namespace"], changed)


def result(found: list[restarts.Restart], left: list[str]) -> dict[str, Any]:
    """What is reported of restarts, done or planned."""
    workloads = [
        {
            "api_version": "apps/v1",
            "kind": restart.workload["kind"],
            "namespace": restart.workload["metadata"]["namespace"],
            "name": restart.workload["metadata"]["name"],
        }
        for restart in found
    ]
    headers = [f"{one['kind']} {one['namespace']}/{one['name']}" for one in workloads]
    diff = [
        {
            "before_header": header,
            "after_header": header,
            "before": {"restartedAt": restarts.restarted_at(restart.workload)},
            "after": {"restartedAt": restart.at, "because of": [str(source) for source in restart.because]},
        }
        for header, restart in zip(headers, found)
    ]
    return {"changed": bool(found), "restarted": workloads, "left": left, "diff": diff}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **connection_argument_spec(),
            "secrets": {"type": "list", "elements": "dict", "default": [], "no_log": False},
            "config_maps": {"type": "list", "elements": "dict", "default": []},
        },
        supports_check_mode=True,
    )
    unmask_kubeconfig(module)
    invocation = {"module_args": {key: value for key, value in module.params.items() if key != "kubeconfig"}}
    found: list[restarts.Restart] = []
    left: list[str] = []
    try:
        client = connect(module)
        by_place = sorted(sources(client, module.params, check_mode=module.check_mode), key=lambda source: source.namespace)
        for namespace, group in groupby(by_place, key=lambda source: source.namespace):
            here, alone = restarts.plan(client, namespace, list(group))
            found += here
            left += alone
        for restart in () if module.check_mode else found:
            restarts.apply(client, restart)
    except KubernetesError as error:
        module.fail_json(msg=str(error), invocation=invocation)
    outcome = result(found, left)
    if not module._diff:
        outcome.pop("diff")
    module.exit_json(**outcome, invocation=invocation)


if __name__ == "__main__":
    main()
