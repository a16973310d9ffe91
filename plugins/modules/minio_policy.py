#!/usr/bin/python
# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manage canned policies of MinIO."""

from __future__ import annotations

DOCUMENTATION = r"""
module: minio_policy
version_added: 0.1.0
short_description: Manage canned policies of MinIO
description:
  - Creates, updates and removes canned (named) policies, several in one call.
  - Policies are compared by meaning. The order of statements, actions and resources, a scalar instead of a list of one, repeated
    or differently split statements, the case of C(Effect) and C(Sid) make no difference.
  - A policy is either a document, or a list of grants from which the document of least privilege is made.
  - All documents are validated before the first is sent; an error names the place of the fault, such as
    C(policies[0].policy.Statement[1].Resource[0]).
author:
  - The homelab.data_platform contributors (@homelab)
extends_documentation_fragment:
  - homelab.data_platform.minio
  - homelab.data_platform.minio.admin
  - homelab.data_platform.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Both sides are shown in one canonical form, so that only what differs in meaning appears.
  idempotent:
    support: full
options:
  policies:
    description: The policies to manage. Policies that are not listed are left alone.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the policy. It may hold no comma.
        type: str
        required: true
      policy:
        description:
          - The policy document, as a mapping or as JSON.
          - C(Version) is filled in where it is missing.
        type: json
      grants:
        description: What the policy gives, in plain words. The document is made from it.
        type: list
        elements: dict
        suboptions:
          bucket:
            description: Name of the bucket.
            type: str
            required: true
          prefix:
            description:
              - The grant opens the objects below this prefix, which must end with a slash. Empty means every object of the bucket.
              - Policy variables such as C(${aws:username}) are allowed. Wildcards are not.
            type: str
            default: ""
          access:
            description:
              - V(list) opens the listing and the location of the bucket, and no object. MinIO lists the names of old versions with it.
              - V(read) opens reading of objects, their old versions included.
              - V(write) opens writing and deleting of objects, multipart uploads included, and denies the deleting of old versions.
              - V(read-write) is both.
            type: str
            choices: [list, read, write, read-write]
            required: true
          list_prefix:
            description:
              - With O(policies[].grants[].access=list), limits the listing to these prefixes (condition C(s3:prefix)).
              - Mind that clients which look at a parent directory first, as Hadoop's S3A does, are then refused.
            type: list
            elements: str
      state:
        description: Whether the policy is to exist. A policy that is still attached to a user or group is not removed.
        type: str
        choices: [present, absent]
        default: present
  overwrite_builtin:
    description: Allow changing or removing MinIO's own policies (C(consoleAdmin), C(diagnostics), C(readonly), C(readwrite), C(writeonly)).
    type: bool
    default: false
seealso:
  - module: homelab.data_platform.minio_user
  - module: homelab.data_platform.minio_bucket
"""

EXAMPLES = r"""
- name: Let Airflow list the bucket, and read and write its logs
  homelab.data_platform.minio_policy:
    url: https://minio.example.com:9000
    access_key: "{{ minio_root_user }}"
    secret_key: "{{ minio_root_password }}"
    ca_path: /etc/ssl/lab-ca.crt
    policies:
      - name: airflow-admin
        grants:
          - {bucket: datalake, access: list}
          - {bucket: datalake, prefix: logs/airflow-logs/, access: read-write}

- name: Give a document, and remove a policy that is no longer needed
  homelab.data_platform.minio_policy:
    url: https://minio.example.com:9000
    access_key: "{{ minio_root_user }}"
    secret_key: "{{ minio_root_password }}"
    policies:
      - name: public-reports
        policy:
          Statement:
            - Effect: Allow
              Action: s3:GetObject
              Resource: arn:aws:s3:::reports/public/*
      - name: reports-2019
        state: absent
"""

RETURN = r"""
results:
  description: What happened to each policy, in the order of O(policies); in check mode, what would happen.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the policy.
      type: str
      sample: airflow-admin
    action:
      description: V(created), V(updated), V(removed) or V(unchanged).
      type: str
      sample: updated
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.admin import Admin
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.change import report
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.connection import argument_spec, session
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.policies import (
    apply,
    plan,
    refuse_removal_in_use,
    wanted_policies,
)

POLICY = {
    "name": {"type": "str", "required": True},
    "policy": {"type": "json"},
    "grants": {
        "type": "list",
        "elements": "dict",
        "options": {
            "bucket": {"type": "str", "required": True},
            "prefix": {"type": "str", "default": ""},
            "access": {"type": "str", "choices": ["list", "read", "write", "read-write"], "required": True},
            "list_prefix": {"type": "list", "elements": "str"},
        },
    },
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def main() -> None:
    """Plan, then act unless in check mode."""
    module = AnsibleModule(
        argument_spec={
            **argument_spec(),
            "policies": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": POLICY,
                "mutually_exclusive": [("policy", "grants")],
                "required_if": [("state", "present", ("policy", "grants"), True)],
            },
            "overwrite_builtin": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    with session(module, Admin) as client:
        wanted = wanted_policies(module.params["policies"])
        changes = plan(client.policies(), wanted, overwrite_builtin=module.params["overwrite_builtin"])
        refuse_removal_in_use(client, changes)
        if not module.check_mode:
            apply(client, changes, wanted)
        module.exit_json(**report(changes, diff=module._diff))


if __name__ == "__main__":
    main()
