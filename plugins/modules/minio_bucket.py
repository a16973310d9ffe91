#!/usr/bin/python
# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manage buckets of MinIO."""

from __future__ import annotations

# amazon.aws.s3_bucket (as of 11.4) does not serve here: it has no check mode (the task is skipped, so nothing is predicted) and no
# diff, takes one bucket a call, and asks for a dozen settings that MinIO does not have. The rules of a lifecycle would be a task
# each (s3_lifecycle), which adds to what others have set and cannot declare the whole.

DOCUMENTATION = r"""
module: minio_bucket
version_added: 0.1.0
short_description: Manage buckets of MinIO
description:
  - Creates buckets, sets their versioning and lifecycle, makes prefixes real and removes empty buckets, several in one call.
  - Speaks S3 through boto3.
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
      lifecycle:
        description:
          - The rules by which objects expire. They get names that begin with C(data-platform); rules with other names are left alone.
          - A rule that is no longer listed is removed, and an empty list removes all of them. When left out, the lifecycle is left alone.
          - Rules are compared by meaning.
          - What only MinIO's own extensions of S3 say in a rule, as its C(--expire-all-object-versions), is not seen here.
          - MinIO removes what is left of unfinished uploads after a day by itself and knows no rule for it.
        type: list
        elements: dict
        suboptions:
          prefix:
            description: The rule is for the objects below this prefix, which ends with a slash. Empty means the whole bucket.
            type: str
            default: ""
          expire_days:
            description:
              - Objects that have not been written for so many days are deleted. In a bucket with versioning, they become old versions.
              - A rule over one of O(buckets[].prefixes) spares objects of no more than one byte, so that the marker stays.
            type: int
          noncurrent_days:
            description: Old versions are removed for good so many days after they were overwritten or deleted.
            type: int
      prefixes:
        description:
          - Prefixes, such as V(logs/spark-log/), that are to be there for programs that do not start without their directory, as
            Spark's History Server and Spark's drivers. An empty object of that name, a directory marker, makes them real.
          - A prefix is real, as it is for Hadoop's S3A, when any object lies below it. Where a rule of O(buckets[].lifecycle) expires
            what lies there, only the marker itself counts, and the rule spares it.
          - Hadoop deletes markers unless its C(fs.s3a.directory.marker.retention) is V(keep). The next run makes them again.
          - Prefixes that are not listed are left alone.
        type: list
        elements: str
      state:
        description: Whether the bucket is to exist. A bucket that holds anything, old versions included, is never removed.
        type: str
        choices: [present, absent]
        default: present
  path_style:
    description:
      - Whether a bucket's name stands in the path of an address, as MinIO has it unless it was set up for domains.
      - V(false) puts it before the host.
    type: bool
    default: true
requirements:
  - boto3 >= 1.28 (on the host that runs the module)
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

- name: Logs that go after a month, and from the old versions a week later, below prefixes that stay
  homelab.data_platform.minio_bucket:
    url: minio.example.com:9000
    access_key: "{{ minio_root_user }}"
    secret_key: "{{ minio_root_password }}"
    buckets:
      - name: datalake
        versioning: true
        lifecycle:
          - {prefix: logs/airflow-logs/, expire_days: 30, noncurrent_days: 7}
          - {prefix: logs/spark-log/, expire_days: 30, noncurrent_days: 7}
        prefixes: [logs/spark-log/]
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
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.buckets import (
    apply,
    plan,
    read,
    refuse_removal_of_data,
    validate,
)
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.change import report
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.connection import argument_spec, session
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.s3 import S3

BUCKET = {
    "name": {"type": "str", "required": True},
    "versioning": {"type": "bool"},
    "lifecycle": {
        "type": "list",
        "elements": "dict",
        "options": {
            "prefix": {"type": "str", "default": ""},
            "expire_days": {"type": "int"},
            "noncurrent_days": {"type": "int"},
        },
    },
    "prefixes": {"type": "list", "elements": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def main() -> None:
    """Plan, then act unless in check mode."""
    module = AnsibleModule(
        argument_spec={
            **argument_spec(),
            "buckets": {"type": "list", "elements": "dict", "required": True, "options": BUCKET},
            "path_style": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    buckets = module.params["buckets"]
    with session(module, S3) as client:
        validate(buckets)
        changes = [plan(read(client, bucket), bucket) for bucket in buckets]
        refuse_removal_of_data(client, changes)
        if not module.check_mode:
            for change in changes:
                apply(client, change)
        module.exit_json(**report(changes, diff=module._diff))


if __name__ == "__main__":
    main()
