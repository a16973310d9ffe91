"""The identities of the object store, and a place to try them in."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab import object_store, secret_store
from tests.object_store.calls import Account, Attempt
from tests.object_store.matrix import AIRFLOW_LOGS, ALLOWED, BUCKET, DENIED, OTHER_BUCKET, SPARK_LOGS, Cell
from tests.platform.reality import secret

KEYS = {
    "airflow-admin": ("airflow", "airflow-object-store"),
    "spark": ("spark-jobs", "spark-object-store-keys"),
    "spark-history": ("spark-history", "spark-history-object-store-keys"),
}
OWN = {"airflow-admin": AIRFLOW_LOGS, "spark": SPARK_LOGS, "spark-history": SPARK_LOGS}

Try = Callable[[Cell, Account], Attempt]


@pytest.fixture(scope="session")
def root() -> Account:
    """The server's administrator."""
    return Account(object_store.ROOT_USER, secret_store.password("minio-root-password"))


@pytest.fixture(scope="session")
def accounts() -> dict[str, Account]:
    """Each identity with the key that lies in its Secret."""
    return {name: Account(name, secret(*place)["secret-key"]) for name, place in KEYS.items()}


def remove_objects(root: Account, bucket: str, part: str = "") -> None:
    """Remove the objects with a part in their names, old versions included."""
    for page in root.s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for held in (*page.get("Versions", []), *page.get("DeleteMarkers", [])):
            if part in held["Key"]:
                root.s3.delete_object(Bucket=bucket, Key=held["Key"], VersionId=held["VersionId"])


@pytest.fixture(scope="session")
def attempt(root: Account) -> Iterator[Callable[[Cell, Account], Attempt]]:
    """Make attempts; what they leave below `matrix/` is removed in the end, and the other bucket too."""
    s3 = root.s3
    s3.create_bucket(Bucket=OTHER_BUCKET)

    def of(cell: Cell, caller: Account) -> Attempt:
        bucket, _slash, prefix = cell.place.partition("/")
        return Attempt(caller, root, bucket, prefix, OWN[cell.identity])

    yield of
    for bucket in (BUCKET, OTHER_BUCKET):
        remove_objects(root, bucket, "matrix/")
    s3.delete_bucket(Bucket=OTHER_BUCKET)


@pytest.fixture
def double(root: Account, accounts: dict[str, Account]) -> Iterator[Callable[[str, dict[str, Any]], Account]]:
    """Make an account that stands for an identity and holds another policy than it; gone in the end."""
    made: dict[str, Account] = {}

    def holding(identity: str, document: dict[str, Any]) -> Account:
        name = f"matrix-{identity}"
        root.admin.policy_add(name, policy=document)
        if identity not in made:
            made[identity] = Account(name, secrets.token_hex(20))
            root.admin.user_add(name, made[identity].secret_key)
            root.admin.attach_policy([name], user=name)
        return made[identity]

    yield holding
    for account in made.values():
        root.admin.user_remove(account.name)
        root.admin.policy_remove(account.name)


def cells(identity: str) -> tuple[list[Cell], list[Cell]]:
    """The allowed and the denied cells of an identity."""
    return [cell for cell in ALLOWED if cell.identity == identity], [cell for cell in DENIED if cell.identity == identity]
