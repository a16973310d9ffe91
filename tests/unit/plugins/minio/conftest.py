# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real MinIO with TLS on a free port of 127.0.0.1, and the modules as Ansible runs them against it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import boto3
import pytest
from ansible.module_utils.common.parameters import PASS_VARS
from ansible.module_utils.testing import patch_module_args
from botocore.config import Config

from lab import loopback_minio
from lab.object_store import ROOT_USER
from tests.unit.plugins.kubernetes.conftest import api  # noqa: F401  (a fixture: a real apiserver)

ROOT = ROOT_USER
DOMAIN = loopback_minio.DOMAIN

Run = Callable[..., dict[str, Any]]


class Server(loopback_minio.Server):
    """A running MinIO."""

    def s3(self, access_key: str = ROOT, secret_key: str = "") -> Any:
        """S3 as a user's program speaks it."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key or self.root_password,
            region_name=self.region,
            verify=str(self.ca),
            config=Config(retries={"max_attempts": 0}),
        )


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start MinIO from the lab's component cache."""
    with started(tmp_path_factory.mktemp("minio"), MINIO_DOMAIN=DOMAIN) as server:
        yield server


@contextmanager
def started(directory: Path, **settings: str) -> Iterator[Server]:
    """A server of its own, with settings from its environment."""
    with loopback_minio.running(directory, **settings) as server:
        yield Server(server.port, server.ca, server.root_password, server.region)


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"test-{secrets.token_hex(4)}"


@pytest.fixture
def run(minio: Server, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a module: arguments in, one JSON answer out, and no secret in anything that it says."""

    def call(module: str, *, check: bool = False, **options: Any) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "url": minio.url,
            "access_key": ROOT,
            "secret_key": minio.root_password,
            "ca_path": str(minio.ca),
            **options,
            "_ansible_check_mode": check,
            "_ansible_diff": True,
        }
        arguments = {option: value for option, value in arguments.items() if value is not None}
        if "inject_invocation" in PASS_VARS:
            # Newer ansible-core repeats the arguments in a result only when asked to; older ones always do.
            arguments["_ansible_inject_invocation"] = True
        capsys.readouterr()
        with patch_module_args(arguments), pytest.raises(SystemExit):
            import_module(f"ansible_collections.homelab.data_platform.plugins.modules.{module}").main()
        streams = capsys.readouterr()
        said = streams.out + streams.err
        keys = [minio.root_password, options.get("secret_key"), *(user.get("secret_key") for user in options.get("users", []))]
        assert not [key for key in keys if key and key in said]
        assert "Traceback" not in said
        result: dict[str, Any] = json.loads(streams.out)
        return result

    return call


def actions(result: dict[str, Any]) -> list[str]:
    """What happened to each object, of a run that did not fail."""
    assert "msg" not in result, result.get("msg")
    return [entry["action"] for entry in result["results"]]
