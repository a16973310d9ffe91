# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lifecycles and prefixes of buckets: what rules mean, and what a real MinIO does with them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.lifecycle import (
    declared,
    in_words_of_s3,
    meaning,
    of_a_declaration,
    of_others,
)
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugins.minio.conftest import Run, Server, actions

PREFIXES = ["", "logs/", "logs/spark-log/", "raw/", "lögs/a b & <c>/", "x/" * 150]
DAYS = st.integers(1, 400)
RULES = st.lists(
    st.builds(
        lambda prefix, days: {"prefix": prefix, "expire_days": None, "noncurrent_days": None, **days},
        st.sampled_from(PREFIXES),
        st.dictionaries(st.sampled_from(["expire_days", "noncurrent_days"]), DAYS, min_size=1),
    ),
    unique_by=lambda rule: str(rule["prefix"]),
)
MARKERS = st.lists(st.sampled_from(PREFIXES[1:]), unique=True)


def rule(**parts: Any) -> dict[str, Any]:
    return {"ID": "mine", "Status": "Enabled", "Filter": {"Prefix": "a/"}, **parts}


@given(RULES, MARKERS, st.randoms())
def test_rules_keep_their_meaning_on_the_way(rules: list[dict[str, Any]], markers: list[str], chance: Any) -> None:
    wanted = declared(rules, markers)
    sent = in_words_of_s3(wanted)
    assert len({entry["ID"] for entry in sent}) == len(rules)
    chance.shuffle(sent)
    assert meaning(sent) == wanted


def test_the_server_keeps_the_meaning_of_rules(minio: Server, run: Run, name: str) -> None:
    rules = [{"prefix": prefix, "expire_days": 30 + index, "noncurrent_days": 7} for index, prefix in enumerate(PREFIXES)]
    entry = {"name": name, "lifecycle": rules, "prefixes": ["logs/spark-log/"]}
    assert actions(run("minio_bucket", buckets=[entry])) == ["created"]
    assert actions(run("minio_bucket", buckets=[{**entry, "lifecycle": rules[::-1]}])) == ["unchanged"]
    found = minio.s3().get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    assert meaning(found) == declared(rules, ["logs/spark-log/"])
    assert {"data-platform logs/", "data-platform raw/", "data-platform all"} < {entry["ID"] for entry in found}


@pytest.mark.parametrize(
    ("found", "means"),
    [
        ([rule(Expiration={"Days": 3})], [{"prefix": "a/", "expire_days": 3}]),
        ([rule(Expiration={"Days": 3}, Filter={})], [{"prefix": "", "expire_days": 3}]),
        ([{"ID": "old", "Status": "Enabled", "Prefix": "a/", "Expiration": {"Days": 3}}], [{"prefix": "a/", "expire_days": 3}]),
        (
            [rule(Expiration={"Days": 3}), rule(NoncurrentVersionExpiration={"NoncurrentDays": 9}), rule(Expiration={"Days": 5})],
            [{"prefix": "a/", "expire_days": 3, "noncurrent_days": 9}],
        ),
    ],
)
def test_rules_mean_the_same_in_other_words(found: list[dict[str, Any]], means: list[dict[str, Any]]) -> None:
    assert meaning(found) == means


@pytest.mark.parametrize(
    "other",
    [
        rule(Expiration={"Days": 3}, Status="Disabled"),
        rule(Expiration={"Days": 3}, Filter={"Tag": {"Key": "a", "Value": "b"}}),
        rule(Expiration={"Days": 3}, Filter={"And": {"Prefix": "a/", "Tags": [{"Key": "a", "Value": "b"}]}}),
        rule(Expiration={"Days": 3}, Filter={"And": {"Prefix": "a/", "ObjectSizeGreaterThan": 500}}),
        rule(Expiration={"Days": 3}, NoncurrentVersionExpiration={"NewerNoncurrentVersions": 2, "NoncurrentDays": 1}),
        rule(Expiration={"ExpiredObjectDeleteMarker": True}),
        rule(Expiration={"Date": datetime(2030, 1, 1, tzinfo=timezone.utc)}),
    ],
)
def test_a_rule_of_others_is_left_alone(minio: Server, run: Run, name: str, other: dict[str, Any]) -> None:
    def rules() -> list[dict[str, Any]]:
        return list(minio.s3().get_bucket_lifecycle_configuration(Bucket=name)["Rules"])

    run("minio_bucket", buckets=[{"name": name}])
    minio.s3().put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [other]})
    before = rules()
    declared_too = {"name": name, "lifecycle": [{"prefix": "a/", "expire_days": 3}]}
    for check in (True, False):
        result = run("minio_bucket", check=check, buckets=[declared_too])
        assert actions(result) == ["updated"]
        assert [result["diff"][0][side]["lifecycle"] for side in ("before", "after")] == [[], declared_too["lifecycle"]]
    assert meaning(of_a_declaration(rules())) == declared_too["lifecycle"]
    assert of_others(rules()) == before
    assert actions(run("minio_bucket", buckets=[declared_too])) == ["unchanged"]
    assert actions(run("minio_bucket", buckets=[{"name": name, "lifecycle": []}])) == ["updated"]
    assert rules() == before


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"lifecycle": [{"prefix": "a", "expire_days": 1}]}, "buckets[0].lifecycle[0].prefix: is 'a'; it must end with '/'"),
        ({"lifecycle": [{"prefix": "/a/", "expire_days": 1}]}, "buckets[0].lifecycle[0].prefix: is '/a/'; it must have the form"),
        ({"lifecycle": [{"prefix": "a/"}]}, "buckets[0].lifecycle[0]: does nothing; give at least one of expire_days, noncurrent_days"),
        ({"lifecycle": [{"expire_days": 1}, {"expire_days": 0, "prefix": "a/"}]}, "buckets[0].lifecycle[1].expire_days: is 0"),
        ({"lifecycle": [{"noncurrent_days": 110000}]}, "buckets[0].lifecycle[0].noncurrent_days: is 110000; it must be from 1 to 36500"),
        ({"lifecycle": [{"expire_days": 1}, {"noncurrent_days": 1}]}, "buckets[0].lifecycle[1].prefix: '' has a rule already, "),
        ({"prefixes": ["a/", "b"]}, "buckets[0].prefixes[1]: is 'b'; it must end with '/'"),
        ({"prefixes": [""]}, "buckets[0].prefixes[0]: is empty"),
        ({"prefixes": ["a//b/"]}, "buckets[0].prefixes[0]: is 'a//b/'; it must have the form"),
        ({"prefixes": ["../b/"]}, "buckets[0].prefixes[0]: is '../b/'; it must have the form"),
        ({"prefixes": ["a\x01/"]}, "buckets[0].prefixes[0]: is 'a\\x01/'; it must have the form"),
    ],
)
def test_a_fault_is_named_with_its_place(run: Run, name: str, entry: dict[str, Any], message: str) -> None:
    assert run("minio_bucket", buckets=[{"name": name, **entry}])["msg"].startswith(message)


def keys(server: Server, bucket: str) -> list[str]:
    return [entry["Key"] for entry in server.s3().list_objects_v2(Bucket=bucket).get("Contents", [])]


def put_long_ago(server: Server, bucket: str, key: str, body: bytes) -> None:
    """Write an object as it arrives from another server, where it was written a hundred days ago."""
    s3 = server.s3()

    def date(request: Any, **_event: Any) -> None:
        then = datetime.now(timezone.utc) - timedelta(days=100)
        request.headers["X-Minio-Source-Mtime"] = f"{then:%Y-%m-%dT%H:%M:%SZ}"
        request.headers["X-Minio-Source-Replication-Request"] = "true"

    s3.meta.events.register("before-sign.s3.PutObject", date)
    s3.put_object(Bucket=bucket, Key=key, Body=body)


def expired(server: Server, bucket: str, key: str) -> bool:
    """Whether an object is gone: MinIO looks at the rules when one is asked for."""
    try:
        server.s3().head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "404"
        return True
    return False


@pytest.mark.parametrize(("over", "versioning"), [("logs/", True), ("logs/spark-log/", False), ("", True)])
def test_a_marker_outlives_what_expires_around_it(minio: Server, run: Run, name: str, over: str, versioning: bool) -> None:
    run("minio_bucket", buckets=[{"name": name, "versioning": versioning}])
    put_long_ago(minio, name, "logs/spark-log/", b"")
    put_long_ago(minio, name, "logs/spark-log/1", b"log")
    entry = {"name": name, "lifecycle": [{"prefix": over, "expire_days": 30}], "prefixes": ["logs/spark-log/"]}
    assert actions(run("minio_bucket", buckets=[entry])) == ["updated"]
    assert expired(minio, name, "logs/spark-log/1")
    assert not expired(minio, name, "logs/spark-log/")
    assert keys(minio, name) == ["logs/spark-log/"]
    assert actions(run("minio_bucket", buckets=[entry])) == ["unchanged"]


def test_without_a_marker_to_spare_everything_expires(minio: Server, run: Run, name: str) -> None:
    entry = {"name": name, "lifecycle": [{"prefix": "logs/", "expire_days": 30}], "prefixes": ["raw/"]}
    run("minio_bucket", buckets=[entry])
    put_long_ago(minio, name, "logs/empty", b"")
    assert expired(minio, name, "logs/empty")


def test_days_are_not_so_many_that_the_server_loses_count(minio: Server, run: Run, name: str) -> None:
    run("minio_bucket", buckets=[{"name": name, "lifecycle": [{"expire_days": 36500}]}])
    minio.s3().put_object(Bucket=name, Key="x", Body=b"precious")
    assert not expired(minio, name, "x")


@pytest.mark.parametrize(
    ("lifecycle", "first", "then"),
    [(None, "unchanged", ["logs/spark-log/app"]), ([{"expire_days": 30}], "updated", ["logs/spark-log/", "logs/spark-log/app"])],
)
def test_what_lies_below_makes_a_prefix_real_unless_it_expires(
    minio: Server, run: Run, name: str, lifecycle: list[dict[str, Any]] | None, first: str, then: list[str]
) -> None:
    entry = {"name": name, "prefixes": ["logs/spark-log/"]}
    run("minio_bucket", buckets=[{"name": name}])
    minio.s3().put_object(Bucket=name, Key="logs/spark-log/app", Body=b"log")
    result = run("minio_bucket", buckets=[{**entry, **({"lifecycle": lifecycle} if lifecycle else {})}])
    assert actions(result) == [first]
    assert keys(minio, name) == then


def test_a_neighbours_object_makes_no_prefix_real_and_a_marker_is_made_again(minio: Server, run: Run, name: str) -> None:
    entry = {"name": name, "prefixes": ["logs/spark-log/"]}
    run("minio_bucket", buckets=[{"name": name}])
    minio.s3().put_object(Bucket=name, Key="logs/spark-logs", Body=b"x")
    minio.s3().put_object(Bucket=name, Key="logs/spark-log", Body=b"x")
    for _time in range(2):
        predicted = run("minio_bucket", check=True, buckets=[entry])
        assert (predicted["diff"][0]["before"]["prefixes"], predicted["diff"][0]["after"]["prefixes"]) == ([], ["logs/spark-log/"])
        assert actions(run("minio_bucket", buckets=[entry])) == ["updated"]
        assert actions(run("minio_bucket", buckets=[entry])) == ["unchanged"]
        minio.s3().delete_object(Bucket=name, Key="logs/spark-log/")
    assert keys(minio, name) == ["logs/spark-log", "logs/spark-logs"]
