# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection options that the Proxmox modules share."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule, env_fallback, missing_required_lib
from ansible_collections.homelab.data_platform.plugins.module_utils.proxmox.client import IMPORT_ERROR, Client, Connection


def connection_argument_spec() -> dict[str, dict[str, Any]]:
    """Argument specification, matching the documentation fragment ``proxmox``."""
    spec: dict[str, dict[str, Any]] = {
        "api_host": {"type": "str", "required": True},
        "api_port": {"type": "int", "default": 8006},
        "api_user": {"type": "str", "required": True},
        "api_token_id": {"type": "str", "required": True},
        "api_token_secret": {"type": "str", "required": True, "no_log": True},
        "validate_certs": {"type": "bool", "default": True},
        "ca_path": {"type": "path"},
        "timeout": {"type": "int", "default": 30},
    }
    for name, option in spec.items():
        option["fallback"] = (env_fallback, [f"PROXMOX_{name.removeprefix('api_').upper()}"])
    return spec


def connect(module: AnsibleModule) -> Client:
    """The client for a module's connection options."""
    if IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("proxmoxer and requests"), exception=IMPORT_ERROR)
    options = module.params
    return Client(
        Connection(
            host=options["api_host"],
            port=options["api_port"],
            user=options["api_user"],
            token_id=options["api_token_id"],
            token_secret=options["api_token_secret"],
            validate_certs=options["validate_certs"],
            ca_path=options["ca_path"],
            timeout=options["timeout"],
        )
    )
