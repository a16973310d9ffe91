"""Who may do what, and where: the cells that are tried on the live server.

A cell is a call of S3 (or of MinIO's admin API) in a place. Places are `bucket/prefix/`; what is tried there is tried on an object below.
The allowed cells are the calls that the programs of the platform make, as MinIO's own trace of a pipeline run shows them
(`tests/platform/test_trace.py` compares), and those of `WITHOUT_A_RUN`, each with its reason. Everything else is to be denied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

BUCKET, OTHER_BUCKET = "datalake", "matrix-other"
AIRFLOW_LOGS, SPARK_LOGS, SPARK_DATA = (f"{BUCKET}/{prefix}" for prefix in ("logs/airflow-logs/", "logs/spark-log/", "spark/"))
ROOT, LOGS, RAW, OTHER = f"{BUCKET}/", f"{BUCKET}/logs/", f"{BUCKET}/raw/", f"{OTHER_BUCKET}/"
NEIGHBOUR = f"{BUCKET}/logs/airflow-logs-old/"


@dataclass(frozen=True, order=True)
class Cell:
    """One call of one identity in one place."""

    identity: str
    call: str
    place: str

    def __str__(self) -> str:
        return f"{self.identity}-{self.call}-{self.place}"


def _cells(table: Mapping[str, Mapping[str, tuple[str, ...]]]) -> Iterator[Cell]:
    for identity, rows in table.items():
        for place, calls in rows.items():
            for call in calls:
                yield Cell(identity, call, place)


WRITING = ("PutObject", "GetObject", "HeadObject", "DeleteObject", "CopyObject", "Multipart", "AbortMultipartUpload", "ListParts")
LISTING = ("ListObjectsV2", "HeadBucket", "GetBucketLocation")

ALLOWED = tuple(
    _cells(
        {
            "airflow-admin": {ROOT: LISTING, AIRFLOW_LOGS: WRITING},
            "spark": {
                ROOT: LISTING,
                SPARK_LOGS: (*WRITING, "HeadDirectory"),
                SPARK_DATA: (*WRITING, "HeadDirectory"),
                RAW: ("GetObject", "HeadObject", "HeadDirectory"),
            },
            "spark-history": {ROOT: LISTING, SPARK_LOGS: (*WRITING, "HeadDirectory")},
        }
    )
)

_OF_EVERY_CLIENT = {
    "HeadBucket": "S3A's probe of the bucket and boto3's waiters ask so whether it is there",
    "GetBucketLocation": "mc, and boto3 without a region, ask so before anything else",
    "Multipart": "a log or an output that is large is uploaded in parts",
    "AbortMultipartUpload": "an upload in parts whose writer fails is given up",
    "ListParts": "an upload in parts that was interrupted is looked at before it goes on",
}
WITHOUT_A_RUN = {
    **{cell: _OF_EVERY_CLIENT[cell.call] for cell in ALLOWED if cell.call in _OF_EVERY_CLIENT},
    Cell("airflow-admin", "DeleteObject", AIRFLOW_LOGS): "to read and write its logs is to remove old ones too",
    Cell("airflow-admin", "CopyObject", AIRFLOW_LOGS): "needs no other right than reading and writing",
    Cell("spark", "GetObject", SPARK_LOGS): "an event log gets its last name by a copy, which reads it",
    Cell("spark", "HeadDirectory", SPARK_DATA): "the first job to write below spark/ looks at it",
    Cell("spark", "HeadDirectory", RAW): "a job that reads all of it looks at it",
    Cell("spark-history", "PutObject", SPARK_LOGS): "its first container makes the directory again when it has gone",
    Cell("spark-history", "DeleteObject", SPARK_LOGS): "its cleaner removes old logs, once a day",
    Cell("spark-history", "CopyObject", SPARK_LOGS): "needs no other right than reading and writing",
}
"""The allowed cells that a run of the pipeline need not show, each with what needs it."""

ELSEWHERE = ("PutObject", "GetObject", "DeleteObject", "Multipart")
BUCKET_CALLS = (
    *("PutBucketVersioning", "PutBucketLifecycle", "PutBucketPolicy", "GetBucketPolicy", "DeleteBucket", "PutBucketNotification"),
    *("ListMultipartUploads", "GetBucketVersioning", "GetBucketLifecycle"),
)
SERVER_CALLS = (
    *(
        "CreateBucket",
        "ListUsers",
        "AddUser",
        "ListPolicies",
        "AddPolicy",
        "AttachPolicy",
        "ServerInfo",
        "AddServiceAccount",
        "ChangeOwnSecret",
    ),
)
OLD_VERSIONS = ("DeleteVersion", "GetVersion", "PutRetention")


def _denied(identity: str, own: tuple[str, ...]) -> Iterator[Cell]:
    foreign = [place for place in (AIRFLOW_LOGS, SPARK_LOGS, SPARK_DATA, ROOT, LOGS, RAW, NEIGHBOUR, OTHER) if place not in own]
    yield from (cell for cell in _cells({identity: dict.fromkeys(foreign, ELSEWHERE)}) if cell not in ALLOWED)
    yield from (Cell(identity, "HeadDirectory", place) for place in foreign if place.endswith(("logs/", "spark/", "spark-log/")))
    yield from _cells({identity: {OTHER: LISTING, ROOT: BUCKET_CALLS, "": SERVER_CALLS}})
    yield from _cells({identity: dict.fromkeys(own, OLD_VERSIONS)})
    yield from (Cell(cell.identity, "GetVersion", RAW) for cell in ALLOWED if cell == Cell(identity, "GetObject", RAW))
    # Out of what it may not read into what it may write, and the other way.
    yield from (Cell(identity, "CopyIn", place) for place in foreign[:2])
    yield from (Cell(identity, "CopyOut", place) for place in foreign[:2])


DENIED = (
    *_denied("airflow-admin", (AIRFLOW_LOGS,)),
    *_denied("spark", (SPARK_LOGS, SPARK_DATA)),
    *_denied("spark-history", (SPARK_LOGS,)),
)

TRICKS = (
    *("logs/airflow-logs/../spark-log/trick", "logs/airflow-logs/../../spark/trick", "logs/airflow-logs/./../raw/trick"),
    *("logs/airflow-logs/..%2Fspark-log/trick", "logs/airflow-logs%2F..%2Fspark-log/trick", "logs/airflow-logs/%2E%2E/spark-log/trick"),
    *("/logs/airflow-logs/../raw/trick", "logs//airflow-logs/trick", "logs/airflow-logs", "logs/airflow-logs-old/trick"),
    *("Logs/Airflow-Logs/trick", "logs/airflow-logs%00/../raw/trick", "logs/airflow-logs\\..\\raw/trick", "*", "logs/*/trick"),
)
"""Paths that a careless server could take for one below `logs/airflow-logs/`, as they stand in the request."""
