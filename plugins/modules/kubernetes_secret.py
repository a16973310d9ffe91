#!/usr/bin/python
# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin module: see the documentation below."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_secret
short_description: Secrets of Kubernetes whose values are generated once and never leave the cluster
version_added: 0.1.0
description:
  - Creates and completes any number of Secrets in one call. A value is written down, generated, copied from another Secret, or composed
    of such values by a template, so that a connection string can hold a password that Ansible never sees.
  - A generated value is made where there is none, and then kept; O(secrets[].rotate) makes a new one. Keys that the declaration does not
    speak of stay as they are.
  - Everything is planned before anything is written. Writing is guarded by the resource version, so two runs at once cannot overwrite each
    other's values.
author:
  - The homelab.data_platform contributors (@homelab)
extends_documentation_fragment:
  - homelab.data_platform.kubernetes
  - homelab.data_platform.attributes.full
attributes:
  idempotent:
    details:
      - With O(secrets[].rotate), each run makes a new value.
options:
  secrets:
    description: The Secrets, in the order in which they are made. A later one can copy from an earlier one.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the Secret.
        type: str
        required: true
      namespace:
        description: Its namespace.
        type: str
        required: true
      state:
        description: Whether it should exist.
        type: str
        choices: [present, absent]
        default: present
      type:
        description: Its type, V(Opaque) for a new one when not set. Kubernetes does not let it be changed.
        type: str
      labels:
        description: Labels that it should have; others are left alone.
        type: dict
        default: {}
      annotations:
        description: Annotations that it should have; others are left alone.
        type: dict
        default: {}
      data:
        description: Values as they are (not in base64).
        type: dict
        default: {}
      generate:
        description:
          - Values that are made where there are none, by key. Each is a dictionary with a C(format) and a C(length); an empty one stands
            for 32 letters and digits.
          - The format V(alphanumeric) is letters and digits, V(hex) small hexadecimal digits, V(urlsafe) letters, digits, C(-) and C(_),
            V(fernet) a key for Fernet encryption, whose length is fixed.
        type: dict
        default: {}
      from:
        description:
          - Values that are copied from other Secrets, by key.
          - Each names the C(namespace) (this Secret's own when left out), the C(name) and the C(key) (the same when left out).
        type: dict
        default: {}
      inputs:
        description:
          - Values of other Secrets, as in O(secrets[].from), that templates may use under the given name.
          - They are not stored in this Secret.
        type: dict
        default: {}
      template:
        description:
          - Values that are composed of others, by key. C({password}) stands for the value of the key C(password) of the same Secret, of an
            input or of an earlier template. C({password:url}) is percent-encoded, C({password:json}) a JSON string with its quotes,
            C({password:base64}) in base64. A brace that is meant as one is written twice.
          - A dictionary or a list is filled inside and stored as JSON, which needs no quoting and no doubled braces.
        type: dict
        default: {}
      rotate:
        description: Generated keys that get a new value in this run, even if there is one.
        type: list
        elements: str
        default: []
  create_namespaces:
    description: Whether namespaces that do not exist are created. Otherwise their absence is an error, except in check mode.
    type: bool
    default: false
seealso:
  - module: homelab.data_platform.kubernetes_ready
  - module: kubernetes.core.k8s
"""

EXAMPLES = r"""
- name: A password for the database, and Airflow's connection to it
  homelab.data_platform.kubernetes_secret:
    kubeconfig: "{{ platform_kubeconfig }}"
    secrets:
      - name: postgresql
        namespace: airflow
        generate:
          password: {length: 40}
      - name: airflow-metadata
        namespace: airflow
        inputs:
          password: {name: postgresql, key: password}
        template:
          connection: "postgresql://airflow:{password:url}@postgresql.airflow:5432/airflow"

- name: A connection in Airflow's JSON form, with keys that another Secret holds
  homelab.data_platform.kubernetes_secret:
    kubeconfig: ~/.kube/config
    secrets:
      - name: airflow-connections
        namespace: airflow
        inputs:
          login: {namespace: minio, name: airflow-admin, key: access-key}
          password: {namespace: minio, name: airflow-admin, key: secret-key}
        template:
          AIRFLOW_CONN_MINIO:
            conn_type: aws
            login: "{login}"
            password: "{password}"
            extra: {endpoint_url: "https://minio.home.arpa:9000"}

- name: A Fernet key that outlives every release
  homelab.data_platform.kubernetes_secret:
    secrets:
      - name: airflow-fernet
        namespace: airflow
        generate:
          fernet-key: {format: fernet}

- name: A new password, this once
  homelab.data_platform.kubernetes_secret:
    secrets:
      - name: admin
        namespace: airflow
        generate:
          password: {}
        rotate: [password]
"""

RETURN = r"""
secrets:
  description: The Secrets, in the order of the option.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the Secret.
      type: str
    namespace:
      description: Its namespace.
      type: str
    action:
      description: What was done, or would be done in check mode.
      type: str
      sample: create
    actions:
      description: What happened to each declared key, V(generated), V(rotated), V(set), V(changed) or V(kept).
      type: dict
      sample: {password: generated}
    checksum:
      description:
        - Fingerprint of the declared keys together, for a pod's annotation. It tells nothing about the values to those who may not read
          the Secret, since it is keyed with the Secret's random uid.
        - None where check mode cannot know it.
      type: str
      sample: 6c1f4c0e4d0c5f2b9ed5f7a8fb2b8fcf2c6b3d9b5a4b6f6e0c4a5d0d8d2c7c11
    checksums:
      description: The same for each declared key.
      type: dict
namespaces_created:
  description: Namespaces that were created, or would be in check mode.
  returned: success
  type: list
  elements: str
assumed:
  description: Secrets that the declaration refers to, that do not exist, and that check mode takes for planned by an earlier task.
  returned: in check mode
  type: list
  elements: str
  sample: [airflow/postgresql]
"""

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.arguments import (
    connect,
    connection_argument_spec,
    unmask_kubeconfig,
)
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import KubernetesError
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.secret_store import SecretStore
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.secrets import parse

SECRET_OPTIONS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "type": {"type": "str"},
    "labels": {"type": "dict", "default": {}},
    "annotations": {"type": "dict", "default": {}},
    "data": {"type": "dict", "default": {}, "no_log": True},
    "generate": {"type": "dict", "default": {}},
    "from": {"type": "dict", "default": {}},
    "inputs": {"type": "dict", "default": {}},
    "template": {"type": "dict", "default": {}, "no_log": True},
    "rotate": {"type": "list", "elements": "str", "default": [], "no_log": False},
}


def without_values(params: Mapping[str, Any]) -> dict[str, Any]:
    """The module's arguments as a result may repeat them."""
    secrets = [{**secret, "data": sorted(secret["data"]), "template": sorted(secret["template"])} for secret in params["secrets"]]
    return {**params, "kubeconfig": "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER", "secrets": secrets}


def main() -> None:
    """Plan every Secret, then write what differs."""
    module = AnsibleModule(
        argument_spec={
            **connection_argument_spec(),
            "secrets": {"type": "list", "elements": "dict", "required": True, "options": SECRET_OPTIONS, "no_log": False},
            "create_namespaces": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    unmask_kubeconfig(module)
    invocation = {"module_args": without_values(module.params)}
    try:
        wanted = [parse(secret) for secret in module.params["secrets"]]
        # Results hold names, never values. Masking is the second guard, but not of words that are names as well, or too short to be secret.
        names = " ".join(secret.words for secret in wanted)
        module.no_log_values = {value for value in module.no_log_values if len(value) >= 8 and value not in names}
        store = SecretStore(connect(module))
        result = store.ensure(wanted, create_namespaces=module.params["create_namespaces"], check_mode=module.check_mode)
    except KubernetesError as error:
        module.fail_json(msg=str(error), invocation=invocation)
    if not module._diff:
        result.pop("diff")
    module.exit_json(**result, invocation=invocation)


if __name__ == "__main__":
    main()
