# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies, Secrets and users of the object store, from one declaration of identities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

DOCUMENTATION = r"""
name: object_store
short_description: Policies, Secrets and users of the object store, from one declaration of identities
version_added: 0.1.0
author: The homelab.data_platform contributors (@homelab)
description:
  - Takes the identities of the role C(object_store) and gives what the modules need that make them.
  - The policy and the user of an identity carry its name. Its keys lie in a Secret as C(access-key), C(secret-key) and C(endpoint).
positional: url
options:
  _input:
    description: The identities, each with C(name), C(grants) and C(secret) (C(name) and C(namespace)).
    type: list
    elements: dict
    required: true
  url:
    description: Address of the object store, for the Secrets.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: The policies of all identities
  homelab.data_platform.minio_policy:
    policies: "{{ (object_store_identities | homelab.data_platform.object_store(object_store_url)).policies }}"
"""

RETURN = r"""
_value:
  description:
    - A mapping with C(policies) (for M(homelab.data_platform.minio_policy)), C(secrets) (for
      M(homelab.data_platform.kubernetes_secret)) and C(users) (for M(homelab.data_platform.minio_user)).
  type: dict
"""


def object_store(identities: Sequence[Mapping[str, Any]], url: str) -> dict[str, list[dict[str, Any]]]:
    """What the modules are to make of the identities."""
    return {
        "policies": [{"name": identity["name"], "grants": identity["grants"]} for identity in identities],
        "secrets": [
            {
                **_place(identity),
                "data": {"access-key": identity["name"], "endpoint": url},
                "generate": {"secret-key": {"length": 40}},
            }
            for identity in identities
        ],
        "users": [
            {"name": identity["name"], "secret_key_from": _place(identity), "policies": [identity["name"]]} for identity in identities
        ],
    }


def _place(identity: Mapping[str, Any]) -> dict[str, Any]:
    return {key: identity["secret"][key] for key in ("namespace", "name")}


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """By name."""
        return {"object_store": object_store}
