# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small client of the S3 API, by boto3: buckets and what is set on them."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.minio.connection import (
    WHO_ANSWERS,
    Client,
    Connection,
    MinioError,
    NotFoundError,
)

try:
    import boto3
    import botocore.session
    from botocore.awsrequest import AWSResponse
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError
except ImportError:
    IMPORT_ERROR: str | None = traceback.format_exc()
else:
    IMPORT_ERROR = None

Rule = dict[str, Any]
"""A rule of a lifecycle, as S3 speaks it."""


class S3(Client):
    """Calls the S3 API of one server."""

    package = "boto3"
    import_error = IMPORT_ERROR

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        # What a user of this host has set for Amazon (a profile, an endpoint) says nothing about this server.
        nowhere = (None, None, os.devnull, None)
        without_files = {"profile": (None, None, None, None), "config_file": nowhere, "credentials_file": nowhere}
        session = boto3.session.Session(botocore_session=botocore.session.Session(session_vars=without_files))
        try:
            self._s3 = session.client(
                "s3",
                endpoint_url=connection.url,
                aws_access_key_id=connection.access_key,
                aws_secret_access_key=connection.secret_key,
                region_name=connection.region,
                config=Config(
                    s3={"addressing_style": "path" if connection.path_style else "virtual"},
                    retries={"mode": "standard", "total_max_attempts": 1},
                    use_dualstack_endpoint=False,
                    use_fips_endpoint=False,
                ),
            )
        except ValueError as error:
            raise MinioError(f"url is {connection.url!r}: boto3 takes no such address ({error}).") from error
        self._s3.meta.events.register("before-send.s3", self._send)

    def versioning(self, bucket: str) -> bool | None:
        """Whether a bucket keeps versions, or None where there is no such bucket."""
        try:
            with self._errors(f"read the bucket {bucket!r}"):
                return bool(self._s3.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled")
        except NotFoundError:
            return None

    def lifecycle(self, bucket: str) -> list[Rule]:
        """The rules of a bucket, none where it has no lifecycle."""
        try:
            with self._errors(f"read the lifecycle of the bucket {bucket!r}"):
                return list(self._s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"])
        except NotFoundError:
            return []

    def first_key(self, bucket: str, prefix: str) -> str | None:
        """The first object at or below a prefix: the prefix's own marker, if it has one."""
        with self._errors(f"look below {prefix!r} in the bucket {bucket!r}"):
            found = self._s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1).get("Contents")
        return str(found[0]["Key"]) if found else None

    def is_empty(self, bucket: str) -> bool:
        """Whether a bucket holds nothing, old versions and delete markers included."""
        with self._errors(f"list the bucket {bucket!r}"):
            found = self._s3.list_object_versions(Bucket=bucket, MaxKeys=1)
        return not (found.get("Versions") or found.get("DeleteMarkers"))

    def make_bucket(self, bucket: str) -> None:
        """Create a bucket in the region of the connection."""
        region = self.connection.region
        # The protocol knows us-east-1 by its absence alone.
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        with self._errors(f"create the bucket {bucket!r}"):
            self._s3.create_bucket(Bucket=bucket, **place)

    def remove_bucket(self, bucket: str) -> None:
        """Remove an empty bucket."""
        with self._errors(f"remove the bucket {bucket!r}"):
            self._s3.delete_bucket(Bucket=bucket)

    def set_versioning(self, bucket: str, enabled: bool) -> None:
        """Keep versions from now on, or stop keeping new ones."""
        with self._errors(f"set the versioning of the bucket {bucket!r}"):
            status = {"Status": "Enabled" if enabled else "Suspended"}
            self._s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=status)

    def set_lifecycle(self, bucket: str, rules: list[Rule]) -> None:
        """Replace all rules of a bucket; a lifecycle without rules is none."""
        with self._errors(f"set the lifecycle of the bucket {bucket!r}"):
            if rules:
                self._s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
            else:
                self._s3.delete_bucket_lifecycle(Bucket=bucket)

    def make_marker(self, bucket: str, prefix: str) -> None:
        """Make a prefix real by an empty object of its name."""
        with self._errors(f"make {prefix!r} in the bucket {bucket!r}"):
            self._s3.put_object(Bucket=bucket, Key=prefix, Body=b"")

    def _send(self, request: Any, **_event: Any) -> AWSResponse:
        """Send boto3's requests over the connections that the admin API uses: one way to verify, wait, retry and fail.

        boto3's own would take certificate authorities from a file of its own instead of the system's, and a page for a success.
        """
        headers = {str(name): value for name, value in request.headers.items()}
        answer = self._http.request(request.method, request.url, body=request.body, headers=headers, preload_content=False)
        if "x-amz-request-id" not in answer.headers:
            # boto3 would take any XML, a page's too, for an answer that says nothing.
            raise ValueError(f"HTTP status {answer.status}, and none of the headers of S3")
        return AWSResponse(request.url, answer.status, answer.headers, answer)

    @contextmanager
    def _errors(self, task: str) -> Iterator[None]:
        with super()._errors(task):
            try:
                yield
            except ClientError as error:
                code, message = (str(error.response["Error"].get(part, "")) for part in ("Code", "Message"))
                raise self._coded(task, code, message) from error
            except (BotoCoreError, ResponseParserError) as error:
                raise MinioError(self._said(task, f"boto3 gave up ({error}): {WHO_ANSWERS}")) from error
