# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Kubernetes modules share: their connection options, and what is masked in their output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule, env_fallback, missing_required_lib

if TYPE_CHECKING:
    from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import Client

SECRET_FIELDS = ("client-key-data", "password", "token", "id-token", "refresh-token", "client-secret", "access-token")
"""Fields of a kubeconfig that nobody may read."""


def connection_argument_spec() -> dict[str, dict[str, Any]]:
    """Argument specification, matching the documentation fragment ``kubernetes``."""
    return {
        "kubeconfig": {"type": "raw", "no_log": True, "fallback": (env_fallback, ["K8S_AUTH_KUBECONFIG"])},
        "context": {"type": "str", "fallback": (env_fallback, ["K8S_AUTH_CONTEXT"])},
    }


def connect(module: AnsibleModule) -> Client:
    """Return the client for a module's connection options."""
    # Imported where it is used: the package takes two seconds, and minio_user often needs no cluster.
    from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import IMPORT_ERROR, Client

    if IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=IMPORT_ERROR)
    return Client(module.params["kubeconfig"], module.params["context"])


def unmask_kubeconfig(module: AnsibleModule) -> None:
    """Leave only a kubeconfig's secrets to be masked.

    The option is ``no_log``, which keeps it out of the system's log; but that also masks every word in it ("v1", "lab", "admin")
    wherever it occurs in results and error messages, which nobody could read any more.
    """
    kubeconfig = module.params["kubeconfig"]
    if isinstance(kubeconfig, Mapping):
        secrets = {value for key, value in _strings(kubeconfig) if key in SECRET_FIELDS or _is_exec_environment(kubeconfig, value)}
        module.no_log_values = (module.no_log_values - {value for _key, value in _strings(kubeconfig)}) | secrets
    elif kubeconfig:
        module.no_log_values = module.no_log_values - {str(kubeconfig)}


def _strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every leaf as the text that Ansible would mask, with the key that it stands under."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _strings(item, str(name))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _strings(item, key)
    elif value is not None and not isinstance(value, bool):
        yield key, str(value)


def _is_exec_environment(kubeconfig: Mapping[str, Any], value: str) -> bool:
    """Whether a word is the value of an environment variable of a credential plugin."""
    for user in kubeconfig.get("users") or []:
        variables = ((user.get("user") or {}).get("exec") or {}).get("env") or []
        if any(str(variable.get("value")) == value for variable in variables):
            return True
    return False
