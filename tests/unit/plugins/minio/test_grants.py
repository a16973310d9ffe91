# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grants on a real MinIO: what it lets their holder do is what their words say, whatever is asked for."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from urllib3 import HTTPSConnectionPool

from tests.unit.plugins.minio.conftest import Run, Server

BUCKETS = ["first", "second", "never"]
"""How they are called here; on the server they have a name of the test's before theirs. Nobody is given the last one."""

PREFIXES = ["", "logs/", "logs/airflow-logs/", "raw/"]
KEYS = [
    "logs/airflow-logs/1",
    "logs/airflow-logs/dag/run/1.log",
    "logs/airflow-logs/ä ö+&%=/1",
    "logs/airflow-logs/%2e%2e/1",
    "logs/airflow-logs",
    "logs/airflow-logsx/1",
    "logs%2Fairflow-logs%2F1",
    "LOGS/airflow-logs/1",
    "logs/1",
    "raw/logs/airflow-logs/1",
    "top",
]
# Names that the server may refuse, or take for another.
ODD_KEYS = [
    "logs/airflow-logs/../1",
    "logs/airflow-logs/../../top",
    "raw/../logs/airflow-logs/1",
    "./logs/airflow-logs/1",
    "/logs/airflow-logs/1",
    "//logs/airflow-logs/1",
    "logs//airflow-logs/1",
    "logs\\airflow-logs\\1",
    "logs/airflow-logs/*",
    "logs/?irflow-logs/1",
    "*",
]
LISTED = ["", "l", "logs", "logs/", "logs/airflow-logs", "logs/airflow-logs/", "logs/airflow-logs/dag", "raw/", "top", "LOGS/", "*"]
ODD_LISTED = ["../", "logs/../", "/"]


def objects() -> st.SearchStrategy[dict[str, Any]]:
    accesses = st.sampled_from(["read", "write", "read-write"])
    found = st.fixed_dictionaries({"bucket": st.sampled_from(BUCKETS[:2]), "prefix": st.sampled_from(PREFIXES), "access": accesses})
    return st.builds(lambda grant, directory: {**grant, "directory": directory and bool(grant["prefix"])}, found, st.booleans())


def listings() -> st.SearchStrategy[dict[str, Any]]:
    prefixes = st.none() | st.lists(st.sampled_from(PREFIXES[1:]), min_size=1, max_size=2, unique=True)
    return st.fixed_dictionaries({"bucket": st.sampled_from(BUCKETS[:2]), "access": st.just("list"), "list_prefix": prefixes})


Grants = list[dict[str, Any]]


@dataclass(frozen=True)
class Told:
    """What the words of the grants say about a bucket; nothing here knows of documents, actions or resources."""

    grants: Grants
    bucket: str

    def _opens(self, access: str, key: str) -> bool:
        # MinIO drops the slashes that a name begins with, before it asks the policy: the test below reads where they lead.
        place = key.lstrip("/")
        return any(
            grant["bucket"] == self.bucket and access in grant["access"].split("-") and place.startswith(grant["prefix"])
            for grant in self.grants
            if grant["access"] != "list"
        )

    def read(self, key: str) -> bool:
        directories = [grant["prefix"] for grant in self.grants if grant["bucket"] == self.bucket and grant.get("directory")]
        return self._opens("read", key) or f"{key}/" in directories

    def write(self, key: str) -> bool:
        return self._opens("write", key)

    def locate(self, _key: str = "") -> bool:
        return any(grant["bucket"] == self.bucket and grant["access"] == "list" for grant in self.grants)

    def list(self, prefix: str) -> bool:
        return any(
            grant["bucket"] == self.bucket
            and grant["access"] == "list"
            and (not grant["list_prefix"] or any(prefix.startswith(allowed) for allowed in grant["list_prefix"]))
            for grant in self.grants
        )

    def nothing(self, _key: str = "") -> bool:
        return False


class Holder:
    """A user whose rights change, and the requests that it makes."""

    def __init__(self, run: Run, server: Server, name: str) -> None:
        self.run, self.server, self.name, self.key = run, server, name, secrets.token_hex(20)
        self.root = server.s3()
        run("minio_bucket", buckets=[{"name": self.bucket(bucket), "versioning": True} for bucket in BUCKETS])
        self.give([{"bucket": "first", "access": "list", "list_prefix": None}])
        run("minio_user", users=[{"name": name, "secret_key": self.key, "policies": [name]}])
        self.s3 = server.s3(name, self.key)
        self.pool = HTTPSConnectionPool("127.0.0.1", server.port, ca_certs=str(server.ca))
        self.versions = {
            (bucket, key): self.root.put_object(Bucket=self.bucket(bucket), Key=key, Body=b"x")["VersionId"]
            for bucket in BUCKETS
            for key in KEYS
        }

    def bucket(self, bucket: str) -> str:
        return f"{self.name}-{bucket}"

    def give(self, grants: Grants) -> None:
        on_server = [{**grant, "bucket": self.bucket(grant["bucket"])} for grant in grants]
        result = self.run("minio_policy", policies=[{"name": self.name, "grants": on_server}])
        assert "msg" not in result, result["msg"]

    def may(self, call: Callable[..., Any], bucket: str, **arguments: Any) -> bool:
        """Whether the server does what is asked."""
        try:
            answer = call(Bucket=self.bucket(bucket), **arguments)
        except ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] < 500
            return False
        return "Errors" not in answer

    def shown(self) -> set[str]:
        """The buckets that the server speaks of."""
        try:
            return {str(entry["Name"]) for entry in self.s3.list_buckets()["Buckets"]}
        except ClientError as error:
            assert error.response["Error"]["Code"] == "AccessDenied"
            return set()

    def upload_in_parts(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803  (as boto3 calls them)
        upload = self.s3.create_multipart_upload(Bucket=Bucket, Key=Key)
        place = {"Bucket": Bucket, "Key": Key, "UploadId": upload["UploadId"]}
        self.s3.upload_part(**place, PartNumber=1, Body=b"x")
        assert len(self.s3.list_parts(**place)["Parts"]) == 1
        return dict(self.s3.abort_multipart_upload(**place))

    def raw(self, bucket: str, key: str) -> bool:
        """Whether an object is given out whose address is spelled with every byte escaped, slashes and dots too."""
        plain = f"/{self.bucket(bucket)}/{quote(key)}"
        request = AWSRequest("GET", self.server.url + plain)
        S3SigV4Auth(Credentials(self.name, self.key), "s3", "us-east-1").add_auth(request)
        escaped = "".join(f"%{byte:02X}" for byte in key.encode())
        # Of the pool of one host, which sends an address as it is.
        answer = self.pool.urlopen("GET", f"/{self.bucket(bucket)}/{escaped}", headers=dict(request.headers), redirect=False)
        assert b"SignatureDoesNotMatch" not in answer.data
        return answer.status == 200

    def disagreements(self, grants: Grants, bucket: str, key: str, prefix: str) -> list[str]:
        """Where the server and the words of the grants part."""
        told = Told(grants, bucket)
        version, s3 = self.versions.get((bucket, key)), self.s3
        asked: dict[str, tuple[bool, bool]] = {
            "put": (self.may(s3.put_object, bucket, Key=f"{key}.put", Body=b"x"), told.write(key)),
            "copy": (
                self.may(s3.copy_object, bucket, Key=f"{key}.copy", CopySource={"Bucket": self.bucket("first"), "Key": "logs/1"}),
                told.write(key) and Told(grants, "first").read("logs/1"),
            ),
            "delete": (self.may(s3.delete_object, bucket, Key=f"{key}.gone"), told.write(key)),
            "delete many": (self.may(s3.delete_objects, bucket, Delete={"Objects": [{"Key": f"{key}.gone"}]}), told.write(key)),
            "upload in parts": (self.may(self.upload_in_parts, bucket, Key=f"{key}.parts"), told.write(key)),
            "put with a tag": (self.may(s3.put_object, bucket, Key=f"{key}.tag", Body=b"x", Tagging="a=b"), told.write(key)),
            "list": (self.may(s3.list_objects_v2, bucket, Prefix=prefix), told.list(prefix)),
            "list as of old": (self.may(s3.list_objects, bucket, Prefix=prefix, Delimiter="/"), told.list(prefix)),
            "locate": (self.may(s3.get_bucket_location, bucket), told.locate()),
            "list versions": (self.may(s3.list_object_versions, bucket, Prefix=prefix), told.list(prefix)),
            "list uploads": (self.may(s3.list_multipart_uploads, bucket, Prefix=prefix), told.nothing()),
            "read the lifecycle": (self.may(s3.get_bucket_lifecycle_configuration, bucket), told.nothing()),
            "write the versioning": (
                self.may(s3.put_bucket_versioning, bucket, VersioningConfiguration={"Status": "Suspended"}),
                told.nothing(),
            ),
            "remove the bucket": (self.may(s3.delete_bucket, bucket), told.nothing()),
            "make a bucket": (self.may(s3.create_bucket, f"{bucket}-new"), told.nothing()),
        }
        if version:
            asked |= {
                "read": (self.may(s3.get_object, bucket, Key=key), told.read(key)),
                "read the head": (self.may(s3.head_object, bucket, Key=key), told.read(key)),
                "read a version": (self.may(s3.get_object, bucket, Key=key, VersionId=version), told.nothing()),
                "tag": (self.may(s3.put_object_tagging, bucket, Key=key, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]}), told.nothing()),
                "read by an escaped address": (self.raw(bucket, key), told.read(key)),
                "delete a version": (self.may(s3.delete_object, bucket, Key=key, VersionId=version), told.nothing()),
            }
        odd = key in ODD_KEYS or prefix in ODD_LISTED
        # An odd name may be refused for itself. Where it is taken, it must be one that is given, as it stands or as it leads.
        return [what for what, (done, given) in asked.items() if done != given and not (odd and (given or not done))]


@pytest.fixture(scope="module")
def holders() -> dict[str, Holder]:
    return {}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(grants=[{"bucket": "first", "prefix": "", "access": "read-write"}], bucket="never", key="top", prefix="")
@example(
    grants=[
        {"bucket": "first", "access": "list", "list_prefix": None},
        {"bucket": "first", "prefix": "logs/airflow-logs/", "access": "read-write"},
    ],
    bucket="first",
    key="logs/airflow-logs/1",
    prefix="",
)
@example(grants=[{"bucket": "second", "prefix": "logs/", "access": "write"}], bucket="second", key="/logs/airflow-logs/1", prefix="")
@example(grants=[{"bucket": "second", "prefix": "logs/", "access": "write"}], bucket="second", key="//logs/airflow-logs/1", prefix="")
@given(
    grants=st.lists(objects() | listings(), min_size=1, max_size=4),
    bucket=st.sampled_from([*BUCKETS, *BUCKETS[:2]]),
    key=st.sampled_from([*KEYS, *ODD_KEYS]),
    prefix=st.sampled_from([*LISTED, *ODD_LISTED]),
)
def test_the_server_allows_what_the_grants_say_and_nothing_else(
    run: Run, minio: Server, holders: dict[str, Holder], grants: Grants, bucket: str, key: str, prefix: str
) -> None:
    if not holders:
        holders["one"] = Holder(run, minio, f"test-{secrets.token_hex(4)}")
    holder = holders["one"]
    holder.give(grants)
    assert holder.disagreements(grants, bucket, key, prefix) == []
    given_away = {holder.bucket(name) for name in BUCKETS if Told(grants, name).locate()}
    assert holder.shown() <= given_away


@pytest.mark.parametrize("slashes", ["/", "//"])
def test_a_name_that_begins_with_slashes_leads_to_the_one_without_them(minio: Server, name: str, slashes: str) -> None:
    s3 = minio.s3()
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key=f"{slashes}logs/1", Body=b"x")
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=name)["Contents"]] == ["logs/1"]
