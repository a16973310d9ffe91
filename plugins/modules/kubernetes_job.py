#!/usr/bin/python
# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin module: see the documentation below."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_job
short_description: Run a Job to its end and return what it says
version_added: 0.1.0
description:
  - Makes a Job in place of one of its name, waits until it is complete, reads its log and removes it. A Job that fails stays, so that it
    can be looked at, until the next run replaces it.
  - Strings in a list C(warnings) of its RV(result) are shown as warnings.
  - On failure, says why in one line for each cause, with the last lines of the log.
  - In check mode, nothing is run.
author:
  - The homelab.data_platform contributors (@homelab)
extends_documentation_fragment:
  - homelab.data_platform.kubernetes
  - homelab.data_platform.attributes.full
attributes:
  check_mode:
    support: partial
    details:
      - What the Job would say is not known, and RV(result) is empty.
  diff_mode:
    support: none
    details:
      - What a Job does is its own affair.
  idempotent:
    support: none
    details:
      - Each call runs the Job.
options:
  definition:
    description: The Job, with C(metadata) and C(spec). Its C(metadata.name) and C(metadata.namespace) are required.
    type: dict
    required: true
  timeout:
    description: Seconds that it may take.
    type: int
    default: 300
seealso:
  - module: homelab.data_platform.kubernetes_ready
  - module: kubernetes.core.k8s
"""

EXAMPLES = r"""
- name: Ask the database how large it is
  homelab.data_platform.kubernetes_job:
    kubeconfig: "{{ platform_kubeconfig }}"
    definition:
      metadata: {name: database-size, namespace: airflow}
      spec:
        backoffLimit: 0
        template:
          spec:
            restartPolicy: Never
            containers:
              - name: psql
                image: docker.io/library/postgres:15-bookworm
                command: [psql, --tuples-only, --command, "select json_build_object('bytes', pg_database_size(current_database()))"]
  register: size
"""

RETURN = r"""
result:
  description: The last line of the log that is a JSON object; empty where there is none.
  returned: success
  type: dict
  sample: {bytes: 8012303}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.arguments import (
    connect,
    connection_argument_spec,
    unmask_kubeconfig,
)
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import KubernetesError
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.job import result_in, run


def main() -> None:
    """Run it, and repeat its answer."""
    module = AnsibleModule(
        argument_spec={
            **connection_argument_spec(),
            "definition": {"type": "dict", "required": True},
            "timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    unmask_kubeconfig(module)
    definition = module.params["definition"]
    metadata = definition.get("metadata") or {}
    if not metadata.get("name") or not metadata.get("namespace") or not definition.get("spec"):
        module.fail_json(msg="The definition of a Job wants metadata.name, metadata.namespace and spec.")
    if module.check_mode:
        module.exit_json(changed=True, result={})
    try:
        log = run(connect(module), definition, module.params["timeout"])
    except KubernetesError as error:
        module.fail_json(msg=str(error))
    result = result_in(log) or {}
    for warning in result.get("warnings", []):
        module.warn(str(warning))
    module.exit_json(changed=True, result=result)


if __name__ == "__main__":
    main()
