# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real MinIO with TLS on a free port of 127.0.0.1, and the modules as Ansible runs them against it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import boto3
import pytest
from ansible.module_utils.common.parameters import PASS_VARS
from ansible.module_utils.testing import patch_module_args
from botocore.config import Config
from minio import MinioAdmin
from minio.credentials import StaticProvider
from minio.error import MinioAdminException
from urllib3 import PoolManager
from urllib3.exceptions import HTTPError

from lab import components
from lab.certificates import Authority
from tests.unit.plugins.kubernetes.conftest import api  # noqa: F401  (a fixture: a real apiserver)

START_LIMIT = 60
ROOT = "test-root"
DOMAIN = "minio.test"
"""A name for the server that nothing but a proxy resolves."""

Run = Callable[..., dict[str, Any]]


@dataclass(frozen=True)
class Server:
    """A running MinIO."""

    port: int
    ca: Path
    root_password: str
    region: str = "us-east-1"

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def admin(self) -> MinioAdmin:
        """The admin API without our modules: to change things behind their back."""
        return self.admin_as(ROOT, self.root_password)

    def admin_as(self, access_key: str, secret_key: str) -> MinioAdmin:
        """The admin API as somebody else."""
        return MinioAdmin(
            endpoint=f"127.0.0.1:{self.port}",
            credentials=StaticProvider(access_key, secret_key),
            region=self.region,
            http_client=PoolManager(ca_certs=str(self.ca), retries=False),
        )

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
    """Start MinIO from the lab's component cache; an error says how to build it."""
    with started(tmp_path_factory.mktemp("minio"), MINIO_DOMAIN=DOMAIN) as server:
        yield server


@contextmanager
def started(directory: Path, **settings: str) -> Iterator[Server]:
    """A server of its own, with settings from its environment."""
    program = components.path("minio") / "minio"
    certificates = directory / "certs"
    ca = Authority(directory / "pki", "test").create()
    pair = ca.issue("minio", "minio", names=[DOMAIN, f"*.{DOMAIN}"], addresses=["127.0.0.1"])
    certificates.mkdir()
    shutil.copy(pair.certificate, certificates / "public.crt")
    shutil.copy(pair.key, certificates / "private.key")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    server = Server(port, ca.certificate, secrets.token_hex(16), settings.get("MINIO_REGION", "us-east-1"))
    environment = {**os.environ, "MINIO_ROOT_USER": ROOT, "MINIO_ROOT_PASSWORD": server.root_password, "MINIO_BROWSER": "off", **settings}
    arguments = [f"--certs-dir={certificates}", f"--address=127.0.0.1:{port}", str(directory / "data")]
    with (directory / "minio.log").open("wb") as log:
        process = subprocess.Popen([str(program), "server", "--quiet", *arguments], stdout=log, stderr=subprocess.STDOUT, env=environment)
    try:
        _wait(server, process, directory / "minio.log")
        yield server
    finally:
        process.terminate()
        process.wait(30)


def _wait(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT
    while process.poll() is None and time.monotonic() < deadline:
        if _ready(server):
            return
        time.sleep(0.1)
    raise AssertionError(f"MinIO does not answer:\n{log.read_text()}")


def _ready(server: Server) -> bool:
    """Whether the admin API answers: it is up some time after the health page."""
    try:
        server.admin.policy_list()
    except (HTTPError, MinioAdminException):
        return False
    return True


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
