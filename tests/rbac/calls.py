"""How each cell of the matrix is tried: a real request, with a token of the account itself."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import requests

from lab import control_plane
from tests.rbac.matrix import Cell

IMAGE = "registry.k8s.io/pause:3.10"
RUNNING = "matrix-running"
"""A pod that runs in each namespace, for its log."""

_API = {
    "": "api/v1",
    "apps": "apis/apps/v1",
    "sparkoperator.k8s.io": "apis/sparkoperator.k8s.io/v1beta2",
    "rbac.authorization.k8s.io": "apis/rbac.authorization.k8s.io/v1",
    "certificates.k8s.io": "apis/certificates.k8s.io/v1",
    "apiextensions.k8s.io": "apis/apiextensions.k8s.io/v1",
    "admissionregistration.k8s.io": "apis/admissionregistration.k8s.io/v1",
}
_METHOD = {"create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE", "deletecollection": "DELETE"}
_WITHOUT_A_NAME = ("create", "list", "watch", "deletecollection")
_APPLICATION = {"type": "Python", "sparkVersion": "3.5.7", "mainApplicationFile": "local:///x.py", "driver": {}, "executor": {}}
_MADE: Mapping[str, Mapping[str, Any]] = {
    # Selected for a node that is not there: it is never started.
    "pods": {"spec": {"containers": [{"name": "main", "image": IMAGE}], "nodeSelector": {"matrix": "nowhere"}}},
    "configmaps": {},
    "services": {"spec": {"clusterIP": "None", "ports": [{"port": 1}]}},
    "persistentvolumeclaims": {
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "nowhere", "resources": {"requests": {"storage": "1Mi"}}}
    },
    "sparkapplications.sparkoperator.k8s.io": {
        "apiVersion": "sparkoperator.k8s.io/v1beta2",
        "kind": "SparkApplication",
        "spec": _APPLICATION,
    },
}
"""What an object has to have beside its name. The administrator makes one of these kinds wherever something is to be done with it."""


class Caller:
    """Somebody who asks the apiserver."""

    def __init__(self, token: str = "", pair: tuple[str, str] | None = None) -> None:
        self._session = requests.Session()
        self._session.verify = str(control_plane.authority().certificate)
        self._session.cert = pair
        self._session.trust_env = False
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    @classmethod
    def of(cls, namespace: str, account: str) -> Caller:
        """A service account, with a token that the apiserver gives for it."""
        answer = administrator().ask("POST", f"api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", json={})
        assert answer.status_code == 201, answer.text
        return cls(answer.json()["status"]["token"])

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """The server's answer."""
        return self._session.request(method, f"{control_plane.SERVER}/{path}", timeout=15, **options)

    def may(self, cell: Cell) -> bool:
        """Try a cell; whether the server did it. An answer that is neither yes nor no is an error."""
        resource, _, subresource = cell.resource.partition("/")
        if cell.verb == "impersonate":
            return _yes(cell, self.ask("GET", "api/v1/namespaces", headers={"Impersonate-User": "admin"}))
        with _something(cell, resource, subresource) as name:
            path = path_of(resource, cell.namespace, "" if cell.verb in _WITHOUT_A_NAME and not subresource else name, subresource)
            return _yes(cell, self.ask(_METHOD.get(cell.verb, "GET"), path, **_options(cell, resource, name)))


@cache
def administrator() -> Caller:
    """Who may do everything."""
    pair = control_plane.authority().issue("admin", "admin", organization="system:masters")
    return Caller(pair=(str(pair.certificate), str(pair.key)))


def path_of(resource: str, namespace: str, name: str = "", subresource: str = "") -> str:
    """Where the API has it."""
    plural, _, group = resource.partition(".")
    parts = (_API[group], f"namespaces/{namespace}" if namespace else "", plural, name, subresource)
    return "/".join(part for part in parts if part)


def body(resource: str, name: str, **spec: Any) -> dict[str, Any]:
    """An object of a kind, found again by its label."""
    made = dict(_MADE.get(resource, {}))
    if spec:
        made["spec"] = {**made["spec"], **spec}
    return {**made, "metadata": {"name": name, "labels": {"matrix": name}}}


def _yes(cell: Cell, answer: requests.Response) -> bool:
    assert answer.status_code in (200, 201, 202, 403), f"{cell}: {answer.status_code} {answer.text[:300]}"
    return answer.status_code != 403


def _options(cell: Cell, resource: str, name: str) -> dict[str, Any]:
    if cell.verb in ("create", "update"):
        return {"json": body(resource, name)}
    if cell.verb == "patch":
        change = {"metadata": {"annotations": {"matrix": "tried"}}}
        return {"data": json.dumps(change), "headers": {"Content-Type": "application/merge-patch+json"}}
    if cell.verb == "watch":
        return {"params": {"watch": "true", "timeoutSeconds": "1"}}
    if cell.verb == "deletecollection":
        return {"params": {"labelSelector": f"matrix={name}"}}
    return {}


@contextmanager
def _something(cell: Cell, resource: str, subresource: str) -> Iterator[str]:
    """The name of an object to do it with, which is gone in the end."""
    if subresource == "log":
        yield RUNNING
        return
    name = f"matrix-{secrets.token_hex(4)}"
    made = resource in _MADE and cell.namespace
    if made and cell.verb not in ("create", "list", "watch"):
        answer = administrator().ask("POST", path_of(resource, cell.namespace), json=body(resource, name))
        assert answer.status_code == 201, answer.text
    try:
        yield name
    finally:
        if made:
            administrator().ask("DELETE", path_of(resource, cell.namespace, name), params={"gracePeriodSeconds": "0"})
