"""What the cluster's own objects grant the accounts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tests.platform.reality import get
from tests.rbac.matrix import HOME, Cell


def rules(account: str, namespace: str) -> list[dict[str, Any]]:
    """The rules that the bindings of a namespace give an account there, as the cluster has them."""
    found: list[dict[str, Any]] = []
    subject = {"kind": "ServiceAccount", "name": account, "namespace": HOME[account]}
    for binding in get("rolebindings", "--namespace", namespace)["items"]:
        if subject in binding.get("subjects", []):
            reference = binding["roleRef"]
            place = ("--namespace", namespace) if reference["kind"] == "Role" else ()
            found += get(reference["kind"], *place, reference["name"])["rules"]
    return found


def cells(account: str, namespace: str, granted: Iterable[Mapping[str, Any]]) -> Iterator[Cell]:
    """The cells that rules open."""
    for rule in granted:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                name, slash, subresource = resource.partition("/")
                whole = f"{name}.{group}" if group else name
                for verb in rule["verbs"]:
                    yield Cell(account, verb, f"{whole}{slash}{subresource}", namespace)
