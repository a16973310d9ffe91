# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A git repository of DAGs: how it is named, and how git-sync may read it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.errors import AirflowError
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.fields import with_defaults

DEFAULTS = {
    "branch": "main",
    "path": "dags",
    "period": 60,
    "username": "",
    "credentials_secret": "",
    "ssh_key_secret": "",
    "known_hosts": "",
}
_SCP_FORM = re.compile(r"(?:[^@/\s]+@)?(?P<host>[^:/\s]+):(?!//)\S+")
"""`git@host:path`, ssh's shorter form."""


def checked(dags: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    """Return the declaration with its defaults, or refuse what git-sync could not read or would read without looking whose it is."""
    result = with_defaults("airflow_dags", dags, DEFAULTS, required=["repository"])
    if result["period"] < 1:
        raise AirflowError(f"airflow_dags.period is {result['period']}; wanted seconds, at least 1.")
    ssh_host = _ssh_host(result["repository"])
    if ssh_host:
        _check_ssh(result, given, ssh_host)
    else:
        _check_https(result, given)
    return result


def access(dags: Mapping[str, Any], declaration: Mapping[str, Any]) -> dict[str, str]:
    """Return the values that name the Secret, the user's or ours, and the host keys."""
    ours = declaration["secrets"]["git"]
    if dags["known_hosts"]:
        return {"sshKeySecret": dags["ssh_key_secret"] or ours, "knownHosts": dags["known_hosts"]}
    secret = ours if dags["username"] else dags["credentials_secret"]
    return {"credentialsSecret": secret} if secret else {}


def _ssh_host(repository: str) -> str:
    """Return the host that ssh is going to ask for, empty for HTTPS."""
    address = urlsplit(repository)
    if address.scheme in ("https", "http") and address.hostname:
        if address.username or address.password:
            raise AirflowError(
                "airflow_dags.repository holds a user or password, which everybody could read in the pods: "
                "declare airflow_dags.username and airflow_git_password, or airflow_dags.credentials_secret."
            )
        return ""
    if address.scheme == "ssh" and address.hostname:
        return f"[{address.hostname}]:{address.port}" if address.port not in (None, 22) else address.hostname
    short = _SCP_FORM.fullmatch(repository)
    if short:
        return short["host"]
    raise AirflowError(
        f"airflow_dags.repository is {repository!r}; wanted https://host/path.git, ssh://git@host/path.git or git@host:path.git."
    )


def _check_ssh(dags: Mapping[str, Any], given: Collection[str], host: str) -> None:
    where = f"airflow_dags.repository is {dags['repository']}, read over SSH"
    if dags["username"] or dags["credentials_secret"]:
        raise AirflowError(f"{where}, which takes a key and no password: remove airflow_dags.username and airflow_dags.credentials_secret.")
    if bool(dags["ssh_key_secret"]) == ("git_ssh_key" in given):
        raise AirflowError(
            f"{where}: declare its deploy key once, by airflow_git_ssh_key (in a vault) or by airflow_dags.ssh_key_secret, "
            "a Secret in Airflow's namespace with the key gitSshKey."
        )
    if not dags["known_hosts"].strip():
        raise AirflowError(
            f"{where}, but airflow_dags.known_hosts is empty: without the server's host keys anybody could pose as it. Get them with "
            f"`ssh-keyscan {_keyscan(host)}`, compare them with what the server's owner publishes, and declare them."
        )
    lines = [line.split() for line in dags["known_hosts"].splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for fields in lines:
        if len(fields) < 3:
            raise AirflowError(
                f"airflow_dags.known_hosts has the line {' '.join(fields)!r}; wanted lines as of ssh-keyscan: host type key."
            )
    names = {name for fields in lines for name in fields[0].split(",")}
    plain = not any(name.startswith(("|", "@")) or set(name) & set("*?!") for name in names)
    if plain and host not in names:
        raise AirflowError(f"airflow_dags.known_hosts has keys of {', '.join(sorted(names))}, but none of {host}.")


def _keyscan(host: str) -> str:
    name, _colon, port = host.rpartition(":")
    return f"-p {port} {name.strip('[]')}" if name else host


def _check_https(dags: Mapping[str, Any], given: Collection[str]) -> None:
    where = f"airflow_dags.repository is {dags['repository']}, read over HTTPS"
    if dags["ssh_key_secret"] or dags["known_hosts"] or "git_ssh_key" in given:
        raise AirflowError(
            f"{where}, which takes no SSH key: write it as ssh://git@host/path.git, or remove airflow_dags.ssh_key_secret, "
            "airflow_dags.known_hosts and airflow_git_ssh_key."
        )
    if bool(dags["username"]) != ("git_password" in given):
        raise AirflowError(f"{where}: airflow_dags.username and airflow_git_password (in a vault) belong together; one of them is missing.")
    if dags["username"] and dags["credentials_secret"]:
        raise AirflowError(f"{where}: declare airflow_dags.username or airflow_dags.credentials_secret, not both.")
