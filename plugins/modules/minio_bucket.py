#!/usr/bin/python
# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manage buckets of MinIO."""

from __future__ import annotations

# amazon.aws.s3_bucket does not serve here: it has no check mode (the task is skipped, so nothing is predicted), takes one
# bucket a call, and asks for a dozen settings that MinIO does not have.

DOCUMENTATION = r"""
module: minio_bucket
version_added: 0.1.0
short_description: Manage buckets of MinIO
description:
  - Creates buckets, switches their versioning and removes empty ones, several in one call.
author:
  - The homelab.data_platform contributors (@homelab)
extends_documentation_fragment:
  - homelab.data_platform.minio
  - homelab.data_platform.attributes.full
options:
  buckets:
    description: The buckets to manage. Buckets that are not listed are left alone.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the bucket.
        type: str
        required: true
      versioning:
        description:
          - Whether overwritten and deleted objects are kept as old versions.
          - V(false) stops keeping new ones, and those that exist stay. When left out, the versioning is left alone.
        type: bool
      state:
        description: Whether the bucket is to exist. A bucket that holds anything, old versions included, is never removed.
        type: str
        choices: [present, absent]
        default: present
seealso:
  - module: homelab.data_platform.minio_policy
"""

EXAMPLES = r"""
- name: A bucket that keeps old versions
  homelab.data_platform.minio_bucket:
    url: https://minio.example.com:9000
    access_key: "{{ minio_root_user }}"
    secret_key: "{{ minio_root_password }}"
    ca_path: /etc/ssl/lab-ca.crt
    buckets:
      - {name: datalake, versioning: true}
"""

RETURN = r"""
results:
  description: What happened to each bucket, in the order of O(buckets); in check mode, what would happen.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the bucket.
      type: str
      sample: datalake
    action:
      description: V(created), V(updated), V(removed) or V(unchanged).
      type: str
      sample: created
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.buckets import apply, plan, refuse_removal_of_data, validate
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.change import report
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.client import argument_spec, session

BUCKET = {
    "name": {"type": "str", "required": True},
    "versioning": {"type": "bool"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def main() -> None:
    """Plan, then act unless in check mode."""
    module = AnsibleModule(
        argument_spec={**argument_spec(), "buckets": {"type": "list", "elements": "dict", "required": True, "options": BUCKET}},
        supports_check_mode=True,
    )
    buckets = module.params["buckets"]
    with session(module) as client:
        validate(buckets)
        changes = [plan(client.versioning(bucket["name"]), bucket) for bucket in buckets]
        refuse_removal_of_data(client, changes)
        if not module.check_mode:
            for change in changes:
                apply(client, change)
        module.exit_json(**report(changes, diff=module._diff))


if __name__ == "__main__":
    main()
