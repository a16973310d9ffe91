# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that every module talking to Proxmox's API has in common."""

from __future__ import annotations


class ModuleDocFragment:
    """Connection to Proxmox's API by a token."""

    DOCUMENTATION = r"""
options:
  api_host:
    description:
      - Name or address of a node of the Proxmox cluster, as its certificate holds it.
      - Taken from the environment variable E(PROXMOX_HOST) when not set.
    type: str
    required: true
  api_port:
    description:
      - Port of the API.
      - Taken from the environment variable E(PROXMOX_PORT) when not set.
    type: int
    default: 8006
  api_user:
    description:
      - User that the token belongs to, with its realm, such as V(ansible@pve).
      - Taken from the environment variable E(PROXMOX_USER) when not set.
    type: str
    required: true
  api_token_id:
    description:
      - Name of the API token.
      - Taken from the environment variable E(PROXMOX_TOKEN_ID) when not set.
    type: str
    required: true
  api_token_secret:
    description:
      - Secret of the API token.
      - Taken from the environment variable E(PROXMOX_TOKEN_SECRET) when not set.
    type: str
    required: true
  validate_certs:
    description:
      - Whether the certificate of the API is verified. Leave it on, and name a private CA in O(ca_path).
      - Taken from the environment variable E(PROXMOX_VALIDATE_CERTS) when not set.
    type: bool
    default: true
  ca_path:
    description:
      - PEM file with the CA that signed the certificate of the API, on the host where the module runs.
      - Without it, the CAs of the Python package C(requests) are used.
      - Taken from the environment variable E(PROXMOX_CA_PATH) when not set.
    type: path
  timeout:
    description:
      - Seconds to wait for the answer to one call. Tasks have a limit of their own.
      - Taken from the environment variable E(PROXMOX_TIMEOUT) when not set.
    type: int
    default: 30
requirements:
  - proxmoxer
  - requests
attributes:
  action_group:
    description: Use C(group/homelab.data_platform.proxmox) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - homelab.data_platform.proxmox
"""
