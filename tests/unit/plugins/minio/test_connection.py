# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the modules reach a server, and what they say when they cannot: the same of the admin API and of S3."""

from __future__ import annotations

import secrets
import select
import socket
import socketserver
import ssl
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from lab.certificates import Authority
from tests.serving import served
from tests.unit.plugins.minio.conftest import DOMAIN, ROOT, Run, Server, actions, started

# The least that makes each module ask the server something.
ASKING: dict[str, dict[str, Any]] = {
    "minio_bucket": {"buckets": [{"name": "aaa"}]},
    "minio_policy": {"policies": []},
    "minio_user": {"users": [{"name": "abc"}]},
}


each_module = pytest.mark.parametrize("module", ASKING)


@each_module
def test_wrong_root_keys_are_named(run: Run, module: str) -> None:
    arguments = ASKING[module]
    assert "check secret_key" in run(module, secret_key="not-the-password", **arguments)["msg"]
    unknown = run(module, access_key="nobody", **arguments)["msg"]
    assert "(as 'nobody')" in unknown
    assert "check access_key" in unknown


@each_module
def test_an_account_without_the_right_is_named(run: Run, name: str, module: str) -> None:
    key = secrets.token_hex(20)
    run("minio_user", users=[{"name": name, "secret_key": key}])
    message = run(module, access_key=name, secret_key=key, **ASKING[module])["msg"]
    assert "AccessDenied" in message
    assert "consoleAdmin" in message


@each_module
def test_a_server_that_is_down_is_named(run: Run, module: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    message = run(module, url=f"https://127.0.0.1:{port}", **ASKING[module])["msg"]
    assert message.startswith(f"MinIO at https://127.0.0.1:{port} (as '{ROOT}'): cannot ")
    assert "no connection" in message
    assert "is the server up" in message


def test_each_connection_has_a_tls_context_of_its_own(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    changed: list[ssl.SSLContext] = []
    original = ssl.SSLContext.set_alpn_protocols

    def noted(context: ssl.SSLContext, protocols: Any) -> None:
        changed.append(context)
        original(context, protocols)

    monkeypatch.setattr(ssl.SSLContext, "set_alpn_protocols", noted)
    run("minio_user", check=True, users=[{"name": name, "secret_key": "12345678"} for name in ("abc", "def", "ghi")])
    assert len(changed) > 1
    assert len(set(map(id, changed))) == len(changed), "one thread changes what another one is just using"


@each_module
def test_a_server_that_does_not_answer_is_waited_for_once(run: Run, module: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        message = run(module, url=f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=1, **ASKING[module])["msg"]
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
    assert "no answer within 1 seconds (timeout)" in message


@each_module
def test_a_certificate_of_another_ca_is_named(run: Run, tmp_path: Path, module: str) -> None:
    other = Authority(tmp_path, "other").create().certificate
    message = run(module, ca_path=str(other), **ASKING[module])["msg"]
    assert "TLS failed" in message
    assert f"be signed by ca_path {other}" in message
    unverified = run(module, ca_path=str(other), validate_certs=False, **ASKING[module])
    assert "TLS" not in unverified.get("msg", "")


@each_module
def test_the_systems_authorities_count_where_no_other_is_named(
    run: Run, minio: Server, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    for variable in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(variable, raising=False)
    assert "the system's CAs (no ca_path is set)" in run(module, ca_path=None, **ASKING[module])["msg"]
    # Where OpenSSL finds those of the system.
    monkeypatch.setenv("SSL_CERT_FILE", str(minio.ca))
    assert "TLS" not in run(module, ca_path=None, **ASKING[module]).get("msg", "")


@each_module
def test_a_name_that_the_certificate_lacks_is_named(run: Run, minio: Server, module: str) -> None:
    message = run(module, url=f"https://localhost:{minio.port}", **ASKING[module])["msg"]
    assert "the certificate must name the host in url" in message


@each_module
def test_plain_http_to_a_tls_port_is_named(run: Run, minio: Server, module: str) -> None:
    message = run(module, url=f"http://127.0.0.1:{minio.port}", **ASKING[module])["msg"]
    assert "is url right about http and https?" in message or "does url lead to MinIO's API" in message


@each_module
@pytest.mark.parametrize("page", [(200, "text/html")], indirect=True)
def test_tls_to_a_plain_http_port_is_named(run: Run, page: str, module: str) -> None:
    assert "the port seems to speak plain http" in run(module, url=page.replace("http", "https"), **ASKING[module])["msg"]


@each_module
def test_clocks_apart_are_named(run: Run, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    def late(**_zone: bool) -> datetime:
        return datetime.now(timezone.utc) - timedelta(hours=1)

    monkeypatch.setattr("minio.time.utcnow", late)
    monkeypatch.setattr("botocore.auth.get_current_datetime", late)
    assert "check NTP" in run(module, **ASKING[module])["msg"]


@pytest.fixture(params=[(200, "text/html"), (200, "text/plain"), (302, "text/html"), (502, "text/html"), (404, "text/plain")])
def page(request: pytest.FixtureRequest) -> Iterator[str]:
    """A web server that is not MinIO and answers everything with a page."""
    status, content_type = request.param

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Location", "/login")
            self.end_headers()
            self.wfile.write(b"<html><body><h1>Sign in, please</h1></body></html>")

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Say nothing."""

        def log_error(self, format: str, *args: Any) -> None:  # noqa: A002  (its own name)
            """Say nothing."""

    with served(Page) as port:
        yield f"http://127.0.0.1:{port}"


@each_module
def test_a_page_instead_of_an_answer_is_named(run: Run, page: str, module: str) -> None:
    message = run(module, url=page, **ASKING[module])["msg"]
    assert page in message
    assert "does url lead to MinIO's API, or to a proxy or its console?" in message


@each_module
@pytest.mark.parametrize(
    "url",
    [
        "minio.example.com",
        "ftp://h:9000",
        "https://h:9000/minio",
        "https://h:9000?x",
        "https://user:key@h:9000",
        "https://h:port",
        "h:99999",
        "https://",
        "https://a b:1",
    ],
)
def test_an_address_of_another_form_is_refused(run: Run, module: str, url: str) -> None:
    assert run(module, url=url, **ASKING[module])["msg"].startswith(f"url is '{url}': it must have the form https://host:port or host:port")


@each_module
def test_a_region_that_is_none_is_refused(run: Run, module: str) -> None:
    assert run(module, region="at home", **ASKING[module])["msg"].startswith("region is 'at home'")


@each_module
def test_a_host_and_port_alone_mean_tls(run: Run, minio: Server, module: str) -> None:
    message = run(module, url=f"127.0.0.1:{minio.port}", secret_key="not-the-password", **ASKING[module])["msg"]
    assert message.startswith(f"MinIO at https://127.0.0.1:{minio.port} (as '{ROOT}'): cannot ")
    assert "SignatureDoesNotMatch" in message


def test_what_is_not_given_comes_from_the_environment(run: Run, minio: Server, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for variable, value in {"URL": minio.url, "ROOT_USER": ROOT, "ROOT_PASSWORD": minio.root_password, "CA_PATH": str(minio.ca)}.items():
        monkeypatch.setenv(f"MINIO_{variable}", value)
    unset = dict.fromkeys(("url", "access_key", "secret_key", "ca_path"))
    assert actions(run("minio_bucket", check=True, buckets=[{"name": name}], **unset)) == ["created"]


def test_what_is_set_for_amazon_does_not_count(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    wrong = {
        "PROFILE": "none-such",
        "CONFIG_FILE": str(tmp_path),
        "ENDPOINT_URL": "http://127.0.0.1:1",
        "CA_BUNDLE": "/nonexistent",
        "USE_FIPS_ENDPOINT": "true",
        "DEFAULT_REGION": "nowhere-1",
        "ACCESS_KEY_ID": "other",
    }
    for variable, value in wrong.items():
        monkeypatch.setenv(f"AWS_{variable}", value)
    assert actions(run("minio_bucket", buckets=[{"name": name}])) == ["created"]


@pytest.fixture
def tunnel(minio: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A proxy in the environment that leads to the server, whatever host is asked for; yields the hosts that were."""
    asked: list[str] = []

    class Tunnel(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked.append(self.rfile.readline().decode().split()[1].partition(":")[0])
            while self.rfile.readline().strip():
                pass
            with socket.create_connection(("127.0.0.1", minio.port)) as server:
                self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
                ends = {self.connection: server, server: self.connection}
                while True:
                    for end in select.select(list(ends), [], [])[0]:
                        data = end.recv(65536)
                        if not data:
                            return
                        ends[end].sendall(data)

    with served(Tunnel) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://somebody:their-password@127.0.0.1:{port}")
        monkeypatch.setenv("NO_PROXY", "elsewhere.test")
        yield asked


@each_module
def test_the_environments_proxy_is_used(run: Run, tunnel: list[str], module: str) -> None:
    message = run(module, url=f"https://{DOMAIN}:9000", secret_key="not-the-password", **ASKING[module])["msg"]
    assert "SignatureDoesNotMatch" in message
    assert set(tunnel) == {DOMAIN}


@each_module
def test_a_host_that_the_environment_excepts_is_reached_without_its_proxy(
    run: Run, minio: Server, tunnel: list[str], monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert "SignatureDoesNotMatch" in run(module, secret_key="not-the-password", **ASKING[module])["msg"]
    assert tunnel == []


@each_module
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_down_is_named_without_its_password(run: Run, monkeypatch: pytest.MonkeyPatch, module: str, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv(f"{scheme}_proxy", f"http://somebody:their-password@127.0.0.1:{port}")
    message = run(module, url=f"{scheme}://{DOMAIN}:9000", **ASKING[module])["msg"]
    assert f"by way of the environment's proxy (127.0.0.1:{port}, from {scheme.upper()}_PROXY;" in message
    assert "their-password" not in message


@each_module
def test_a_proxy_without_an_address_is_named(run: Run, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1")
    assert "is no proxy's address" in run(module, **ASKING[module])["msg"]


def test_a_buckets_name_can_stand_before_the_host(run: Run, minio: Server, tunnel: list[str], name: str) -> None:
    arguments = {"url": f"https://{DOMAIN}:9000", "path_style": False, "buckets": [{"name": name, "prefixes": ["a/"]}]}
    assert actions(run("minio_bucket", **arguments)) == ["created"]
    assert actions(run("minio_bucket", **arguments)) == ["unchanged"]
    assert set(tunnel) == {f"{name}.{DOMAIN}"}
    assert [entry["Key"] for entry in minio.s3().list_objects_v2(Bucket=name)["Contents"]] == ["a/"]


def test_a_server_of_another_region_is_served(run: Run, tmp_path: Path, name: str) -> None:
    with started(tmp_path, MINIO_REGION="eu-home-1") as server:
        there = {"url": server.url, "secret_key": server.root_password, "ca_path": str(server.ca), "region": "eu-home-1"}
        assert actions(run("minio_bucket", **there, buckets=[{"name": name, "prefixes": ["a/"]}])) == ["created"]
        key = secrets.token_hex(20)
        for action in ("created", "unchanged"):
            assert actions(run("minio_user", **there, users=[{"name": name, "secret_key": key}])) == [action]
        assert server.s3().get_bucket_location(Bucket=name)["LocationConstraint"] == "eu-home-1"
