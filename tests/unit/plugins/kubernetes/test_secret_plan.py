"""What a Secret should hold: sources of values, templates, quoting, refusals, and what a diff may show."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes import secrets
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import KubernetesError


def wanted(**options: Any) -> secrets.Wanted:
    defaults: dict[str, Any] = {"name": "db", "namespace": "airflow", "state": "present", "type": None, "rotate": []}
    empty = ("labels", "annotations", "data", "generate", "from", "inputs", "template")
    return secrets.parse({**defaults, **{key: {} for key in empty}, **options})


def held(**values: str) -> dict[str, Any]:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"metadata": {"name": "db", "namespace": "airflow", "uid": "u", "resourceVersion": "7"}, "type": "Opaque", "data": data}


def nothing(_reference: secrets.Reference) -> str | None:
    return None


def test_a_generated_value_is_made_once_and_kept() -> None:
    declared = wanted(generate={"password": {"length": 40}})
    first = secrets.plan(declared, None, nothing)
    assert (first.action, dict(first.changes)) == ("create", {"password": "generated"})
    assert len(first.values["password"]) == 40
    second = secrets.plan(declared, held(**first.values), nothing)
    assert (second.action, second.body, second.values) == ("keep", {}, first.values)


def test_rotation_makes_a_new_value_and_what_is_composed_of_it_follows() -> None:
    declared = wanted(generate={"password": {}}, template={"url": "pg://{password}"}, rotate=["password"])
    step = secrets.plan(declared, held(password="old", url="pg://old", other="mine"), nothing)
    assert dict(step.changes) == {"url": "changed", "password": "rotated"}
    assert step.values["url"] == f"pg://{step.values['password']}" != "pg://old"
    assert set(step.body["data"]) == {"password", "url"}
    assert step.body["metadata"]["resourceVersion"] == "7"


def test_unknown_keys_and_foreign_labels_are_left_alone() -> None:
    current = held(other="mine")
    current["metadata"]["labels"] = {"theirs": "1"}
    step = secrets.plan(wanted(data={"user": "airflow"}, labels={"ours": "2"}), current, nothing)
    assert step.body == {
        "data": {"user": base64.b64encode(b"airflow").decode()},
        "metadata": {"labels": {"ours": "2"}, "resourceVersion": "7"},
    }


@pytest.mark.parametrize(
    ("how", "length", "alphabet"),
    [
        ({}, 32, secrets.ALPHABETS["alphanumeric"]),
        ({"format": "hex", "length": 64}, 64, "0123456789abcdef"),
        ({"format": "urlsafe", "length": 50}, 50, secrets.ALPHABETS["urlsafe"]),
    ],
)
def test_formats(how: dict[str, Any], length: int, alphabet: str) -> None:
    value = secrets.plan(wanted(generate={"k": how}), None, nothing).values["k"]
    assert len(value) == length
    assert set(value) <= set(alphabet)


def test_a_fernet_key_is_what_fernet_accepts() -> None:
    from cryptography.fernet import Fernet

    Fernet(secrets.plan(wanted(generate={"k": {"format": "fernet"}}), None, nothing).values["k"])


@pytest.mark.parametrize(
    ("template", "composed"),
    [
        ("{password}", 'p@ss/w"ö%'),
        ("pg://u:{password:url}@h", "pg://u:p%40ss%2Fw%22%C3%B6%25@h"),
        ('{{"password": {password:json}}}', json.dumps({"password": 'p@ss/w"ö%'})),
        ("{password:base64}", base64.b64encode('p@ss/w"ö%'.encode()).decode()),
        ("{{{password}}}", '{p@ss/w"ö%}'),
        ({"login": "me", "port": 5432, "extra": {"keys": ["{password}"]}}, None),
    ],
)
def test_templates(template: Any, composed: str | None) -> None:
    value = secrets.compose(template, {"password": 'p@ss/w"ö%'}, "here")
    if composed is None:
        assert json.loads(value) == {"login": "me", "port": 5432, "extra": {"keys": ['p@ss/w"ö%']}}
    else:
        assert value == composed


def test_values_come_from_other_secrets_and_inputs_are_not_stored() -> None:
    def look_up(reference: secrets.Reference) -> str | None:
        return {"key access of Secret minio/keys": "AKIA", "key secret of Secret airflow/other": "s3cr3t"}.get(str(reference))

    declared = wanted(
        **{"from": {"access": {"namespace": "minio", "name": "keys"}}},
        inputs={"hidden": {"name": "other", "key": "secret"}},
        template={"both": "{access}:{hidden}"},
    )
    step = secrets.plan(declared, None, look_up)
    assert step.values == {"access": "AKIA", "both": "AKIA:s3cr3t"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"template": {"u": "{nope}"}, "data": {"a": "1"}}, r"template u of Secret airflow/db: \{nope\} is no key; there are: a"),
        ({"template": {"u": "{a:b}"}, "data": {"a": "1"}}, r"accepted are \{a\}, \{a:url\}, \{a:json\}, \{a:base64\}"),
        ({"template": {"u": "{a"}, "data": {"a": "1"}}, "Write a brace that is meant as one twice"),
        ({"data": {"a": "1"}, "generate": {"a": {}}}, "a has more than one source"),
        ({"rotate": ["b"], "generate": {"a": {}}}, "rotate names b, which is not generated here; generated keys are: a"),
        ({"data": {"a": None}}, "data a of Secret airflow/db is of the type NoneType"),
        ({"generate": {"a": {"format": "md5"}}}, "has the format md5; accepted are"),
        ({"generate": {"a": {"length": 3}}}, "has the length 3; accepted are 8 to 4096"),
        ({"generate": {"a": {"lenght": 3}}}, "has lenght; accepted are the options format, length"),
        ({"from": {"a": {"name": "gone"}}}, "Secret airflow/db needs key a of Secret airflow/gone, which does not exist"),
        ({"from": {"a": {"key": "b"}}}, "from a of Secret airflow/db names no Secret"),
    ],
)
def test_refusals(options: dict[str, Any], message: str) -> None:
    with pytest.raises(KubernetesError, match=message):
        secrets.plan(wanted(**options), None, nothing)


def test_the_type_of_a_secret_cannot_change() -> None:
    with pytest.raises(KubernetesError, match=r"has the type Opaque, wanted is kubernetes.io/tls"):
        secrets.plan(wanted(type="kubernetes.io/tls"), held(), nothing)


def test_a_diff_shows_names_and_what_happens_but_no_value() -> None:
    declared = wanted(generate={"password": {}, "new": {}}, data={"user": "somebody"}, rotate=["password"])
    step = secrets.plan(declared, held(password="hunter2hunter2", user="somebody", other="theirsecret"), nothing)
    before, after = secrets.masked(step)
    assert after["data"]["password"] == "******** (rotated)"
    assert after["data"]["new"] == "******** (generated)"
    assert before["data"] == {"other": "********", "password": "********", "user": "********"}
    for value in (*step.values.values(), "hunter2hunter2"):
        assert value not in json.dumps([before, after])


def test_a_checksum_follows_the_values_and_differs_between_secrets() -> None:
    one = secrets.checksum("uid-1", {"a": "1", "b": "2"})
    assert one == secrets.checksum("uid-1", {"b": "2", "a": "1"})
    assert one != secrets.checksum("uid-1", {"a": "1", "b": "3"})
    assert one != secrets.checksum("uid-2", {"a": "1", "b": "2"})
    assert secrets.checksum("u", {"a": "12"}) != secrets.checksum("u", {"a1": "2"})


def test_bytes_that_are_no_text_survive_a_copy() -> None:
    raw = bytes(range(256))
    source = {"metadata": {}, "data": {"k": base64.b64encode(raw).decode()}}
    value = secrets.decode(source)["k"]
    step = secrets.plan(wanted(**{"from": {"k": {"name": "source"}}}), None, lambda _reference: value)
    assert base64.b64decode(step.body["data"]["k"]) == raw
