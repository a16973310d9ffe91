"""Each cell of the matrix on the live apiserver, and each verb of each rule: none is missing, none too many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.platform.reality import get, kubectl
from tests.rbac.calls import Caller
from tests.rbac.matrix import ALLOWED, DENIED, PLACES, Cell, allowed
from tests.rbac.rules import cells, rules

pytestmark = pytest.mark.usefixtures("places")


@pytest.mark.parametrize("cell", ALLOWED, ids=str)
def test_allowed(cell: Cell, accounts: dict[str, Caller]) -> None:
    assert accounts[cell.account].may(cell)


@pytest.mark.parametrize("cell", DENIED, ids=str)
def test_denied(cell: Cell, accounts: dict[str, Caller]) -> None:
    assert not accounts[cell.account].may(cell)


@pytest.mark.parametrize(("account", "namespace"), PLACES)
def test_what_is_granted_is_the_matrix(account: str, namespace: str) -> None:
    assert sorted(cells(account, namespace, rules(account, namespace))) == sorted(allowed(account, namespace))


def test_nothing_is_bound_for_the_whole_cluster() -> None:
    bindings = get("clusterrolebindings")["items"]
    subjects = [subject for binding in bindings for subject in binding.get("subjects", [])]
    names = {subject["name"] for subject in subjects if subject["kind"] == "ServiceAccount"}
    assert not {cell.account for cell in ALLOWED} & names
    assert not {subject["name"] for subject in subjects if subject["name"].startswith("system:serviceaccounts:")}


def _without_one(granted: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], str, list[dict[str, Any]]]]:
    """Every set of rules that is short of one verb of the given ones, with the rule and the verb."""
    for index, rule in enumerate(granted):
        for verb in rule["verbs"]:
            short = {**rule, "verbs": [other for other in rule["verbs"] if other != verb]}
            yield rule, verb, [*granted[:index], *([short] if short["verbs"] else []), *granted[index + 1 :]]


def _double(name: str, namespace: str, kept: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """An account with these rules."""
    metadata, group = {"name": name, "namespace": namespace}, "rbac.authorization.k8s.io"
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
    yield {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": kept}
    bound = {"roleRef": {"apiGroup": group, "kind": "Role", "name": name}, "subjects": [{"kind": "ServiceAccount", **metadata}]}
    yield {"apiVersion": f"{group}/v1", "kind": "RoleBinding", "metadata": metadata, **bound}


@pytest.mark.parametrize(("account", "namespace"), PLACES)
def test_every_single_verb_is_missed_where_it_is_taken_away(account: str, namespace: str) -> None:
    """A double for each verb, which has all the others."""
    doubles = [(f"matrix-{account}-{number}", *short) for number, short in enumerate(_without_one(rules(account, namespace)))]
    made = yaml.safe_dump_all([one for name, _rule, _verb, kept in doubles for one in _double(name, namespace, kept)])
    kubectl("create", "--filename=-", stdin=made)
    try:
        others = allowed(account, namespace)
        for name, rule, verb, _kept in doubles:
            double = Caller.of(namespace, name)
            (missed,) = cells(account, namespace, [{**rule, "verbs": [verb]}])
            assert missed in others
            assert not double.may(missed), f"{missed} without its verb"
            assert double.may(next(cell for cell in others if cell != missed)), "the double may do nothing at all"
    finally:
        kubectl("delete", "--filename=-", "--wait=false", stdin=made)
