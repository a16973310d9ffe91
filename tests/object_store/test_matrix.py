"""Each cell of the matrix on the live server, and each right of each policy: none is missing, none too many."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.object_store.calls import Account, allowed
from tests.object_store.conftest import KEYS, Try, cells
from tests.object_store.matrix import AIRFLOW_LOGS, ALLOWED, BUCKET, DENIED, TRICKS, Cell


@pytest.mark.parametrize("cell", ALLOWED, ids=str)
def test_allowed(cell: Cell, accounts: dict[str, Account], attempt: Try) -> None:
    assert allowed(cell.call, attempt(cell, accounts[cell.identity]))


@pytest.mark.parametrize("cell", DENIED, ids=str)
def test_denied(cell: Cell, accounts: dict[str, Account], attempt: Try) -> None:
    assert not allowed(cell.call, attempt(cell, accounts[cell.identity]))


def _everything(root: Account) -> set[tuple[str, str]]:
    pages = root.s3.get_paginator("list_object_versions").paginate(Bucket=BUCKET)
    return {(held["Key"], held["VersionId"]) for page in pages for held in (*page.get("Versions", []), *page.get("DeleteMarkers", []))}


@pytest.mark.parametrize("path", TRICKS)
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_no_way_around_by_a_path(path: str, method: str, accounts: dict[str, Account], root: Account) -> None:
    own = AIRFLOW_LOGS.partition("/")[2]
    before = {(key, version) for key, version in _everything(root) if not key.startswith(own)}
    accounts["airflow-admin"].send(method, f"/{BUCKET}/{path}", b"trick" if method == "PUT" else b"")
    after = {(key, version) for key, version in _everything(root) if not key.startswith(own)}
    assert after == before
    if method == "GET":
        assert accounts["airflow-admin"].send(method, f"/{BUCKET}/{path}") >= 400


def _without_one(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every document that is short of one right of the given one, and which right that is."""
    statements = document["Statement"]
    for index, statement in enumerate(statements):
        for action in statement["Action"]:
            for resource in statement.get("Resource") or [None]:
                rest = [{**statement, "Action": [other for other in statement["Action"] if other != action]}]
                if resource and len(statement["Resource"]) > 1:
                    rest.append({**statement, "Action": [action], "Resource": [one for one in statement["Resource"] if one != resource]})
                kept = [*statements[:index], *(one for one in rest if one["Action"]), *statements[index + 1 :]]
                yield f"{statement['Effect']} {action} {resource}", {**document, "Statement": kept}


@pytest.mark.parametrize("identity", KEYS)
def test_every_single_right_is_needed(identity: str, root: Account, attempt: Try, double: Callable[[str, dict[str, Any]], Account]) -> None:
    document = json.loads(root.admin.policy_list())[identity]
    may, may_not = cells(identity)

    def noticed(right: str, short: dict[str, Any]) -> bool:
        caller = double(identity, short)
        outcomes = (allowed(cell.call, attempt(cell, caller)) for cell in (may if right.startswith("Allow") else may_not))
        # Without a right something that worked is refused; without a denial something that was refused works.
        return not all(outcomes) if right.startswith("Allow") else any(outcomes)

    assert [right for right, short in _without_one(document) if not noticed(right, short)] == []
