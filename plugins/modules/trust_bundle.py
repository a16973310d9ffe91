#!/usr/bin/python
# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hand a private CA to the programs of a cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: trust_bundle
short_description: Hand a private CA to the programs of a cluster
version_added: 0.1.0
description:
  - Keeps a ConfigMap of one name in any number of namespaces, with the certificates of a private CA in the forms that programs read.
  - C(ca.crt) is the private CA alone, in PEM. C(ca-bundle.crt) is the same with the public roots, for programs whose one setting replaces
    what they trust (C(REQUESTS_CA_BUNDLE), C(SSL_CERT_FILE)). C(truststore.p12) is a PKCS12 truststore of the same for Java, with the
    password V(changeit), which guards nothing, for all of it is public.
  - The public roots are those of the Python package certifi where the module runs.
  - A truststore is compared by the certificates in it, since its bytes differ each time that it is made.
author:
  - The homelab.data_platform contributors (@homelab)
extends_documentation_fragment:
  - homelab.data_platform.kubernetes
  - homelab.data_platform.attributes.full
options:
  certificates:
    description: Certificates of the private CA in PEM form, one or more. A private key among them is refused.
    type: str
    required: true
  public_roots:
    description: Whether C(ca-bundle.crt) and C(truststore.p12) hold the public roots too.
    type: bool
    default: true
  name:
    description: Name of the ConfigMap.
    type: str
    required: true
  namespaces:
    description: Where it is kept. A namespace that does not exist is made.
    type: list
    elements: str
    required: true
requirements:
  - certifi
  - cryptography >= 45
seealso:
  - module: homelab.data_platform.kubernetes_restart
"""

EXAMPLES = r"""
- name: Let Airflow and Spark trust the home lab's own CA
  homelab.data_platform.trust_bundle:
    kubeconfig: "{{ platform_kubeconfig }}"
    certificates: "{{ lookup('ansible.builtin.file', 'home-ca.crt') }}"
    name: data-platform-ca
    namespaces: [airflow, spark-jobs]
"""

RETURN = r"""
config_maps:
  description: The ConfigMap in each namespace, in the order of O(namespaces).
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: V(ConfigMap).
      type: str
    name:
      description: Its name.
      type: str
    namespace:
      description: Its namespace.
      type: str
    action:
      description: V(create), V(update) or V(keep); in check mode, what would be done.
      type: str
      sample: update
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes import trust_bundle
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.arguments import (
    connect,
    connection_argument_spec,
    unmask_kubeconfig,
)
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import Client, KubernetesError, Object


def keep(client: Client, namespace: str, name: str, trust: trust_bundle.Trust, *, check_mode: bool) -> tuple[str, Object]:
    """Bring one namespace's ConfigMap to what is wanted; return what was done, and the diff."""
    collection = client.path("v1", "ConfigMap", namespace)
    current = client.get(f"{collection}/{name}")
    change = trust_bundle.plan(current, trust)
    if not change:
        # The common case: a diff would parse every certificate once more.
        return "keep", {}
    after = {part: {**((current or {}).get(part) or {}), **change.get(part, {})} for part in ("data", "binaryData")}
    if not check_mode:
        body = trust_bundle.config_map(namespace, name, current, change)
        if current is None:
            if not client.namespace_exists(namespace):
                client.create_namespace(namespace)
            client.create(collection, body)
        else:
            client.patch(f"{collection}/{name}", body)
    header = f"ConfigMap {namespace}/{name}"
    return "update" if current else "create", {
        "before_header": header,
        "after_header": header,
        "before": trust_bundle.shown(current),
        "after": trust_bundle.shown(after),
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **connection_argument_spec(),
            "certificates": {"type": "str", "required": True},
            "public_roots": {"type": "bool", "default": True},
            "name": {"type": "str", "required": True},
            "namespaces": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    if trust_bundle.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("certifi and cryptography"), exception=trust_bundle.IMPORT_ERROR)
    unmask_kubeconfig(module)
    name = module.params["name"]
    invocation = {"module_args": {"name": name, "namespaces": module.params["namespaces"]}}
    entries: list[dict[str, Any]] = []
    diffs: list[Object] = []
    try:
        trust = trust_bundle.read(module.params["certificates"], public_roots=module.params["public_roots"])
        for authority in trust.expired:
            module.warn(f"The certificate of the CA {authority} has expired: clients refuse what it signed. Renew it.")
        client = connect(module)
        for namespace in dict.fromkeys(module.params["namespaces"]):
            action, diff = keep(client, namespace, name, trust, check_mode=module.check_mode)
            entries.append({"kind": "ConfigMap", "name": name, "namespace": namespace, "action": action})
            diffs += [diff] if action != "keep" else []
    except KubernetesError as error:
        module.fail_json(msg=str(error), invocation=invocation)
    result: dict[str, Any] = {"changed": bool(diffs), "config_maps": entries}
    if module._diff:
        result["diff"] = diffs
    module.exit_json(**result, invocation=invocation)


if __name__ == "__main__":
    main()
