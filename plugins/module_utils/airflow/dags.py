# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the DAGs come from, as values of Airflow's chart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.airflow import trust


def git_sync(declaration: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of git-sync."""
    sync = declaration["git_sync"]
    values: dict[str, Any] = {
        "enabled": True,
        "repo": sync["repo"],
        "branch": sync["branch"],
        "ref": sync["branch"],
        "subPath": sync["subpath"],
        "depth": 1,
        "period": sync["period"],
        # A repository that is away for a while must not restart the scheduler.
        "maxFailures": 10,
        "resources": declaration["resources"]["git_sync"],
    }
    for key, name in (("credentialsSecret", "credentials_secret"), ("sshKeySecret", "ssh_key_secret"), ("knownHosts", "known_hosts")):
        if sync[name]:
            values[key] = sync[name]
    if declaration["ca_config_map"]:
        values["env"] = [{"name": "GIT_SSL_CAINFO", "value": trust.environment()["GIT_SSL_CAINFO"]}]
        values["extraVolumeMounts"] = [trust.mount()]
    return values
