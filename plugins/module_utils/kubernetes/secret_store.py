# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets in a cluster: read, planned and written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import ApiError, Client, KubernetesError, Object
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.secrets import (
    Plan,
    Reference,
    Wanted,
    checksum,
    decode,
    masked,
    plan,
)

PLANNED = "not known before the run"
"""Stands, in check mode, for a value of a Secret that an earlier task only plans."""

ATTEMPTS = 4
"""How often a Secret that somebody else writes at the same moment is planned again."""


class SecretStore:
    """The Secrets of one cluster."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._assumed: list[str] = []

    def ensure(self, wanted: Sequence[Wanted], *, create_namespaces: bool = False, check_mode: bool = False) -> dict[str, Any]:
        """Plan everything, write what differs, and return the module's result."""
        plans = self._plan(wanted, check_mode=check_mode)
        namespaces = self._missing_namespaces(plans)
        if namespaces and not create_namespaces and not check_mode:
            raise KubernetesError(
                f"The namespace {', '.join(namespaces)} does not exist and is wanted by "
                f"{', '.join(str(p.wanted) for p in plans if p.wanted.namespace in namespaces)}: "
                "create it first (the role rbac does) or set create_namespaces."
            )
        if check_mode:
            predicted = _result(plans, [p.current for p in plans], namespaces if create_namespaces else [], predicted=True)
            return {**predicted, "assumed": self._assumed}
        for namespace in namespaces:
            self._client.create_namespace(namespace)
        done, written = self._write_all(wanted, plans)
        return _result(done, written, namespaces, predicted=False)

    def _write_all(self, wanted: Sequence[Wanted], plans: Sequence[Plan]) -> tuple[list[Plan], list[Object | None]]:
        done: list[Plan] = []
        written: list[Object | None] = []
        for attempt in range(1, ATTEMPTS + 1):
            try:
                for step in plans:
                    written.append(self._write(step))
                    done.append(step)
                break
            except ApiError as error:
                if error.status != 409 or attempt == ATTEMPTS:
                    raise
                # Somebody else was faster: what they wrote is what there is, so plan the rest again on top of it.
                plans = self._plan(wanted[len(done) :])
        return done, written

    def _plan(self, wanted: Sequence[Wanted], *, check_mode: bool = False) -> list[Plan]:
        """Plan Secrets in their order; a later one sees the values that an earlier one will hold.

        In check mode, a Secret that is referred to and does not exist is taken for one that an earlier task plans.
        """
        held: dict[tuple[str, str], Mapping[str, str]] = {}

        def look_up(reference: Reference) -> str | None:
            place = (reference.namespace, reference.name)
            if place not in held:
                found = self._read(*place)
                if found is None and check_mode:
                    self._assumed = sorted({*self._assumed, f"{reference.namespace}/{reference.name}"})
                    return PLANNED
                held[place] = decode(found)
            return held[place].get(reference.key)

        plans = []
        for secret in wanted:
            step = plan(secret, self._read(secret.namespace, secret.name), look_up)
            held[secret.namespace, secret.name] = step.values
            plans.append(step)
        return plans

    def _read(self, namespace: str, name: str) -> Object | None:
        return self._client.get(self._client.path("v1", "Secret", namespace, name))

    def _write(self, step: Plan) -> Object | None:
        collection = self._client.path("v1", "Secret", step.wanted.namespace)
        if step.action == "create":
            return self._client.create(collection, step.body)
        if step.action == "update":
            return self._client.patch(f"{collection}/{step.wanted.name}", step.body)
        if step.action == "delete":
            self._client.delete(f"{collection}/{step.wanted.name}")
        return step.current

    def _missing_namespaces(self, plans: Sequence[Plan]) -> list[str]:
        names = dict.fromkeys(step.wanted.namespace for step in plans if step.action == "create")
        return [name for name in names if not self._client.namespace_exists(name)]


def _result(plans: Sequence[Plan], objects: Sequence[Object | None], namespaces: list[str], *, predicted: bool) -> dict[str, Any]:
    diffs = [(step, *masked(step)) for step in plans if step.action != "keep"]
    return {
        "changed": bool(diffs or namespaces),
        "secrets": [_entry(step, held, predicted) for step, held in zip(plans, objects)],
        "namespaces_created": namespaces,
        "diff": [
            {"before_header": str(step.wanted), "after_header": str(step.wanted), "before": before, "after": after}
            for step, before, after in diffs
        ],
    }


def _entry(step: Plan, held: Object | None, predicted: bool) -> dict[str, Any]:
    uid = held["metadata"]["uid"] if held else ""
    known = {key: step.values[key] for key, change in step.changes.items() if uid and not (predicted and change != "kept")}
    whole = len(known) == len(step.changes) and bool(known)
    return {
        "name": step.wanted.name,
        "namespace": step.wanted.namespace,
        "action": step.action,
        "actions": dict(step.changes),
        "checksum": checksum(uid, known) if whole else None,
        "checksums": {key: checksum(uid, {key: known[key]}) if key in known else None for key in step.changes},
    }
