# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The database of Airflow: where it is, and how a connection to it is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from ansible_collections.homelab.data_platform.plugins.module_utils import ca_files

SYSTEM_ROOTS = "/etc/ssl/certs/ca-certificates.crt"
"""The public roots in Airflow's image. libpq looks for roots in the user's home and nowhere else unless it is told."""


def connection(declaration: Mapping[str, Any]) -> str:
    """Return a template of the connection, with `{password:url}` in the password's place."""
    database = declaration["database"]
    address = f"{database['host']}:{database['port']}/{quote(database['name'], safe='')}"
    options = tls(declaration)
    query = f"?{urlencode(options, safe='/')}" if options else ""
    return f"postgresql://{quote(database['user'], safe='')}:{{password:url}}@{address}{query}"


def tls(declaration: Mapping[str, Any]) -> dict[str, str]:
    """Return libpq's options for the declared `sslmode`. Given roots, libpq would verify even where `require` does not ask for it."""
    mode = declaration["database"]["sslmode"]
    if mode in ("verify-ca", "verify-full"):
        return {"sslmode": mode, "sslrootcert": ca_files.BUNDLE if declaration["ca_config_map"] else SYSTEM_ROOTS}
    return {"sslmode": mode} if mode else {}
