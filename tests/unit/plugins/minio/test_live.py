# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules against a real MinIO: every state, twice, with and without check mode, and what can go wrong."""

from __future__ import annotations

import base64
import io
import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from minio.error import MinioAdminException

from tests.unit.plugins.kubernetes.conftest import Api
from tests.unit.plugins.minio.conftest import ROOT, Run, Server, actions
from tests.unit.plugins.minio.test_policy_document import documents

READ = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::a/*"}
WRITE = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::a/*"}


def code(server: Server, name: str, key: str) -> str:
    """What the server says to a request signed with this key: AccessDenied means that the key is right."""
    try:
        server.s3(name, key).list_buckets()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "OK"


def secret_key() -> str:
    return secrets.token_hex(20)


def life(kind: str, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """From nothing to nothing: what each step does to an object, and the entry that asks for it."""
    if kind == "bucket":
        yield "created", {"name": name}
        yield "updated", {"name": name, "versioning": True}
        yield "updated", {"name": name, "versioning": False}
        rules = [{"prefix": "logs/", "expire_days": 30, "noncurrent_days": 7}, {"expire_days": 90}]
        yield "updated", {"name": name, "lifecycle": rules}
        yield "updated", {"name": name, "lifecycle": rules[:1]}
        yield "updated", {"name": name, "lifecycle": []}
    elif kind == "policy":
        yield "created", {"name": name, "policy": {"Statement": [READ]}}
        yield "updated", {"name": name, "policy": {"Statement": [READ, WRITE]}}
        yield "updated", {"name": name, "grants": [{"bucket": "aaa", "access": "list"}]}
    else:
        key = secret_key()
        yield "created", {"name": name, "secret_key": key, "policies": ["readonly"]}
        yield "updated", {"name": name, "secret_key": key, "policies": ["writeonly"]}
        yield "updated", {"name": name, "secret_key": key, "policies": ["readonly"], "append_policies": True}
        yield "updated", {"name": name, "secret_key": key, "state": "disabled"}
        yield "updated", {"name": name, "secret_key": secret_key()}
        yield "updated", {"name": name, "secret_key": secret_key(), "policies": []}
    yield "removed", {"name": name, "state": "absent"}


PLURALS = {"bucket": "buckets", "policy": "policies", "user": "users"}


@pytest.mark.parametrize("kind", PLURALS)
def test_every_state_is_predicted_reached_and_kept(run: Run, name: str, kind: str) -> None:
    for action, entry in life(kind, name):
        arguments = {PLURALS[kind]: [entry]}
        predicted = run(f"minio_{kind}", check=True, **arguments)
        assert actions(predicted) == [action], entry
        assert predicted["changed"]
        done = run(f"minio_{kind}", **arguments)
        assert (done["results"], done["diff"], done["changed"]) == (predicted["results"], predicted["diff"], True)
        for check in (False, True):
            again = run(f"minio_{kind}", check=check, **arguments)
            assert (actions(again), again["changed"], again["diff"]) == (["unchanged"], False, []), entry


@pytest.mark.parametrize("kind", PLURALS)
def test_one_call_serves_many(run: Run, name: str, kind: str) -> None:
    entries = [next(life(kind, f"{name}-{index}"))[1] for index in range(3)]
    assert actions(run(f"minio_{kind}", **{PLURALS[kind]: entries[:2]})) == ["created", "created"]
    assert actions(run(f"minio_{kind}", **{PLURALS[kind]: entries})) == ["unchanged", "unchanged", "created"]


@given(document=documents(exceptions=False))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_passes_the_validation_is_accepted_and_comes_back_the_same(run: Run, name: str, document: dict[str, Any]) -> None:
    # A listing's prefix is no condition of other actions, and the server says so.
    statements = [{key: value for key, value in statement.items() if key != "Condition"} for statement in document["Statement"]]
    policies = [{"name": name, "policy": {"Statement": statements}}]
    run("minio_policy", policies=policies)
    assert actions(run("minio_policy", policies=policies)) == ["unchanged"]


def test_other_words_are_no_change_and_the_diff_shows_only_the_meaning(run: Run, name: str) -> None:
    run("minio_policy", policies=[{"name": name, "policy": {"Statement": [READ, WRITE]}}])
    joined = {"effect": "ALLOW", "Action": ["s3:PutObject", "s3:GetObject"], "Resource": ["arn:aws:s3:::a/*"]}
    joined["Effect"] = joined.pop("effect")
    assert actions(run("minio_policy", policies=[{"name": name, "policy": {"Statement": [joined, READ]}}])) == ["unchanged"]
    changed = run("minio_policy", check=True, policies=[{"name": name, "policy": {"Statement": [READ]}}])
    assert changed["diff"][0]["before"]["Statement"] == [{**joined, "Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"]}]
    assert changed["diff"][0]["after"]["Statement"] == [{**READ, "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::a/*"]}]


def test_nothing_is_sent_when_one_document_is_faulty(run: Run, minio: Server, name: str) -> None:
    faulty = {"Statement": [READ, {**WRITE, "Resource": ["a/*"]}]}
    result = run("minio_policy", policies=[{"name": name, "policy": {"Statement": [READ]}}, {"name": f"{name}-2", "policy": faulty}])
    assert result["msg"].startswith(f"policy '{name}-2': policies[1].policy.Statement[1].Resource[0]: is 'a/*'")
    assert name not in minio.admin.policy_list()


def test_what_only_the_server_knows_is_refused_readably(run: Run, name: str) -> None:
    result = run("minio_policy", policies=[{"name": name, "policy": {"Statement": [{**READ, "Action": "s3:GetObjekt"}]}}])
    assert f"cannot write the policy '{name}': " in result["msg"]
    assert "unsupported action 's3:GetObjekt'" in result["msg"]


def test_a_policy_in_use_is_not_removed_and_its_holder_is_named(run: Run, name: str) -> None:
    run("minio_policy", policies=[{"name": name, "policy": {"Statement": [READ]}}])
    run("minio_user", users=[{"name": name, "secret_key": secret_key(), "policies": [name]}])
    for check in (True, False):
        result = run("minio_policy", check=check, policies=[{"name": name, "state": "absent"}])
        assert f"it is attached to user '{name}'" in result["msg"]


def test_a_policy_is_not_removed_from_under_a_group(run: Run, minio: Server, name: str) -> None:
    run("minio_policy", policies=[{"name": name, "policy": {"Statement": [READ]}}])
    run("minio_user", users=[{"name": name, "secret_key": secret_key()}])
    minio.admin.group_add(f"{name}-group", [name])
    minio.admin.attach_policy([name], group=f"{name}-group")
    result = run("minio_policy", policies=[{"name": name, "state": "absent"}])
    assert f"it is attached to group '{name}-group'" in result["msg"]


def test_a_document_that_the_server_gave_out_is_taken_back(run: Run, minio: Server, name: str) -> None:
    document = {"ID": "reports", "Version": "2012-10-17", "Statement": [READ]}
    minio.admin.policy_add(name, policy=document)
    found = json.loads(minio.admin.policy_list())[name]
    assert actions(run("minio_policy", policies=[{"name": name, "policy": found}])) == ["unchanged"]
    for action in ("created", "unchanged"):
        assert actions(run("minio_policy", policies=[{"name": f"{name}-2", "policy": json.dumps(document)}])) == [action]


def test_a_built_in_policy_is_not_overwritten(run: Run) -> None:
    result = run("minio_policy", policies=[{"name": "readwrite", "policy": {"Statement": [READ]}}])
    assert "'readwrite' is built into MinIO and would be updated" in result["msg"]


def refused(call: Any, **arguments: Any) -> bool:
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "AccessDenied"
        return True
    return False


def test_grants_open_what_they_say_and_nothing_else(run: Run, minio: Server, name: str) -> None:
    key = secret_key()
    run("minio_bucket", buckets=[{"name": name, "versioning": True}, {"name": f"{name}-other"}])
    grants = [{"bucket": name, "access": "list"}, {"bucket": name, "prefix": "logs/mine/", "access": "read-write"}]
    run("minio_policy", policies=[{"name": name, "grants": grants}])
    run("minio_user", users=[{"name": name, "secret_key": key, "policies": [name]}])

    root, user = minio.s3(), minio.s3(name, key)
    root.put_object(Bucket=name, Key="logs/theirs/1", Body=b"x")
    user.put_object(Bucket=name, Key="logs/mine/1", Body=b"mine")
    assert user.get_object(Bucket=name, Key="logs/mine/1")["Body"].read() == b"mine"
    user.upload_fileobj(io.BytesIO(bytes(12 * 1024**2)), name, "logs/mine/in-parts")
    assert user.get_bucket_location(Bucket=name)["ResponseMetadata"]["HTTPStatusCode"] == 200
    listed = {entry["Key"] for entry in user.list_objects_v2(Bucket=name)["Contents"]}
    assert listed == {"logs/theirs/1", "logs/mine/1", "logs/mine/in-parts"}

    assert refused(user.put_object, Bucket=name, Key="logs/mine-too/1", Body=b"x")
    assert refused(user.get_object, Bucket=name, Key="logs/theirs/1")
    assert refused(user.list_objects_v2, Bucket=f"{name}-other")
    assert refused(user.create_bucket, Bucket=f"{name}-third")

    version = root.list_object_versions(Bucket=name, Prefix="logs/mine/1")["Versions"][0]["VersionId"]
    assert refused(user.delete_object, Bucket=name, Key="logs/mine/1", VersionId=version)
    assert refused(user.get_object, Bucket=name, Key="logs/mine/1", VersionId=version)
    user.delete_object(Bucket=name, Key="logs/mine/1")
    assert root.get_object(Bucket=name, Key="logs/mine/1", VersionId=version)["Body"].read() == b"mine"


def test_who_holds_grants_makes_no_keys_that_outlive_a_rotation(run: Run, minio: Server, name: str) -> None:
    key = secret_key()
    run("minio_policy", policies=[{"name": name, "grants": [{"bucket": "aaa", "access": "read-write"}]}])
    run("minio_user", users=[{"name": name, "secret_key": key, "policies": [name]}])
    admin = minio.admin_as(name, key)
    for call in (admin.add_service_account, lambda: admin.user_add(name, secret_key())):
        with pytest.raises(MinioAdminException, match="AccessDenied"):
            call()
    assert code(minio, name, key) in ("OK", "AccessDenied")


def test_a_limited_listing_is_limited(run: Run, minio: Server, name: str) -> None:
    key = secret_key()
    run("minio_bucket", buckets=[{"name": name}])
    run("minio_policy", policies=[{"name": name, "grants": [{"bucket": name, "access": "list", "list_prefix": ["logs/mine/"]}]}])
    run("minio_user", users=[{"name": name, "secret_key": key, "policies": [name]}])
    user = minio.s3(name, key)
    assert user.list_objects_v2(Bucket=name, Prefix="logs/mine/")["KeyCount"] == 0
    assert refused(user.list_objects_v2, Bucket=name, Prefix="logs/")
    assert refused(user.list_objects_v2, Bucket=name)


@pytest.mark.parametrize("policies", [["readonly"], []])
def test_a_secret_that_was_changed_elsewhere_is_found_and_set_right(run: Run, minio: Server, name: str, policies: list[str]) -> None:
    key = secret_key()
    users = [{"name": name, "secret_key": key, "policies": policies}]
    run("minio_user", users=users)
    minio.admin.user_add(name, secret_key())
    predicted = run("minio_user", check=True, users=users)
    assert actions(predicted) == ["updated"]
    assert (predicted["diff"][0]["before"]["secret"], predicted["diff"][0]["after"]["secret"]) == ("not as declared", "as declared")
    assert actions(run("minio_user", users=users)) == ["updated"]
    assert code(minio, name, key) in ("OK", "AccessDenied")
    assert actions(run("minio_user", users=users)) == ["unchanged"]


def test_a_new_secret_in_the_declaration_rotates_it_and_keeps_the_policies(run: Run, minio: Server, name: str) -> None:
    old, new = secret_key(), secret_key()
    run("minio_user", users=[{"name": name, "secret_key": old, "policies": ["readonly"]}])
    assert actions(run("minio_user", users=[{"name": name, "secret_key": new}])) == ["updated"]
    assert code(minio, name, new) in ("OK", "AccessDenied")
    assert code(minio, name, old) == "SignatureDoesNotMatch"
    assert '"policyName":"readonly"' in minio.admin.user_info(name)


def test_a_disabled_user_may_do_nothing_until_enabled(run: Run, minio: Server, name: str) -> None:
    key = secret_key()
    run("minio_user", users=[{"name": name, "secret_key": key, "policies": ["readwrite"], "state": "disabled"}])
    assert code(minio, name, key) == "InvalidAccessKeyId"
    run("minio_user", users=[{"name": name}])
    assert code(minio, name, key) in ("OK", "AccessDenied")


def test_a_disabled_users_secret_is_right_once_enabled(run: Run, minio: Server, name: str) -> None:
    key, other = secret_key(), secret_key()
    run("minio_user", users=[{"name": name, "secret_key": key}])
    minio.admin.user_add(name, other)
    minio.admin.user_disable(name)
    assert actions(run("minio_user", users=[{"name": name, "secret_key": key, "state": "disabled"}])) == ["unchanged"]
    enabled = [{"name": name, "secret_key": key}]
    assert actions(run("minio_user", check=True, users=enabled)) == ["updated"]
    assert actions(run("minio_user", users=enabled)) == ["updated"]
    assert code(minio, name, key) in ("OK", "AccessDenied")
    assert code(minio, name, other) == "SignatureDoesNotMatch"


def test_what_comes_by_a_group_and_what_hangs_on_a_user_is_left_alone(run: Run, minio: Server, name: str) -> None:
    old, new, own = secret_key(), secret_key(), secret_key()
    run("minio_user", users=[{"name": name, "secret_key": old, "policies": ["writeonly"]}])
    minio.admin.group_add(f"{name}-group", [name])
    minio.admin.attach_policy(["readonly"], group=f"{name}-group")
    s3 = minio.s3()
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="x", Body=b"x")
    service = f"{name[-8:]}-service"
    minio.admin_as(name, old).add_service_account(access_key=service, secret_key=own)

    def reads(user: str, key: str) -> bool:
        return not refused(minio.s3(user, key).get_object, Bucket=name, Key="x")

    for key, policies, action in ((old, ["writeonly"], "unchanged"), (new, [], "updated"), (new, [], "unchanged")):
        assert actions(run("minio_user", users=[{"name": name, "secret_key": key, "policies": policies}])) == [action]
        assert reads(name, key)
        assert reads(service, own)
    # Of the group's policy the user can have one of its own.
    assert actions(run("minio_user", users=[{"name": name, "policies": ["readonly"]}])) == ["updated"]
    assert json.loads(minio.admin.user_info(name))["policyName"] == "readonly"


def test_an_unknown_policy_stops_before_the_user_is_made(run: Run, minio: Server, name: str) -> None:
    users = [{"name": name, "secret_key": secret_key(), "policies": [f"{name}-policy"]}]
    # An earlier task may only have predicted the policy.
    assert actions(run("minio_user", check=True, users=users)) == ["created"]
    assert f"there is no policy '{name}-policy'" in run("minio_user", users=users)["msg"]
    assert actions(run("minio_user", users=[{"name": name, "state": "absent"}])) == ["unchanged"]


def test_a_secret_key_is_read_from_its_kubernetes_secret(run: Run, minio: Server, api: Api, name: str) -> None:
    key, namespace = secret_key(), api.namespace()
    users: list[dict[str, Any]] = [{"name": name, "secret_key_from": {"namespace": namespace, "name": "keys"}, "policies": ["readonly"]}]
    assert actions(run("minio_user", check=True, users=users, kubeconfig=api.kubeconfig)) == ["created"]
    missing = run("minio_user", users=users, kubeconfig=api.kubeconfig)["msg"]
    assert missing == f"user '{name}': the Secret {namespace}/keys does not exist; create it first (kubernetes_secret)."

    client = api.client
    broken = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "broken"}, "data": {"secret-key": "//79/w=="}}
    client.create(client.path("v1", "Secret", namespace), broken)
    binary = [{"name": name, "secret_key_from": {"namespace": namespace, "name": "broken"}}]
    said = run("minio_user", users=binary, kubeconfig=api.kubeconfig)["msg"]
    assert said == f"user '{name}': the key 'secret-key' of the Secret {namespace}/broken is no text (UTF-8)."

    path, metadata = client.path("v1", "Secret", namespace), {"name": "keys"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"secret-key": base64.b64encode(key.encode()).decode()}}
    client.create(path, secret)
    result = run("minio_user", users=users, kubeconfig=api.kubeconfig)
    assert actions(result) == ["created"]
    assert key not in str(result)
    assert code(minio, name, key) in ("OK", "AccessDenied")
    assert actions(run("minio_user", users=users, kubeconfig=api.kubeconfig)) == ["unchanged"]
    # A rotation that an earlier task has planned is foretold, and when there is one, the Secret has it already.
    users[0]["secret_key_from"]["planned"] = True
    assert actions(run("minio_user", check=True, users=users, kubeconfig=api.kubeconfig)) == ["updated"]
    assert actions(run("minio_user", users=users, kubeconfig=api.kubeconfig)) == ["unchanged"]


def test_a_bucket_with_data_is_not_removed(run: Run, minio: Server, name: str) -> None:
    run("minio_bucket", buckets=[{"name": name, "versioning": True}])
    s3 = minio.s3()
    s3.put_object(Bucket=name, Key="x", Body=b"x")
    s3.delete_object(Bucket=name, Key="x")
    for check in (True, False):
        result = run("minio_bucket", check=check, buckets=[{"name": name, "state": "absent"}])
        assert f"bucket '{name}' holds objects or old versions" in result["msg"]


@pytest.mark.parametrize(
    ("module", "arguments", "message"),
    [
        ("minio_bucket", {"buckets": [{"name": "Data_Lake"}]}, "buckets[0].name: is 'Data_Lake'"),
        ("minio_bucket", {"buckets": [{"name": "aaa"}, {"name": "aaa"}]}, "bucket 'aaa' is listed more than once"),
        ("minio_policy", {"policies": [{"name": "a,b", "policy": "{}"}]}, "policies[0].name: is 'a,b'"),
        ("minio_policy", {"policies": [{"name": "a", "policy": "{"}]}, "policy 'a': policies[0].policy: not valid JSON"),
        ("minio_policy", {"policies": [{"name": "a"}]}, "state is present but any of the following are missing: policy, grants"),
        ("minio_user", {"users": [{"name": "ab", "secret_key": "12345678"}]}, "users[0].name: is 'ab'"),
        ("minio_user", {"users": [{"name": ROOT, "state": "absent"}]}, f"users[0].name: '{ROOT}' is the account that this task signs in"),
        ("minio_user", {"users": [{"name": "abc", "secret_key": "1-2-3-4"}]}, "the secret of 'abc' is shorter than 8 characters"),
        ("minio_user", {"users": [{"name": "never-seen"}]}, "'never-seen' does not exist, and no secret_key is given"),
        (
            "minio_user",
            {"users": [{"name": "Łukasz", "secret_key": "12345678"}]},
            "users[0].name: is 'Łukasz'; at least 3 characters of ASCII",
        ),
        ("minio_user", {"users": [{"name": "a\nbc", "state": "absent"}]}, "users[0].name: is 'a\\nbc'"),
        ("minio_user", {"users": [], "access_key": "Łukasz"}, "access_key is 'Łukasz': the name of an account that can sign in is ASCII"),
        ("minio_user", {"users": [], "timeout": 0}, "timeout is 0: it must be at least 1 second"),
        ("minio_policy", {"policies": [{"name": "../a", "state": "absent"}]}, "policies[0].name: is '../a'"),
        ("minio_policy", {"policies": [{"name": "a\nb", "state": "absent"}]}, "policies[0].name: is 'a\\nb'"),
        ("minio_bucket", {"buckets": [], "ca_path": "/nonexistent/ca.crt"}, "ca_path is '/nonexistent/ca.crt': no CA certificates"),
    ],
)
def test_a_wrong_declaration_is_refused_in_one_line(run: Run, module: str, arguments: dict[str, Any], message: str) -> None:
    result = run(module, **arguments)
    assert result["failed"]
    assert message in result["msg"]
