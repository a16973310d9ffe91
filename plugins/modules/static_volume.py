#!/usr/bin/python
# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PersistentVolumes that nobody provisions, and their claims."""

from __future__ import annotations

DOCUMENTATION = r"""
module: static_volume
short_description: PersistentVolumes that nobody provisions, and their claims
version_added: 0.1.0
author:
  - The homelab.data_platform contributors (@homelab)
description:
  - Creates StorageClass, PersistentVolumes and the claims that they are reserved for, and changes what can be without touching data.
  - A volume's capacity is raised. The request of its claim stays, since Kubernetes does not let it grow without a provisioner.
  - A volume's mount options are changed where they are declared. A pod has them from its next start on.
  - A volume whose claim was deleted (C(Released)) is given to the declared claim of the same name again, with the data that it has.
  - What Kubernetes does not let anybody change is an error that says what is there, what is declared and what to do.
  - Nothing is deleted. Volumes of ours which are not declared any more are named in RV(undeclared).
extends_documentation_fragment:
  - homelab.data_platform.attributes.full
  - homelab.data_platform.kubernetes
options:
  definition:
    description:
      - The objects, as P(homelab.data_platform.persistent_volumes#filter) derives them from the disks of a node, and
        P(homelab.data_platform.shared_volumes#filter) from the volumes that no node's disk carries.
      - Out of C(Namespace), C(StorageClass), C(PersistentVolume) and C(PersistentVolumeClaim), in the order of their creation.
    type: list
    elements: dict
    required: true
  nodes:
    description: Nodes of which undeclared volumes are looked for.
    type: list
    elements: str
    default: []
  shared:
    description: Whether undeclared ones are looked for among the volumes that no node's disk carries.
    type: bool
    default: false
seealso:
  - plugin: homelab.data_platform.persistent_volumes
    plugin_type: filter
  - plugin: homelab.data_platform.shared_volumes
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Declare the volumes of a node's disks
  homelab.data_platform.static_volume:
    kubeconfig: "{{ platform_kubeconfig }}"
    definition: "{{ data_disks | homelab.data_platform.persistent_volumes('k8s-worker-01') }}"
    nodes: [k8s-worker-01]

- name: Declare the volumes that no node's disk carries
  homelab.data_platform.static_volume:
    kubeconfig: "{{ platform_kubeconfig }}"
    definition: "{{ shared_volumes | homelab.data_platform.shared_volumes }}"
    shared: true
"""

RETURN = r"""
objects:
  description: The objects that were changed, or would be.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Kind and name.
      type: str
      sample: PersistentVolume airflow-data-postgresql
    action:
      description: What happened.
      type: str
      sample: grown, given back to its claim
undeclared:
  description: PersistentVolumes of ours, on O(nodes) or shared, that are not declared any more.
  returned: success
  type: list
  elements: str
  sample: [airflow-data-logs]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.arguments import (
    connect,
    connection_argument_spec,
    unmask_kubeconfig,
)
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import ApiError, Client, KubernetesError, Object
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.static_volumes import Step, label, plan, undeclared

ATTEMPTS = 4
"""How often it is planned again when somebody else writes at the same moment; Kubernetes binds volumes meanwhile."""

SHOWN = ("spec", "provisioner", "reclaimPolicy", "volumeBindingMode")


def read(client: Client, wanted: list[Object]) -> dict[str, Object]:
    """What the cluster holds, by labels: every PersistentVolume, the claims of the declared namespaces, the other declared objects."""
    namespaces = dict.fromkeys(entry["metadata"]["namespace"] for entry in wanted if entry["kind"] == "PersistentVolumeClaim")
    found: dict[str, Object] = {}
    for kind, namespace in (("PersistentVolume", None), *(("PersistentVolumeClaim", name) for name in namespaces)):
        listed = client.get(client.path("v1", kind, namespace)) or {}
        for entry in listed.get("items", []):
            found[label({**entry, "kind": kind})] = {**entry, "kind": kind}
    for entry in wanted:
        if entry["kind"] in ("Namespace", "StorageClass"):
            held = client.get(client.path(entry["apiVersion"], entry["kind"], None, entry["metadata"]["name"]))
            if held:
                found[label(entry)] = held
    return found


def write(client: Client, step: Step) -> None:
    """Create or patch one object."""
    metadata = step.wanted["metadata"]
    place = (step.wanted["apiVersion"], step.wanted["kind"], metadata.get("namespace"))
    if step.patch is None:
        client.create(client.path(*place), step.wanted)
    else:
        client.patch(client.path(*place, metadata["name"]), step.patch)


def ensure(client: Client, wanted: list[Object], nodes: list[str], shared: bool, check_mode: bool) -> dict[str, Any]:
    """Plan, write, and return the module's result."""
    done: list[Step] = []
    for attempt in range(1, ATTEMPTS + 1):
        found = read(client, wanted)
        steps = plan(wanted, found)
        try:
            for step in () if check_mode else steps:
                write(client, step)
                done.append(step)
            break
        except ApiError as error:
            if error.status != 409 or attempt == ATTEMPTS:
                raise
    steps = steps if check_mode else done
    volumes = [entry for entry in found.values() if entry["kind"] == "PersistentVolume"]
    return {
        "changed": bool(steps),
        "objects": [{"name": step.label, "action": step.why} for step in steps],
        "undeclared": undeclared(wanted, volumes, nodes, shared),
        "diff": [
            {
                "before_header": step.label,
                "after_header": step.label,
                "before": {key: step.current[key] for key in SHOWN if key in step.current} if step.current else {},
                "after": {key: step.after[key] for key in SHOWN if key in step.after},
            }
            for step in steps
        ],
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **connection_argument_spec(),
            "definition": {"type": "list", "elements": "dict", "required": True},
            "nodes": {"type": "list", "elements": "str", "default": []},
            "shared": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    unmask_kubeconfig(module)
    invocation = {"module_args": {key: value for key, value in module.params.items() if key != "kubeconfig"}}
    try:
        wanted, nodes, shared = (module.params[key] for key in ("definition", "nodes", "shared"))
        result = ensure(connect(module), wanted, nodes, shared, module.check_mode)
    except KubernetesError as error:
        module.fail_json(msg=str(error), invocation=invocation)
    if result["undeclared"]:
        module.warn(
            f"PersistentVolume {', '.join(result['undeclared'])}: no longer declared, and left as it is. "
            "Delete it by hand when its data is not needed any more."
        )
    if not module._diff:
        result.pop("diff")
    module.exit_json(**result, invocation=invocation)


if __name__ == "__main__":
    main()
