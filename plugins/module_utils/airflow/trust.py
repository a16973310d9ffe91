# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The private CA in Airflow's containers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.ca_files import BUNDLE, DIRECTORY

VOLUME = "data-platform-ca"


def volumes(declaration: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the volume with the CA, if the declaration names one."""
    name = declaration["ca_config_map"]
    return [{"name": VOLUME, "configMap": {"name": name}}] if name else []


def mounts(declaration: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the mount of that volume."""
    return [{"name": VOLUME, "mountPath": DIRECTORY, "readOnly": True}] if declaration["ca_config_map"] else []


def environment(declaration: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables by which Python's clients and git find the CA."""
    if not declaration["ca_config_map"]:
        return {}
    return dict.fromkeys(("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "GIT_SSL_CAINFO"), BUNDLE)
