# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What policy documents mean, what is wrong with them, and what grants become."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

import pytest
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.policy_document import (
    VERSION,
    DocumentError,
    canonical,
    expand_grants,
    parse,
    ready_to_send,
    same,
    validate,
)
from hypothesis import given
from hypothesis import strategies as st

ACTIONS = ["s3:GetObject", "s3:PutObject", "s3:Get*", "s3:ListBucket"]
RESOURCES = ["arn:aws:s3:::a/*", "arn:aws:s3:::a/x/*", "arn:aws:s3:::b", "arn:aws:s3:::*"]
CONDITIONS: list[dict[str, Any] | None] = [None, {"StringLike": {"s3:prefix": ["x/*", "y/*"]}}, {"Bool": {"aws:SecureTransport": True}}]
REQUESTS = [
    (action, resource)
    for action in ("s3:GetObject", "s3:GetObjectTagging", "s3:PutObject", "s3:ListBucket", "s3:DeleteObject")
    for resource in ("arn:aws:s3:::a/x/1", "arn:aws:s3:::a/y/1", "arn:aws:s3:::b", "arn:aws:s3:::c/z")
]


def subsets(values: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)


@st.composite
def statements(draw: st.DrawFn, exceptions: bool) -> dict[str, Any]:
    statement: dict[str, Any] = {
        "Effect": draw(st.sampled_from(["Allow", "Deny"])),
        draw(st.sampled_from(["Action", "NotAction"] if exceptions else ["Action"])): draw(subsets(ACTIONS)),
        draw(st.sampled_from(["Resource", "Resource", "NotResource"])): draw(subsets(RESOURCES)),
    }
    condition = draw(st.sampled_from(CONDITIONS))
    return {**statement, "Condition": condition} if condition else statement


def documents(*, exceptions: bool = True) -> st.SearchStrategy[dict[str, Any]]:
    """Documents; without exceptions (NotAction) such as MinIO can read back."""
    found = st.lists(statements(exceptions), min_size=1, max_size=4)
    return found.map(lambda chosen: {"Version": VERSION, "Statement": chosen})


@st.composite
def rewordings(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A document, and the same in other words."""
    document: dict[str, Any] = draw(documents())
    reworded: list[dict[str, Any]] = []
    for statement in document["Statement"]:
        reworded += [_reworded(draw, part) for part in _split(draw, statement)]
    reworded += draw(st.lists(st.sampled_from(reworded), max_size=2))
    return document, {"Statement": draw(st.permutations(reworded)), "Id": "noise"}


def _split(draw: st.DrawFn, statement: dict[str, Any]) -> list[dict[str, Any]]:
    element = draw(st.sampled_from(["Action", "Resource"]))
    if element not in statement or draw(st.booleans()):
        return [statement]
    return [{**statement, element: [value]} for value in statement[element]]


def _reworded(draw: st.DrawFn, statement: dict[str, Any]) -> dict[str, Any]:
    reworded: dict[str, Any] = {"Sid": draw(st.sampled_from(["", "One", "Two"]))}
    for element in draw(st.permutations(list(statement))):
        value = statement[element]
        if element == "Effect":
            value = draw(st.sampled_from([value, value.lower(), value.upper()]))
        elif element == "Condition":
            value = json.loads(json.dumps(value).replace("true", '"true"'))
        else:
            value = value[0] if len(value) == 1 else draw(st.permutations(value)) + value[:1]
        reworded[element] = value
    return reworded


def verdict(document: dict[str, Any], action: str, resource: str, condition: dict[str, Any] | None) -> list[str]:
    """The effects of the statements that speak of a request; written apart from the code under test."""

    def matches(statement: dict[str, Any], element: str, value: str) -> bool:
        exceptions = statement.get(f"Not{element}")
        if exceptions:
            return not any(fnmatchcase(value, pattern) for pattern in exceptions)
        return any(fnmatchcase(value, pattern) for pattern in statement[element])

    return sorted(
        {
            statement["Effect"]
            for statement in document["Statement"]
            if canonical_condition(statement.get("Condition")) == canonical_condition(condition)
            and matches(statement, "Action", action)
            and matches(statement, "Resource", resource)
        }
    )


def canonical_condition(condition: dict[str, Any] | None) -> str:
    return json.dumps(condition or {}, sort_keys=True).replace('["true"]', "true")


@given(rewordings())
def test_other_words_are_the_same_document(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    document, reworded = pair
    assert canonical(document) == canonical(reworded)


@given(rewordings(), documents())
def test_sameness_is_an_equivalence(pair: tuple[dict[str, Any], dict[str, Any]], other: dict[str, Any]) -> None:
    document, reworded = pair
    assert same(document, document)
    assert same(document, reworded)
    assert same(reworded, document)
    assert same(document, other) == same(other, document)
    # What is the same is the same as all others.
    assert same(reworded, other) == same(document, other)


@given(documents(exceptions=False))
def test_a_document_and_its_canonical_form_are_valid(document: dict[str, Any]) -> None:
    validate(document, "policy")
    validate(canonical(document), "policy")


@given(documents())
def test_the_canonical_form_means_what_the_document_means(document: dict[str, Any]) -> None:
    shortened = canonical(document)
    for action, resource in REQUESTS:
        for condition in CONDITIONS:
            assert verdict(document, action, resource, condition) == verdict(shortened, action, resource, condition)


@given(documents())
def test_the_canonical_form_is_its_own(document: dict[str, Any]) -> None:
    assert canonical(canonical(document)) == canonical(document)


@given(documents(), documents())
def test_documents_with_different_verdicts_are_different(one: dict[str, Any], other: dict[str, Any]) -> None:
    differ = any(
        verdict(one, action, resource, condition) != verdict(other, action, resource, condition)
        for action, resource in REQUESTS
        for condition in CONDITIONS
    )
    assert not (differ and same(one, other))


def test_two_exceptions_are_not_joined() -> None:
    def but(action: str) -> dict[str, Any]:
        return {"Effect": "Allow", "NotAction": [action], "Resource": ["arn:aws:s3:::a/*"]}

    apart = {"Statement": [but("s3:GetObject"), but("s3:PutObject")]}
    joined = {"Statement": [{**but("s3:GetObject"), "NotAction": ["s3:GetObject", "s3:PutObject"]}]}
    assert not same(apart, joined)


READ = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::a/*"}


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ([], "policy:"),
        ({"Statement": []}, "policy.Statement:"),
        ({"Statement": [READ], "Version": "2008-10-17"}, "policy.Version:"),
        ({"Statement": [READ], "Statements": []}, "policy.Statements:"),
        ({"Statement": [READ, "x"]}, "policy.Statement[1]:"),
        ({"Statement": [{**READ, "Principal": "*"}]}, "policy.Statement[0].Principal:"),
        ({"Statement": [{**READ, "Effect": "Permit"}]}, "policy.Statement[0].Effect:"),
        ({"Statement": [{"Effect": "Allow", "Resource": "*"}]}, "policy.Statement[0].Action:"),
        ({"Statement": [{**READ, "Action": ["s3:GetObject", "GetObject"]}]}, "policy.Statement[0].Action[1]:"),
        ({"Statement": [{**READ, "Action": ["s3:GetObject", "admin:*"]}]}, "policy.Statement[0].Action:"),
        ({"Statement": [{"Effect": "Deny", "NotAction": "s3:PutObject", "Resource": "*"}]}, "policy.Statement[0].NotAction:"),
        ({"Statement": [{**READ, "NotResource": "arn:aws:s3:::b"}]}, "policy.Statement[0]:"),
        ({"Statement": [{"Effect": "Allow", "Action": "s3:GetObject"}]}, "policy.Statement[0].Resource:"),
        ({"Statement": [READ, {**READ, "Resource": ["datalake/*"]}]}, "policy.Statement[1].Resource[0]:"),
        ({"Statement": [{**READ, "Resource": "arn:aws:s3:::/a"}]}, "policy.Statement[0].Resource:"),
        ({"Statement": [{**READ, "Condition": {}}]}, "policy.Statement[0].Condition:"),
        ({"Statement": [{**READ, "Condition": {"Like": {"s3:prefix": "x"}}}]}, "policy.Statement[0].Condition.Like:"),
        ({"Statement": [{**READ, "Condition": {"StringLike": {"s3:prefix": []}}}]}, "policy.Statement[0].Condition.StringLike.s3:prefix:"),
    ],
)
def test_a_fault_is_named_with_its_place(document: object, place: str) -> None:
    with pytest.raises(DocumentError) as caught:
        validate(document, "policy")
    assert str(caught.value).startswith(place)


def test_broken_json_is_named_with_its_place() -> None:
    with pytest.raises(DocumentError, match=r"^policies\[0\]\.policy: not valid JSON: .* line 1 column"):
        parse('{"Statement": [}', "policies[0].policy")


def test_a_document_is_sent_as_written_and_completed() -> None:
    sent = ready_to_send({"Statement": {**READ, "Sid": "Reports", "Effect": "allow"}})
    assert sent == {"Version": VERSION, "Statement": [{**READ, "Sid": "Reports"}]}


def test_grants_become_the_least_document() -> None:
    document = expand_grants(
        [
            {"bucket": "datalake", "prefix": "logs/airflow-logs/", "access": "read-write"},
            {"bucket": "datalake", "access": "list"},
        ],
        "grants",
    )
    assert document == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"],
                "Resource": ["arn:aws:s3:::datalake/logs/airflow-logs/*"],
            },
            {"Effect": "Allow", "Action": ["s3:GetBucketLocation", "s3:ListBucket"], "Resource": ["arn:aws:s3:::datalake"]},
            {"Effect": "Deny", "Action": ["admin:*"]},
            {"Effect": "Deny", "Action": ["s3:DeleteObjectVersion"], "Resource": ["arn:aws:s3:::datalake/logs/airflow-logs/*"]},
            {
                "Effect": "Deny",
                "Action": ["s3:GetObjectVersion"],
                "Resource": ["arn:aws:s3:::datalake/logs/airflow-logs/*"],
                "Condition": {"StringLike": {"s3:versionid": ["?*"]}},
            },
        ],
    }


def test_read_and_write_apart_are_read_write() -> None:
    def grant(access: str) -> dict[str, Any]:
        return {"bucket": "datalake", "prefix": "raw/", "access": access}

    assert expand_grants([grant("read"), grant("write")], "g") == expand_grants([grant("read-write")], "g")


def test_a_directory_may_be_asked_for_by_its_name() -> None:
    document = expand_grants([{"bucket": "datalake", "prefix": "logs/spark-log/", "access": "read", "directory": True}], "grants")
    allowed = [statement for statement in document["Statement"] if statement["Effect"] == "Allow"]
    resources = ["arn:aws:s3:::datalake/logs/spark-log", "arn:aws:s3:::datalake/logs/spark-log/*"]
    assert allowed == [{"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": resources}]


def test_a_listing_can_be_limited() -> None:
    document = expand_grants([{"bucket": "datalake", "access": "list", "list_prefix": ["logs/", "raw/"]}], "grants")
    assert document["Statement"] == [
        {"Effect": "Allow", "Action": ["s3:GetBucketLocation"], "Resource": ["arn:aws:s3:::datalake"]},
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket"],
            "Resource": ["arn:aws:s3:::datalake"],
            "Condition": {"StringLike": {"s3:prefix": ["logs/*", "raw/*"]}},
        },
        {"Effect": "Deny", "Action": ["admin:*"]},
    ]


@pytest.mark.parametrize(
    ("grant", "place"),
    [
        ({"bucket": "Data_Lake", "access": "list"}, "grants[0].bucket:"),
        ({"bucket": "data*", "access": "list"}, "grants[0].bucket:"),
        ({"bucket": "datalake", "prefix": "logs", "access": "read"}, "grants[0].prefix:"),
        ({"bucket": "datalake", "prefix": "/logs/", "access": "read"}, "grants[0].prefix:"),
        ({"bucket": "datalake", "prefix": "logs/*/", "access": "read"}, "grants[0].prefix:"),
        ({"bucket": "datalake", "prefix": "logs/", "access": "list"}, "grants[0].prefix:"),
        ({"bucket": "datalake", "access": "read", "directory": True}, "grants[0].directory:"),
        ({"bucket": "datalake", "access": "read", "list_prefix": ["logs/"]}, "grants[0].list_prefix:"),
        ({"bucket": "datalake", "access": "list", "list_prefix": ["logs/", "raw/*"]}, "grants[0].list_prefix[1]:"),
    ],
)
def test_a_faulty_grant_is_named_with_its_place(grant: dict[str, Any], place: str) -> None:
    with pytest.raises(DocumentError) as caught:
        expand_grants([grant], "grants")
    assert str(caught.value).startswith(place)


def test_no_grants_are_an_error() -> None:
    with pytest.raises(DocumentError, match=r"^grants: is empty"):
        expand_grants([], "grants")
