"""What the programs of the platform ask of the object store, as MinIO's own trace tells it."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import requests
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from lab import object_store, pki
from lab.settings import MINIO, MINIO_PORT
from tests.object_store.calls import Account
from tests.object_store.matrix import AIRFLOW_LOGS, BUCKET, RAW, ROOT, SPARK_DATA, SPARK_LOGS, Cell

_SAME = {
    "ListObjectsV1": "ListObjectsV2",
    "DeleteMultipleObjects": "DeleteObject",
    "NewMultipartUpload": "Multipart",
    "PutObjectPart": "Multipart",
    "CompleteMultipartUpload": "Multipart",
    "ListObjectParts": "ListParts",
}
"""Calls that the matrix has under another name, since they need the same right."""

_IN_THE_BUCKET = ("ListObjectsV2", "HeadBucket", "GetBucketLocation")
"""Calls that need the same right whatever prefix they name."""


@dataclass(frozen=True)
class Call:
    """One request that the server answered."""

    identity: str
    name: str
    path: str
    status: int

    @property
    def cell(self) -> Cell:
        """Where it belongs in the matrix."""
        call = _SAME.get(self.name, self.name)
        if call in _IN_THE_BUCKET and self.path.startswith(BUCKET):
            return Cell(self.identity, call, ROOT)
        for place in (AIRFLOW_LOGS, SPARK_LOGS, SPARK_DATA, RAW):
            if self.path.startswith(place):
                return Cell(self.identity, call, place)
            if call == "HeadObject" and self.path == place.rstrip("/"):
                return Cell(self.identity, "HeadDirectory", place)
        return Cell(self.identity, call, self.path)


@dataclass
class Trace:
    """The calls so far, of everybody but the administrator."""

    calls: list[Call] = field(default_factory=list)

    def read(self, lines: Iterator[bytes]) -> None:
        """Take the server's lines for as long as they come."""
        for line in lines:
            if line.strip():
                self._take(json.loads(line))

    def _take(self, entry: dict[str, Any]) -> None:
        request = entry["http"]["request"]
        signed = re.search(r"Credential=([^/]+)/", str(request["headers"].get("Authorization")))
        if not signed or signed[1] == object_store.ROOT_USER:
            return
        path, name = unquote(request["path"]).lstrip("/"), entry["funcname"].removeprefix("s3.")
        # A request to delete many names them in its body; it is made where its caller lists.
        if name == "DeleteMultipleObjects":
            keys = re.findall(r"<Key>(.*?)</Key>", base64.b64decode(request.get("body", "")).decode())
            path = f"{path.rstrip('/')}/{keys[0]}" if keys else path
        self.calls.append(Call(signed[1], name, path, entry["http"]["response"].get("statuscode", 200)))


@contextmanager
def traced(root: Account) -> Iterator[Trace]:
    """Listen to the server's trace of S3, which is a request of the admin API that never ends."""
    url = f"https://{MINIO.address}:{MINIO_PORT}/minio/admin/v3/trace?s3=true&threshold=0s"
    request = AWSRequest("GET", url)
    S3SigV4Auth(Credentials(root.name, root.secret_key), "s3", "us-east-1").add_auth(request)
    trace = Trace()
    with requests.get(
        url, headers=dict(request.headers), stream=True, verify=str(pki.authority().certificate), timeout=(5, None)
    ) as stream:
        stream.raise_for_status()
        thread = threading.Thread(target=_until_closed, args=(trace, stream), daemon=True)
        thread.start()
        yield trace


def _until_closed(trace: Trace, stream: requests.Response) -> None:
    try:
        trace.read(stream.iter_lines())
    except (requests.RequestException, AttributeError, ValueError):
        # Closed from the other side, in the middle of whatever it was.
        return
