# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the DAGs come from."""

from __future__ import annotations

from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.values import derive

from tests.unit.plugins.airflow.declared import declaration


def test_private_repository() -> None:
    git_sync = {**declaration()["git_sync"], "ssh_key_secret": "deploy-key", "known_hosts": "git.lab.test ssh-ed25519 AAAA"}
    values = derive(declaration(git_sync=git_sync), {})["dags"]["gitSync"]
    assert (values["sshKeySecret"], values["knownHosts"]) == ("deploy-key", "git.lab.test ssh-ed25519 AAAA")
    assert "credentialsSecret" not in values
