#!/usr/bin/python
# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manage users of MinIO."""

from __future__ import annotations

DOCUMENTATION = r"""
module: minio_user
version_added: 0.1.0
short_description: Manage users of MinIO
description:
  - Creates, enables, disables and removes users, sets their secret keys and attaches policies, several users in one call.
  - The Kubernetes options matter only where O(users[].secret_key_from) is used.
  - MinIO never gives a secret key back. Whether a user's secret is still the declared one is proven by signing a request with it,
    so a secret that was changed elsewhere is found and set right, and a new one in the declaration rotates it.
author:
  - The homelab.data_platform contributors (@homelab)
extends_documentation_fragment:
  - homelab.data_platform.minio
  - homelab.data_platform.minio.admin
  - homelab.data_platform.kubernetes
  - homelab.data_platform.attributes
attributes:
  check_mode:
    support: full
    details:
      - A policy that does not exist yet is no error in check mode, for an earlier task may only have predicted it.
  diff_mode:
    support: full
    details:
      - Says that a secret differs, and never shows it.
  idempotent:
    support: full
options:
  users:
    description: The users to manage. Users that are not listed are left alone.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the user, which is its access key too.
        type: str
        required: true
      secret_key:
        description:
          - Secret key of the user, at least 8 characters. Needed to create one.
          - When left out, the secret of an existing user is neither tried nor changed.
          - The secret of a user that is and stays disabled cannot be tried. It is written when the user is enabled again.
        type: str
      secret_key_from:
        description:
          - The Kubernetes Secret that holds the secret key. The module reads it itself, so that the key never passes through Ansible.
          - In check mode a Secret that does not exist yet stands for a new key, for an earlier task may only have predicted it.
        type: dict
        suboptions:
          namespace:
            description: Namespace of the Secret.
            type: str
            required: true
          name:
            description: Name of the Secret.
            type: str
            required: true
          key:
            description: Key in the Secret.
            type: str
            default: secret-key
          planned:
            description:
              - In check mode, whether an earlier task has planned a new value. It then stands for one that the server does not know.
            type: bool
            default: false
      policies:
        description:
          - Policies that the user is to hold, and no others. An empty list detaches all of them.
          - When left out, the policies are left alone. Policies that come by a group are never touched.
        type: list
        elements: str
      append_policies:
        description: Attach O(users[].policies) and leave others that the user holds in place.
        type: bool
        default: false
      state:
        description:
          - V(present) is an enabled user, V(disabled) one that exists and may do nothing.
          - V(absent) removes the user and the service accounts below it.
        type: str
        choices: [present, disabled, absent]
        default: present
seealso:
  - module: homelab.data_platform.minio_policy
  - module: homelab.data_platform.kubernetes_secret
"""

EXAMPLES = r"""
- name: Airflow's own identity
  homelab.data_platform.minio_user:
    url: https://minio.example.com:9000
    access_key: "{{ minio_root_user }}"
    secret_key: "{{ minio_root_password }}"
    ca_path: /etc/ssl/lab-ca.crt
    users:
      - name: airflow-admin
        secret_key: "{{ airflow_secret_key }}"
        policies: [airflow-admin]

- name: The same, with a key that lives in a Kubernetes Secret
  homelab.data_platform.minio_user:
    url: https://minio.example.com:9000
    access_key: "{{ minio_root_user }}"
    secret_key: "{{ minio_root_password }}"
    kubeconfig: "{{ lookup('ansible.builtin.file', '~/.kube/config') | from_yaml }}"
    users:
      - name: airflow-admin
        secret_key_from: {namespace: airflow, name: airflow-object-store}
        policies: [airflow-admin]

- name: Lock one user out, and remove another
  homelab.data_platform.minio_user:
    url: https://minio.example.com:9000
    access_key: "{{ minio_root_user }}"
    secret_key: "{{ minio_root_password }}"
    users:
      - {name: contractor, state: disabled}
      - {name: former-employee, state: absent}
"""

RETURN = r"""
results:
  description: What happened to each user, in the order of O(users); in check mode, what would happen. Never a key.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the user.
      type: str
      sample: airflow-admin
    action:
      description: V(created), V(updated), V(removed) or V(unchanged).
      type: str
      sample: created
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.arguments import connection_argument_spec
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.admin import Admin
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.change import report
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.connection import argument_spec, session
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.secret_source import fill_in
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.users import (
    apply,
    look,
    plan,
    refuse_unknown_policies,
    wanted_users,
)

USER = {
    "name": {"type": "str", "required": True},
    "secret_key": {"type": "str", "no_log": True},
    "secret_key_from": {
        "type": "dict",
        "no_log": False,
        "options": {
            "namespace": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "key": {"type": "str", "default": "secret-key", "no_log": False},
            "planned": {"type": "bool", "default": False},
        },
    },
    "policies": {"type": "list", "elements": "str"},
    "append_policies": {"type": "bool", "default": False},
    "state": {"type": "str", "choices": ["present", "disabled", "absent"], "default": "present"},
}


def main() -> None:
    """Plan, then act unless in check mode."""
    module = AnsibleModule(
        argument_spec={
            **argument_spec(),
            **connection_argument_spec(),
            "users": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": USER,
                "mutually_exclusive": [("secret_key", "secret_key_from")],
            },
        },
        supports_check_mode=True,
    )
    with session(module, Admin) as client:
        wanted = wanted_users(fill_in(module), module.params["access_key"])
        plans = [plan(found, user, secret_matches) for user, (found, secret_matches) in zip(wanted, look(client, wanted))]
        if not module.check_mode:
            refuse_unknown_policies(client, plans)
            for user, (_change, steps) in zip(wanted, plans):
                apply(client, user, steps)
        module.exit_json(**report([change for change, _steps in plans], diff=module._diff))


if __name__ == "__main__":
    main()
