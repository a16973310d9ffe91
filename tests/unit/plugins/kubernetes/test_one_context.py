"""A kubeconfig reduced to one context."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.data_platform.plugins.filter.one_context import one_context
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import Client

from .conftest import Api

TWO: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": name, "cluster": {"server": f"https://{name}"}} for name in ("lab", "work")],
    "users": [{"name": name, "user": {"token": f"token-{name}"}} for name in ("admin", "me")],
    "contexts": [
        {"name": "lab", "context": {"cluster": "lab", "user": "admin"}},
        {"name": "work", "context": {"cluster": "work", "user": "me", "namespace": "mine"}},
    ],
    "current-context": "lab",
}


@pytest.mark.parametrize(("context", "server", "token"), [("", "https://lab", "token-admin"), ("work", "https://work", "token-me")])
def test_nothing_but_the_context_is_left(context: str, server: str, token: str) -> None:
    reduced = one_context(TWO, context)
    assert [cluster["cluster"] for cluster in reduced["clusters"]] == [{"server": server}]
    assert [user["user"] for user in reduced["users"]] == [{"token": token}]
    assert {entry["name"] for part in ("clusters", "users", "contexts") for entry in reduced[part]} == {reduced["current-context"]}
    assert set(reduced) == {"current-context", "clusters", "users", "contexts"}


def test_a_wrong_context_is_named() -> None:
    with pytest.raises(AnsibleFilterError, match="no 'home' among its contexts; there are: lab, work"):
        one_context(TWO, "home")


@pytest.mark.parametrize("nothing", [None, {}, {"apiVersion": "v1", "kind": "Config", "current-context": ""}])
def test_an_empty_one_connects_to_nothing(nothing: dict[str, Any] | None) -> None:
    assert one_context(nothing)["clusters"] == []


def test_the_client_connects_by_it(api: Api) -> None:
    assert Client(one_context(api.kubeconfig)).get("/api/v1/namespaces/default")
