# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secret keys of users read from Kubernetes Secrets by the module itself, so that they never pass through Ansible."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.arguments import connect, unmask_kubeconfig
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.connection import MinioError

if TYPE_CHECKING:
    from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import Client


def fill_in(module: AnsibleModule) -> list[dict[str, Any]]:
    """The declared users, each C(secret_key_from) replaced by the key that it leads to."""
    users: list[dict[str, Any]] = module.params["users"]
    unmask_kubeconfig(module)
    sources = [user for user in users if user["secret_key_from"] and user["state"] != "absent"]
    if not sources:
        return users
    from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import KubernetesError

    try:
        cluster = connect(module)
        for user in sources:
            user["secret_key"] = _secret_key(cluster, user, check_mode=module.check_mode)
            module.no_log_values.add(user["secret_key"])
    except KubernetesError as error:
        raise MinioError(f"The secret keys cannot be read. {error}") from error
    return users


def _secret_key(cluster: Client, user: Mapping[str, Any], *, check_mode: bool) -> str:
    namespace, name, key = (user["secret_key_from"][part] for part in ("namespace", "name", "key"))
    secret = cluster.get(cluster.path("v1", "Secret", namespace, name))
    encoded = ((secret or {}).get("data") or {}).get(key)
    planned = check_mode and user["secret_key_from"]["planned"]
    if encoded and not planned:
        try:
            return base64.b64decode(encoded).decode()
        except UnicodeDecodeError:
            # Not chained: the exception quotes what it could not read.
            raise MinioError(f"user {user['name']!r}: the key {key!r} of the Secret {namespace}/{name} is no text (UTF-8).") from None
    if check_mode:
        # A run would have made one by now: as new as this one, so that what follows predicts what it would do.
        return secrets.token_hex(20)
    found = f"holds no key {key!r}" if secret else "does not exist"
    raise MinioError(f"user {user['name']!r}: the Secret {namespace}/{name} {found}; create it first (kubernetes_secret).")
