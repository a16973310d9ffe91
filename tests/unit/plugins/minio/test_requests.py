# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often the modules ask, counted on the way to the server."""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from urllib3 import PoolManager

from tests.serving import served
from tests.unit.plugins.minio.conftest import ROOT, Run, Server, actions

FEW, MANY = 6, 14


@dataclass
class Way:
    """Plain http to the server; what went along, as ``GET /minio/admin/v3/user-info`` and whose signature it bore."""

    url: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0


@pytest.fixture
def way(minio: Server) -> Iterator[Way]:
    seen, lock, server = Way(), threading.Lock(), PoolManager(ca_certs=str(minio.ca), maxsize=20)

    class Passage(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            signer = self.headers["Authorization"].partition("Credential=")[2].partition("/")[0]
            with lock:
                seen.requests.append((f"{self.command} {self.path.partition('?')[0]}", signer))
                seen.at_once += 1
                seen.most_at_once = max(seen.most_at_once, seen.at_once)
            # As far away as a server is: requests that are made together meet here.
            time.sleep(0.01)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = server.request(self.command, f"{minio.url}{self.path}", body=body, headers=dict(self.headers))
            with lock:
                seen.at_once -= 1
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in ("transfer-encoding", "content-length"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.data)))
            self.end_headers()
            self.wfile.write(answer.data)

        do_PUT = do_GET  # noqa: N815  (the name that its base class looks for)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Say nothing."""

    with served(Passage) as port:
        seen.url = f"http://127.0.0.1:{port}"
        yield seen


@pytest.mark.parametrize("count", [FEW, MANY])
def test_users_that_need_nothing_are_read_or_listed_and_each_secret_is_proven(
    run: Run, minio: Server, way: Way, name: str, count: int
) -> None:
    users = [{"name": f"{name}-{index}", "secret_key": secrets.token_hex(20)} for index in range(count)]
    for user in users:
        minio.admin.user_add(user["name"], user["secret_key"])
    for check in (True, False):
        way.requests.clear()
        result = run("minio_user", url=way.url, check=check, users=users)
        assert [entry["name"] for entry in result["results"]] == [user["name"] for user in users]
        assert set(actions(result)) == {"unchanged"}
        asked = Counter(way.requests)
        assert [asked.pop(("GET /minio/admin/v3/user-info", user["name"])) for user in users] == [1] * count
        looked = {"user-info": FEW} if count == FEW else {"list-users": 1}
        for what, times in looked.items():
            assert asked.pop((f"GET /minio/admin/v3/{what}", ROOT)) == times
        assert asked == {}
    assert 2 < way.most_at_once <= 8


def test_the_list_says_of_each_user_what_reading_it_says(run: Run, minio: Server, name: str) -> None:
    kinds: list[dict[str, Any]] = [{"policies": ["readonly", "writeonly"]}, {"state": "disabled"}, {"policies": []}]
    users = [{"name": f"{name}-{index}", "secret_key": secrets.token_hex(20), **kinds[index % 3]} for index in range(MANY)]
    assert set(actions(run("minio_user", users=users))) == {"created"}
    assert set(actions(run("minio_user", users=users))) == {"unchanged"}
    for some in (users[:FEW], users[FEW:]):
        assert set(actions(run("minio_user", users=some))) == {"unchanged"}


def test_of_many_faults_the_first_in_the_declaration_is_named(run: Run, way: Way, name: str) -> None:
    users = [{"name": f"{name}-{index}"} for index in range(MANY)]
    for _time in range(3):
        assert f"user '{name}-0' does not exist" in run("minio_user", url=way.url, users=users)["msg"]


def test_policies_are_listed_once(run: Run, way: Way, name: str) -> None:
    grants = [{"bucket": "aaa", "access": "list"}]
    policies = [{"name": f"{name}-{index}", "grants": grants} for index in range(3)]
    run("minio_policy", policies=policies)
    run("minio_policy", url=way.url, policies=policies)
    assert way.requests == [("GET /minio/admin/v3/list-canned-policies", ROOT)]


def test_of_a_bucket_only_what_is_declared_is_asked(run: Run, way: Way, name: str) -> None:
    entry = {"name": name, "lifecycle": [], "prefixes": ["a/", "b/"]}
    run("minio_bucket", buckets=[entry])
    for asked, parts in ((1, ["name"]), (2, ["name", "lifecycle"]), (4, ["name", "lifecycle", "prefixes"])):
        way.requests.clear()
        run("minio_bucket", url=way.url, buckets=[{part: entry[part] for part in parts}])
        assert len(way.requests) == asked
        assert {method for method, _space, _path in (request.partition(" ") for request, _signer in way.requests)} == {"GET"}
