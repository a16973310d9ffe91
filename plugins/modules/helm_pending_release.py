#!/usr/bin/python
# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin module: see the documentation below."""

from __future__ import annotations

DOCUMENTATION = r"""
module: helm_pending_release
short_description: Find a release that a killed helm left unfinished, and drop the record of it
version_added: 0.1.0
description:
  - Helm writes C(pending-install), C(pending-upgrade) or C(pending-rollback) into a release's record before it begins. Where it is told to
    end (by C(SIGINT) or C(SIGTERM)) it writes C(failed), and the next upgrade goes on. Where it is killed, or its host dies, the record
    stays, and every later helm refuses to touch the release.
  - Finds such records, and deletes them when told. A record is one Secret in the release's namespace. No object of the release is touched,
    and the next upgrade deploys over what is there.
  - What helm has applied it takes for done, also where O(revision) failed, or a Job of it for which helm does not wait. Without the record
    of that revision the next upgrade deploys it once more.
  - Only the records' metadata are read, not the values in them.
  - M(homelab.data_platform.helm) runs this by itself where helm refuses.
author:
  - The homelab.data_platform contributors (@homelab)
extends_documentation_fragment:
  - homelab.data_platform.kubernetes
  - homelab.data_platform.attributes.full
options:
  name:
    description: The release.
    type: str
    required: true
  namespace:
    description: Its namespace.
    type: str
    required: true
  revision:
    description: A revision that was not seen through, whatever its record says of it. It counts as unfinished, too.
    type: str
    default: ""
  drop:
    description:
      - Whether to delete the records.
      - Nothing in the cluster tells a helm that was killed from one that is still at it. Make sure that none is.
    type: bool
    default: false
seealso:
  - module: homelab.data_platform.helm
"""

EXAMPLES = r"""
- name: See whether a release is unfinished
  homelab.data_platform.helm_pending_release:
    kubeconfig: "{{ platform_kubeconfig }}"
    name: airflow
    namespace: airflow

- name: Drop the record of a helm run that was killed
  homelab.data_platform.helm_pending_release:
    kubeconfig: "{{ platform_kubeconfig }}"
    name: airflow
    namespace: airflow
    drop: true

- name: Have the next upgrade deploy a revision once more, whose migration of a database has failed
  homelab.data_platform.helm_pending_release:
    kubeconfig: "{{ platform_kubeconfig }}"
    name: airflow
    namespace: airflow
    revision: "{{ release.status.revision }}"
    drop: true
"""

RETURN = r"""
pending:
  description: The unfinished records, those that were dropped among them.
  returned: success
  type: list
  elements: dict
  contains:
    release:
      description: The release.
      type: str
    namespace:
      description: Its namespace.
      type: str
    revision:
      description: The revision that was not finished.
      type: str
    status:
      description: Its status.
      type: str
      sample: pending-install
    since:
      description: When it began.
      type: str
    secret:
      description: The Secret that is the record.
      type: str
    cause:
      description: All of that in one line, with the way out.
      type: str
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes import helm_records
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.arguments import (
    connect,
    connection_argument_spec,
    unmask_kubeconfig,
)
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import KubernetesError


def main() -> None:
    """Look for records, then drop them when told."""
    module = AnsibleModule(
        argument_spec={
            **connection_argument_spec(),
            "name": {"type": "str", "required": True},
            "namespace": {"type": "str", "required": True},
            "revision": {"type": "str", "default": ""},
            "drop": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    unmask_kubeconfig(module)
    try:
        client = connect(module)
        records = helm_records.pending(client, module.params["namespace"], module.params["name"], module.params["revision"])
        if module.params["drop"] and not module.check_mode:
            helm_records.drop(client, records)
    except KubernetesError as error:
        module.fail_json(msg=str(error))
    now = helm_records.now()
    pending = [{**asdict(record), "cause": record.cause(now).line()} for record in records]
    before = "".join(f"{record}: revision {record.revision} {record.status} since {record.since}\n" for record in records)
    dropped = bool(records and module.params["drop"])
    diff = {"before": before, "after": "" if dropped else before}
    module.exit_json(changed=dropped, pending=pending, diff=diff)


if __name__ == "__main__":
    main()
