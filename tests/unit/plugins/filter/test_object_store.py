"""From one declaration of identities to policies, Secrets and users."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.data_platform.plugins.filter.object_store import object_store

URL = "https://minio:9000"
GRANTS = [{"bucket": "datalake", "access": "list"}]


def identity(name: str, *environment: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {"name": name, "grants": GRANTS, "secret": {"name": f"{name}-keys", "namespace": "jobs"}, "environment": environment, **options}


def secrets(*identities: dict[str, Any], **options: Any) -> dict[str, dict[str, Any]]:
    return {f"{one['namespace']}/{one['name']}": one for one in object_store(identities, URL, **options)["secrets"]}


def test_each_identity_is_a_policy_a_user_and_a_secret() -> None:
    parts = object_store([identity("spark")], URL)
    assert parts["policies"] == [{"name": "spark", "grants": GRANTS}]
    place = {"namespace": "jobs", "name": "spark-keys"}
    assert parts["users"] == [{"name": "spark", "policies": ["spark"], "secret_key_from": {**place, "planned": False}}]
    assert parts["secrets"] == [
        {**place, "data": {"access-key": "spark", "endpoint": URL}, "generate": {"secret-key": {"length": 40}}},
    ]


def test_a_given_key_is_not_generated() -> None:
    given = identity("spark", secret_key="given-in-the-vault")
    keys = secrets(given)["jobs/spark-keys"]
    assert keys["data"]["secret-key"] == "given-in-the-vault"
    assert "generate" not in keys
    assert object_store([given], URL)["users"] == [{"name": "spark", "policies": ["spark"], "secret_key": "given-in-the-vault"}]


def test_an_environment_for_sdks_of_aws_in_each_namespace() -> None:
    found = secrets(identity("spark", {"secret": "s3", "namespaces": ["one", "two"]}), region="eu-west-1")
    expected = {
        "data": {"AWS_ACCESS_KEY_ID": "spark", "AWS_ENDPOINT_URL_S3": URL, "AWS_REGION": "eu-west-1"},
        "from": {"AWS_SECRET_ACCESS_KEY": {"namespace": "jobs", "name": "spark-keys", "key": "secret-key"}},
    }
    assert {place: found[place] for place in ("one/s3", "two/s3")} == {
        f"{namespace}/s3": {"namespace": namespace, "name": "s3", **expected} for namespace in ("one", "two")
    }


def test_programs_read_an_address_in_full() -> None:
    keys, environment = object_store([identity("spark", {"secret": "s3", "namespaces": ["jobs"]})], "minio:9000")["secrets"]
    assert keys["data"]["endpoint"] == environment["data"]["AWS_ENDPOINT_URL_S3"] == "https://minio:9000"


def test_connections_of_two_identities_share_a_secret() -> None:
    def connected(name: str) -> dict[str, Any]:
        return identity(name, {"secret": "connections", "namespaces": ["airflow"], "connection": name})

    secret = secrets(connected("logs"), connected("data"))["airflow/connections"]
    expected = {
        f"key-{index}": {"namespace": "jobs", "name": f"{name}-keys", "key": "secret-key"} for index, name in enumerate(("logs", "data"))
    }
    assert secret["inputs"] == expected
    assert set(secret["template"]) == {"AIRFLOW_CONN_LOGS", "AIRFLOW_CONN_DATA"}
    assert secret["template"]["AIRFLOW_CONN_DATA"] == {
        "conn_type": "aws",
        "login": "data",
        "password": "{key-1}",
        "extra": {"endpoint_url": URL, "region_name": "us-east-1"},
    }


def test_the_keys_come_before_what_is_composed_of_them() -> None:
    environment = {"secret": "s3", "namespaces": ["jobs"]}
    names = [secret["name"] for secret in object_store([identity("one", environment), identity("two")], URL)["secrets"]]
    assert names == ["one-keys", "two-keys", "s3"]


def test_rotation_is_for_the_identities_that_are_named() -> None:
    found = secrets(identity("one"), identity("two"), rotate=["two"])
    assert "rotate" not in found["jobs/one-keys"]
    assert found["jobs/two-keys"]["rotate"] == ["secret-key"]
    users = object_store([identity("one"), identity("two")], URL, rotate=["two"])["users"]
    assert [user["secret_key_from"]["planned"] for user in users] == [False, True], "check mode foretells the user's change too"


@pytest.mark.parametrize(
    ("name", "said"),
    [("three", "which is no identity; there are one, two"), ("two", "whose secret_key is given: change it there instead")],
)
def test_what_cannot_be_rotated_is_refused(name: str, said: str) -> None:
    with pytest.raises(AnsibleFilterError, match=said):
        secrets(identity("one"), identity("two", secret_key="given-in-the-vault"), rotate=[name])
