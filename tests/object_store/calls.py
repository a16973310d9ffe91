"""How each call of the matrix is made, as the identity that is tried."""

from __future__ import annotations

import http.client
import io
import secrets
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from minio import MinioAdmin
from minio.credentials import StaticProvider
from minio.error import MinioAdminException
from urllib3 import PoolManager

from lab import pki
from lab.settings import MINIO, MINIO_PORT

PART = 5 * 1024 * 1024
REFUSALS = ("AccessDenied", "403")
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]}]}


@dataclass(frozen=True)
class Account:
    """An account of the lab's MinIO, with clients of both APIs."""

    name: str
    secret_key: str = field(repr=False)

    @property
    def s3(self) -> Any:
        """S3, as boto3 speaks it."""
        return boto3.client(
            "s3",
            endpoint_url=f"https://{MINIO.address}:{MINIO_PORT}",
            aws_access_key_id=self.name,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
            verify=str(pki.authority().certificate),
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}, proxies={}),
        )

    @property
    def admin(self) -> MinioAdmin:
        """The admin API."""
        return MinioAdmin(
            endpoint=f"{MINIO.address}:{MINIO_PORT}",
            credentials=StaticProvider(self.name, self.secret_key),
            http_client=PoolManager(ca_certs=str(pki.authority().certificate), retries=False),
        )

    def send(self, method: str, path: str, body: bytes = b"") -> int:
        """Send one signed request whose path is left as it is, and return the status: boto3 would tidy it up first."""
        host = f"{MINIO.address}:{MINIO_PORT}"
        request = AWSRequest(method, f"https://{host}{path}", data=body, headers={"Host": host})
        S3SigV4Auth(Credentials(self.name, self.secret_key), "s3", "us-east-1").add_auth(request)
        context = ssl.create_default_context(cafile=str(pki.authority().certificate))
        connection = http.client.HTTPSConnection(MINIO.address, MINIO_PORT, timeout=10, context=context)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            return connection.getresponse().status
        finally:
            connection.close()


@dataclass(frozen=True)
class Attempt:
    """A call in a place, made by one account on an object that the administrator has put there."""

    caller: Account
    root: Account
    bucket: str
    prefix: str
    own: str
    """A prefix of the first bucket in which the account may write and read."""

    @property
    def key(self) -> str:
        """An object of nobody else."""
        return f"{self.prefix}matrix/{secrets.token_hex(4)}"

    def put(self, bucket: str, key: str) -> str:
        """As administrator: have an object, and return its version."""
        version: str = self.root.s3.put_object(Bucket=bucket, Key=key, Body=b"of the administrator").get("VersionId", "null")
        return version

    def existing(self) -> dict[str, str]:
        """An object that is there."""
        place = {"Bucket": self.bucket, "Key": self.key}
        self.put(place["Bucket"], place["Key"])
        return place


def _copy(attempt: Attempt, source: tuple[str, str], target: tuple[str, str]) -> None:
    attempt.put(*source)
    attempt.caller.s3.copy_object(Bucket=target[0], Key=target[1], CopySource={"Bucket": source[0], "Key": source[1]})


def _head_directory(attempt: Attempt) -> None:
    """Ask for an object that has the directory's name and is not there: "not found" is leave to ask."""
    try:
        attempt.caller.s3.head_object(Bucket=attempt.bucket, Key=attempt.prefix.rstrip("/"))
    except ClientError as error:
        if error.response["Error"]["Code"] != "404":
            raise


def _multipart(attempt: Attempt) -> None:
    place = {"Bucket": attempt.bucket, "Key": attempt.key}
    s3 = attempt.caller.s3
    s3.upload_fileobj(io.BytesIO(bytes(2 * PART)), *place.values(), Config=boto3.s3.transfer.TransferConfig(PART, multipart_chunksize=PART))


def _multipart_step(call: Callable[[Any, dict[str, str]], object]) -> Callable[[Attempt], None]:
    def attempt_it(attempt: Attempt) -> None:
        place = {"Bucket": attempt.bucket, "Key": attempt.key}
        upload = {**place, "UploadId": attempt.root.s3.create_multipart_upload(**place)["UploadId"]}
        try:
            call(attempt.caller.s3, upload)
        finally:
            attempt.root.s3.abort_multipart_upload(**upload)

    return attempt_it


def _version(attempt: Attempt) -> dict[str, str]:
    place = {"Bucket": attempt.bucket, "Key": attempt.key}
    return {**place, "VersionId": attempt.put(place["Bucket"], place["Key"])}


CALLS: Mapping[str, Callable[[Attempt], object]] = {
    "ListObjectsV2": lambda at: at.caller.s3.list_objects_v2(Bucket=at.bucket, Prefix=at.prefix),
    "HeadBucket": lambda at: at.caller.s3.head_bucket(Bucket=at.bucket),
    "GetBucketLocation": lambda at: at.caller.s3.get_bucket_location(Bucket=at.bucket),
    "PutObject": lambda at: at.caller.s3.put_object(Bucket=at.bucket, Key=at.key, Body=b"x"),
    "GetObject": lambda at: at.caller.s3.get_object(**at.existing())["Body"].read(),
    "HeadObject": lambda at: at.caller.s3.head_object(**at.existing()),
    "HeadDirectory": _head_directory,
    "DeleteObject": lambda at: at.caller.s3.delete_object(**at.existing()),
    "CopyObject": lambda at: _copy(at, (at.bucket, at.key), (at.bucket, at.key)),
    "CopyIn": lambda at: _copy(at, (at.bucket, at.key), tuple(f"{at.own}matrix/in".split("/", 1))),  # type: ignore[arg-type]
    "CopyOut": lambda at: _copy(at, tuple(f"{at.own}matrix/out".split("/", 1)), (at.bucket, at.key)),  # type: ignore[arg-type]
    "Multipart": _multipart,
    "AbortMultipartUpload": _multipart_step(lambda s3, upload: s3.abort_multipart_upload(**upload)),
    "ListParts": _multipart_step(lambda s3, upload: s3.list_parts(**upload)),
    "DeleteVersion": lambda at: at.caller.s3.delete_object(**_version(at)),
    "GetVersion": lambda at: at.caller.s3.get_object(**_version(at)),
    "PutRetention": lambda at: at.caller.s3.put_object_legal_hold(**at.existing(), LegalHold={"Status": "ON"}),
    "ListMultipartUploads": lambda at: at.caller.s3.list_multipart_uploads(Bucket=at.bucket),
    "PutBucketVersioning": lambda at: at.caller.s3.put_bucket_versioning(Bucket=at.bucket, VersioningConfiguration={"Status": "Suspended"}),
    "PutBucketLifecycle": lambda at: at.caller.s3.put_bucket_lifecycle_configuration(
        Bucket=at.bucket,
        LifecycleConfiguration={"Rules": [{"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]},
    ),
    "PutBucketPolicy": lambda at: at.caller.s3.put_bucket_policy(Bucket=at.bucket, Policy="{}"),
    "GetBucketPolicy": lambda at: at.caller.s3.get_bucket_policy(Bucket=at.bucket),
    "PutBucketNotification": lambda at: at.caller.s3.put_bucket_notification_configuration(Bucket=at.bucket, NotificationConfiguration={}),
    "GetBucketVersioning": lambda at: at.caller.s3.get_bucket_versioning(Bucket=at.bucket),
    "GetBucketLifecycle": lambda at: at.caller.s3.get_bucket_lifecycle_configuration(Bucket=at.bucket),
    "DeleteBucket": lambda at: at.caller.s3.delete_bucket(Bucket=at.bucket),
    "CreateBucket": lambda at: at.caller.s3.create_bucket(Bucket=f"matrix-{secrets.token_hex(4)}"),
    "ListUsers": lambda at: at.caller.admin.user_list(),
    "AddUser": lambda at: at.caller.admin.user_add(f"matrix-{secrets.token_hex(4)}", secrets.token_hex(20)),
    "ListPolicies": lambda at: at.caller.admin.policy_list(),
    "AddPolicy": lambda at: at.caller.admin.policy_add(at.caller.name, policy=EVERYTHING),
    "AttachPolicy": lambda at: at.caller.admin.attach_policy(["consoleAdmin"], user=at.caller.name),
    "ServerInfo": lambda at: at.caller.admin.info(),
    # Of these two MinIO lets every user do the first and the second unless it is told otherwise: keys that outlive a rotation.
    "AddServiceAccount": lambda at: at.caller.admin.add_service_account(),
    "ChangeOwnSecret": lambda at: at.caller.admin.user_add(at.caller.name, at.caller.secret_key),
}


def allowed(call: str, attempt: Attempt) -> bool:
    """Make a call; whether the server did what was asked. An answer that is neither yes nor no is an error."""
    try:
        CALLS[call](attempt)
    except ClientError as error:
        assert error.response["Error"]["Code"] in REFUSALS, error
        return False
    except MinioAdminException as error:
        assert "AccessDenied" in str(error), error
        return False
    return True
