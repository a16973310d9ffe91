# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the DAGs come from."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.errors import AirflowError
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.values import derive

from tests.unit.plugins.airflow.declared import declaration

HOST_KEY = "git.lab.test ssh-ed25519 AAAAC3Nza"
HTTPS = {"source": "git", "repository": "https://git.lab.test/dags.git"}
SSH = {"source": "git", "repository": "git@git.lab.test:dags.git"}
S3 = {"source": "s3", "bucket": "datalake", "prefix": "dags", "secret": "airflow-s3"}


def values(dags: dict[str, Any], version: str = "2.10.4", chart: str = "1.16.0", **changes: Any) -> dict[str, Any]:
    return derive(declaration(version, chart, dags=dags, **changes), {})


def test_public_repository() -> None:
    sync = values(HTTPS)["dags"]["gitSync"]
    assert (sync["repo"], sync["branch"], sync["ref"], sync["subPath"], sync["period"]) == (
        HTTPS["repository"],
        "main",
        "main",
        "dags",
        "60s",
    )
    assert not {"credentialsSecret", "sshKeySecret", "knownHosts"} & set(sync)


@pytest.mark.parametrize(
    ("repository", "host_key"),
    [
        ("git@git.lab.test:dags.git", HOST_KEY),
        ("ssh://git@git.lab.test/dags.git", HOST_KEY),
        ("ssh://git@git.lab.test:2222/dags.git", "[git.lab.test]:2222 ssh-ed25519 AAAAC3Nza"),
        ("git@git.lab.test:dags.git", "|1|c2FsdA==|aGFzaA== ssh-ed25519 AAAAC3Nza"),
        ("git@git.lab.test:dags.git", "# of the wiki\n\n*.lab.test ssh-ed25519 AAAAC3Nza"),
    ],
)
def test_repository_over_ssh_has_the_key_and_the_host_keys(repository: str, host_key: str) -> None:
    dags = {"source": "git", "repository": repository, "known_hosts": host_key}
    theirs = values({**dags, "ssh_key_secret": "deploy-key"})["dags"]["gitSync"]
    assert (theirs["sshKeySecret"], theirs["knownHosts"]) == ("deploy-key", host_key)
    ours = values(dags, given=["git_ssh_key"])["dags"]["gitSync"]
    assert (ours["sshKeySecret"], ours["knownHosts"]) == ("airflow-git", host_key)


def test_private_repository_over_https() -> None:
    assert values({**HTTPS, "credentials_secret": "mine"})["dags"]["gitSync"]["credentialsSecret"] == "mine"
    assert values({**HTTPS, "username": "bot"}, given=["git_password"])["dags"]["gitSync"]["credentialsSecret"] == "airflow-git"


@pytest.mark.parametrize(
    ("dags", "given", "said"),
    [
        ({"source": "ftp"}, [], "source is 'ftp'; wanted one of git, s3, volume, image"),
        ({}, [], "source is None; wanted one of"),
        ({"source": "git"}, [], "airflow_dags.repository is missing"),
        ({**HTTPS, "brnch": "x"}, [], "has the key 'brnch'.*did you mean 'branch'"),
        ({**HTTPS, "period": "60s"}, [], "airflow_dags.period is '60s'; wanted a number"),
        ({**HTTPS, "period": 0}, [], "wanted seconds, at least 1"),
        ({**HTTPS, "repository": "file:///srv/dags"}, [], "wanted https://host/path.git, ssh://"),
        ({**HTTPS, "repository": "https://bot:token@git.lab.test/dags.git"}, [], "holds a user or password"),
        ({**HTTPS, "known_hosts": HOST_KEY}, [], "read over HTTPS, which takes no SSH key"),
        (HTTPS, ["git_ssh_key"], "read over HTTPS, which takes no SSH key"),
        ({**HTTPS, "username": "bot"}, [], "airflow_git_password .* belong together"),
        (HTTPS, ["git_password"], "airflow_git_password .* belong together"),
        ({**HTTPS, "username": "bot", "credentials_secret": "s"}, ["git_password"], "not both"),
        ({**SSH, "known_hosts": HOST_KEY}, [], "declare its deploy key once, by airflow_git_ssh_key"),
        ({**SSH, "known_hosts": HOST_KEY, "ssh_key_secret": "s"}, ["git_ssh_key"], "declare its deploy key once"),
        (SSH, ["git_ssh_key"], "known_hosts is empty.*ssh-keyscan git.lab.test`"),
        ({**SSH, "repository": "ssh://git@git.lab.test:22022/d.git"}, ["git_ssh_key"], "ssh-keyscan -p 22022 git.lab.test`"),
        ({**SSH, "known_hosts": "github.com ssh-ed25519 AAAA"}, ["git_ssh_key"], "has keys of github.com, but none of git.lab.test"),
        ({**SSH, "known_hosts": "git.lab.test"}, ["git_ssh_key"], "has the line 'git.lab.test'; wanted lines as of ssh-keyscan"),
        ({**SSH, "known_hosts": HOST_KEY, "username": "git"}, ["git_ssh_key"], "takes a key and no password"),
        ({"source": "s3"}, [], "airflow_dags.bucket is missing"),
        ({**S3, "claim": "c"}, [], "has the key 'claim', which is not one of bucket, prefix"),
        ({**S3, "period": 0}, [], "wanted seconds, at least 1"),
        ({"source": "volume"}, [], "airflow_dags.claim is missing"),
        ({"source": "image", "repository": "x"}, [], "has the key 'repository', which is not one of path"),
    ],
)
def test_what_cannot_work_is_refused(dags: dict[str, Any], given: list[str], said: str) -> None:
    with pytest.raises(AirflowError, match=said):
        values(dags, given=given)


def test_volume_is_mounted_by_the_chart() -> None:
    assert values({"source": "volume", "claim": "dags"})["dags"] == {"persistence": {"enabled": True, "existingClaim": "dags"}}
    deeper = values({"source": "volume", "claim": "dags", "path": "/team/dags/"})["dags"]["persistence"]
    assert deeper["subPath"] == "team/dags"


def test_dags_of_the_image() -> None:
    assert not {"dags"} & set(values({"source": "image"}))
    assert values({"source": "image", "path": "/srv/dags"})["config"]["core"]["dags_folder"] == "/srv/dags"


@pytest.mark.parametrize(
    ("version", "chart", "executor", "beside", "once"),
    [
        ("2.10.4", "1.16.0", "KubernetesExecutor", {"scheduler", "triggerer"}, {"workers"}),
        ("2.10.4", "1.16.0", "CeleryExecutor", {"scheduler", "triggerer", "workers"}, set()),
        ("3.2.2", "1.22.0", "KubernetesExecutor", {"dagProcessor", "triggerer"}, {"workers"}),
        ("3.2.2", "1.22.0", "LocalExecutor", {"dagProcessor", "triggerer", "scheduler"}, {"workers"}),
    ],
)
def test_bucket_reaches_every_reader_of_dags(version: str, chart: str, executor: str, beside: set[str], once: set[str]) -> None:
    found = values(S3, version, chart, executor=executor, triggerer=True)
    assert found["config"]["core"]["dags_folder"] == "/opt/airflow/dags/current"
    assert {name for name, part in found.items() if isinstance(part, dict) and "extraContainers" in part} == beside
    assert {name for name, part in found.items() if isinstance(part, dict) and "extraInitContainers" in part} == beside | once
    for name in beside | once:
        (init,) = found[name]["extraInitContainers"]
        assert init["envFrom"] == [{"secretRef": {"name": "airflow-s3"}}]
        assert {"name": "DAGS_PERIOD", "value": "0"} in init["env"]
        assert {"name": "AWS_CA_BUNDLE", "value": "/etc/data-platform/ca/ca-bundle.crt"} in init["env"]
        assert found[name]["extraVolumeMounts"] == [{"name": "dags", "mountPath": "/opt/airflow/dags", "readOnly": True}]


def test_scripts_hold_nothing_that_helm_would_read_as_a_template() -> None:
    assert all("{{" not in script for script in declaration()["scripts"].values())
