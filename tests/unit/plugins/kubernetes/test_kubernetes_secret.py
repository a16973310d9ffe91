"""The module kubernetes_secret against a real apiserver."""

from __future__ import annotations

import base64
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import Client, Object
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.secret_store import SecretStore
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.secrets import Generate, Wanted

from .conftest import Api


def values(api: Api, namespace: str, name: str) -> dict[str, str]:
    found = api.client.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
    assert found is not None
    return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}


def test_check_create_again_change_delete(api: Api) -> None:
    namespace = api.namespace()

    def run(*, check: bool = False, **secret: Any) -> dict[str, Any]:
        return api.run_module("kubernetes_secret", check=check, secrets=[{"name": "db", "namespace": namespace, **secret}])

    declared: dict[str, Any] = {"generate": {"password": {"length": 40}}, "data": {"user": "airflow"}, "labels": {"app": "db"}}
    predicted = run(check=True, **declared)
    assert predicted["changed"]
    assert predicted["secrets"][0]["actions"] == {"user": "set", "password": "generated"}
    assert predicted["secrets"][0]["checksum"] is None
    assert api.client.get(f"/api/v1/namespaces/{namespace}/secrets/db") is None

    created = run(**declared)
    assert created["changed"]
    first = values(api, namespace, "db")
    assert len(first["password"]) == 40
    assert first["password"] not in created["output"]

    for check in (False, True):
        again = run(check=check, **declared)
        assert not again["changed"]
        assert again["diff"] == []
        assert again["secrets"][0]["checksum"] == created["secrets"][0]["checksum"]
    assert values(api, namespace, "db") == first

    rotated = run(**declared, rotate=["password"])
    assert rotated["secrets"][0]["actions"] == {"user": "kept", "password": "rotated"}
    assert rotated["secrets"][0]["checksum"] != created["secrets"][0]["checksum"]
    assert values(api, namespace, "db")["password"] != first["password"]

    assert run(check=True, state="absent")["changed"]
    assert run(state="absent")["changed"]
    assert not run(state="absent")["changed"]


def test_a_chain_of_secrets_in_one_call(api: Api) -> None:
    one, two = api.namespace(), api.namespace()
    chain = [
        {"name": "db", "namespace": one, "generate": {"password": {"format": "urlsafe"}}},
        {
            "name": "connections",
            "namespace": two,
            "inputs": {"password": {"namespace": one, "name": "db"}},
            "template": {"A": "postgresql://u:{password:url}@h/db", "B": {"conn_type": "postgres", "password": "{password}"}},
        },
    ]
    assert api.run_module("kubernetes_secret", check=True, secrets=chain)["changed"]
    result = api.run_module("kubernetes_secret", secrets=chain)
    password = values(api, one, "db")["password"]
    assert values(api, two, "connections") == {
        "A": f"postgresql://u:{password}@h/db",
        "B": f'{{"conn_type": "postgres", "password": "{password}"}}',
    }
    assert password not in result["output"]
    assert not api.run_module("kubernetes_secret", secrets=chain)["changed"]


def test_no_value_and_no_credential_is_in_the_output(api: Api) -> None:
    namespace = api.namespace()
    data = {"password": "correct-horse", "user": namespace}
    secret = {"name": "s", "namespace": namespace, "data": data, "template": {"t": "battery-staple"}}
    result = api.run_module("kubernetes_secret", secrets=[secret])
    for hidden in ("correct-horse", "battery-staple", api.kubeconfig["users"][0]["user"]["token"]):
        assert hidden not in result["output"]
    assert result["secrets"][0]["namespace"] == namespace, "a value that is a name as well must not blot the name out"
    assert result["invocation"]["module_args"]["secrets"][0]["data"] == ["password", "user"]


def test_a_missing_namespace(api: Api) -> None:
    secret = {"name": "s", "namespace": "not-there-yet", "generate": {"k": {}}}
    failed = api.run_module("kubernetes_secret", secrets=[secret])
    assert failed["failed"]
    assert failed["msg"] == (
        "The namespace not-there-yet does not exist and is wanted by Secret not-there-yet/s: create it first (the role rbac does) "
        "or set create_namespaces."
    )
    assert api.run_module("kubernetes_secret", secrets=[secret], check=True)["changed"]
    created = api.run_module("kubernetes_secret", secrets=[secret], create_namespaces=True)
    assert created["namespaces_created"] == ["not-there-yet"]


def test_errors_are_sentences(api: Api) -> None:
    secret = {"name": "s", "namespace": "default", "generate": {"k": {}}}
    cluster = api.kubeconfig["clusters"][0]["cluster"]
    cases: list[tuple[Any, str]] = [
        ({"kind": "Config"}, "it names no cluster"),
        ("/does/not/exist", "The kubeconfig cannot be used"),
        ({**api.kubeconfig, "users": [{"name": "admin", "user": {"token": "wrong-token"}}]}, "have expired"),
        ({**api.kubeconfig, "clusters": [{"name": "lab", "cluster": {**cluster, "server": "https://127.0.0.1:1"}}]}, "does not answer"),
        ({**api.kubeconfig, "clusters": [{"name": "lab", "cluster": {"server": api.server}}]}, "does not answer"),
    ]
    for kubeconfig, message in cases:
        result = api.run_module("kubernetes_secret", kubeconfig=kubeconfig, secrets=[secret])
        assert result["failed"]
        assert message in result["msg"]
        assert "Traceback" not in result["output"]


class Rival(Client):
    """A client whose first write comes second: somebody else generates the password in between."""

    def create(self, path: str, body: Object) -> Object:
        if path.endswith("/secrets") and not hasattr(self, "beaten"):
            self.beaten = True
            super().create(path, {**body, "data": {"password": base64.b64encode(b"theirs").decode()}})
        return super().create(path, body)


def test_two_runs_at_once_agree_on_one_value(api: Api) -> None:
    namespace = api.namespace()
    result = SecretStore(Rival(api.kubeconfig)).ensure([Wanted("db", namespace, generate={"password": Generate()})])
    assert values(api, namespace, "db") == {"password": "theirs"}
    assert result["secrets"][0]["action"] == "keep"


def test_check_mode_takes_a_missing_secret_for_planned_but_not_a_missing_key(api: Api) -> None:
    namespace = api.namespace()

    def run(*, check: bool) -> dict[str, Any]:
        secret = {"name": "connection", "namespace": namespace, "inputs": {"password": {"name": "db"}}, "template": {"url": "x:{password}"}}
        return api.run_module("kubernetes_secret", check=check, secrets=[secret])

    predicted = run(check=True)
    assert predicted["changed"]
    assert predicted["assumed"] == [f"{namespace}/db"]
    assert predicted["secrets"][0]["actions"] == {"url": "set"}
    assert f"Secret {namespace}/db, which does not exist" in run(check=False)["msg"]

    api.run_module("kubernetes_secret", secrets=[{"name": "db", "namespace": namespace, "data": {"user": "airflow"}}])
    assert f"needs key password of Secret {namespace}/db, which does not exist" in run(check=True)["msg"]
