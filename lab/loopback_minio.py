"""A MinIO with TLS on a free port of 127.0.0.1, for tests and benchmarks."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from minio import MinioAdmin
from minio.credentials import StaticProvider
from minio.error import MinioAdminException
from urllib3 import PoolManager
from urllib3.exceptions import HTTPError

from lab import object_store, service
from lab.certificates import Authority
from lab.object_store import ROOT_USER
from lab.shell import LabError

_START_LIMIT = 60

DOMAIN = "minio.test"
"""A name for the server, and for buckets below it, that nothing resolves."""


@dataclass(frozen=True)
class Server:
    """A running MinIO."""

    port: int
    ca: Path
    root_password: str = field(repr=False)
    region: str = "us-east-1"

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def http(self) -> PoolManager:
        """Connections to it that fail at once."""
        return PoolManager(ca_certs=str(self.ca), retries=False)

    @property
    def admin(self) -> MinioAdmin:
        """The admin API without our modules: to change things behind their back, and to see what became of them."""
        return self.admin_as(ROOT_USER, self.root_password)

    def admin_as(self, access_key: str, secret_key: str) -> MinioAdmin:
        """The admin API as somebody else."""
        credentials = StaticProvider(access_key, secret_key)
        where = f"127.0.0.1:{self.port}"
        return MinioAdmin(endpoint=where, credentials=credentials, region=self.region, http_client=self.http)


@contextmanager
def running(directory: Path, **settings: str) -> Iterator[Server]:
    """Start the program from the component cache with an authority, a password and data of its own; an error says how to build it.

    `settings` are further variables of its environment, such as MINIO_REGION.
    """
    authority = Authority(directory / "pki", "loopback").create()
    pair = authority.issue("minio", "minio", names=[DOMAIN, f"*.{DOMAIN}"], addresses=["127.0.0.1"])
    with socket.create_server(("127.0.0.1", 0)) as free:
        server = Server(int(free.getsockname()[1]), authority.certificate, secrets.token_hex(16), settings.get("MINIO_REGION", "us-east-1"))
    argv = object_store.command(directory, pair, f"127.0.0.1:{server.port}")
    environment = {**os.environ, **object_store.environment(server.root_password), **settings}
    log = directory / "minio.log"
    with log.open("wb") as output:
        process = subprocess.Popen([str(word) for word in argv], stdout=output, stderr=output, env=environment)
    try:
        _wait(server, process, log)
        yield server
    finally:
        process.terminate()
        process.wait(30)


def _wait(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_LIMIT
    while process.poll() is None and time.monotonic() < deadline:
        if _ready(server):
            return
        time.sleep(0.1)
    raise LabError(f"MinIO does not answer at {server.url}; the end of {log}:\n{service.tail(log)}")


def _ready(server: Server) -> bool:
    """Whether the admin API answers: it is up some time after the health page."""
    try:
        server.admin.policy_list()
    except (HTTPError, MinioAdminException):
        return False
    return True
