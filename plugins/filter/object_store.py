# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies, Secrets and users of the object store, from one declaration of identities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: object_store
short_description: Policies, Secrets and users of the object store, from one declaration of identities
version_added: 0.1.0
author: The homelab.data_platform contributors (@homelab)
description:
  - Takes the identities of the role C(object_store) and gives what the modules need that make them.
  - The policy and the user of an identity carry its name. Its keys are kept in one Secret, as C(access-key), C(secret-key) and C(endpoint).
  - Each entry of its C(environment) is a further Secret, whose keys are environment variables, composed from that one. With C(connection)
    it holds the Airflow connection of that name (C(AIRFLOW_CONN_<NAME>)), without it what the SDKs of AWS read (C(AWS_ACCESS_KEY_ID),
    C(AWS_SECRET_ACCESS_KEY), C(AWS_ENDPOINT_URL_S3), C(AWS_REGION)). Several connections may share a Secret.
positional: url
options:
  _input:
    description:
      - The identities, each with C(name), C(grants), C(secret) (C(name), C(namespace)), and on demand C(secret_key) and C(environment)
        (a list of C(secret), C(namespaces) and C(connection)).
    type: list
    elements: dict
    required: true
  url:
    description: Address of the object store, for the Secrets.
    type: str
    required: true
  region:
    description: Its region, for the Secrets.
    type: str
    default: us-east-1
  rotate:
    description: Names of identities that get a new secret key.
    type: list
    elements: str
    default: []
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

KEY_LENGTH = 40
"""Of a generated secret key, as AWS has it."""


def object_store(
    identities: Sequence[Mapping[str, Any]], url: str, region: str = "us-east-1", rotate: Sequence[str] = ()
) -> dict[str, list[dict[str, Any]]]:
    """What the modules are to make of the identities."""
    _check(identities, rotate)
    # The modules take host:port for https; what programs read is an address in full.
    url = url if "://" in url else f"https://{url}"
    return {
        "policies": [{"name": identity["name"], "grants": identity["grants"]} for identity in identities],
        "secrets": [
            *(_keys(identity, url, rotate=identity["name"] in rotate) for identity in identities),
            *_environments(identities, url, region),
        ],
        "users": [{"name": identity["name"], "policies": [identity["name"]], **_secret_key(identity, rotate)} for identity in identities],
    }


def _check(identities: Sequence[Mapping[str, Any]], rotate: Sequence[str]) -> None:
    given = {identity["name"]: bool(identity.get("secret_key")) for identity in identities}
    for name in rotate:
        if name not in given:
            raise AnsibleFilterError(f"object_store_rotate names {name!r}, which is no identity; there are {', '.join(given)}.")
        if given[name]:
            raise AnsibleFilterError(f"object_store_rotate names {name!r}, whose secret_key is given: change it there instead.")


def _keys(identity: Mapping[str, Any], url: str, *, rotate: bool) -> dict[str, Any]:
    """The Secret that keeps an identity's keys. A key is generated once, unless it is given."""
    data = {"access-key": identity["name"], "endpoint": url}
    if identity.get("secret_key"):
        return {**_place(identity), "data": {**data, "secret-key": identity["secret_key"]}}
    entry = {**_place(identity), "data": data, "generate": {"secret-key": {"length": KEY_LENGTH}}}
    return {**entry, "rotate": ["secret-key"]} if rotate else entry


def _secret_key(identity: Mapping[str, Any], rotate: Sequence[str]) -> dict[str, Any]:
    """Where the key of an identity's user comes from: one that is given needs no way round by its Secret."""
    if identity.get("secret_key"):
        return {"secret_key": identity["secret_key"]}
    return {"secret_key_from": {**_place(identity), "planned": identity["name"] in rotate}}


def _environments(identities: Sequence[Mapping[str, Any]], url: str, region: str) -> list[dict[str, Any]]:
    """The Secrets whose keys are environment variables; what several identities put into the same one comes together."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for index, identity in enumerate(identities):
        key = {**_place(identity), "key": "secret-key"}
        for environment in identity.get("environment") or []:
            for namespace in environment["namespaces"]:
                place = (namespace, environment["secret"])
                secret = found.setdefault(place, {"namespace": place[0], "name": place[1]})
                if environment.get("connection"):
                    # Each identity's input has a name of its own, for several may share the Secret.
                    secret.setdefault("inputs", {})[f"key-{index}"] = key
                    extra = {"endpoint_url": url, "region_name": region}
                    connection = {"conn_type": "aws", "login": identity["name"], "password": f"{{key-{index}}}", "extra": extra}
                    secret.setdefault("template", {})[f"AIRFLOW_CONN_{environment['connection'].upper()}"] = connection
                else:
                    addresses = {"AWS_ENDPOINT_URL_S3": url, "AWS_REGION": region}
                    secret.setdefault("data", {}).update({"AWS_ACCESS_KEY_ID": identity["name"], **addresses})
                    secret.setdefault("from", {})["AWS_SECRET_ACCESS_KEY"] = key
    return list(found.values())


def _place(identity: Mapping[str, Any]) -> dict[str, Any]:
    return {key: identity["secret"][key] for key in ("namespace", "name")}


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """By name."""
        return {"object_store": object_store}
