# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Canned policies: what is wanted, what is there, and the way from one to the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.minio.admin import Admin
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.change import Change, refuse_duplicates
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.connection import MinioError
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.policy_document import (
    BUILTIN_POLICIES,
    DocumentError,
    canonical,
    expand_grants,
    parse,
    ready_to_send,
)


@dataclass(frozen=True)
class Wanted:
    """A policy as declared; without a document it is to be absent."""

    name: str
    document: dict[str, Any] | None


def wanted_policies(entries: Sequence[Mapping[str, Any]]) -> list[Wanted]:
    """The declared policies, validated before anything is asked or sent."""
    refuse_duplicates("policy", [entry["name"] for entry in entries])
    return [_wanted(entry, f"policies[{index}]") for index, entry in enumerate(entries)]


def _wanted(entry: Mapping[str, Any], path: str) -> Wanted:
    name = entry["name"]
    if not name or "," in name or name != name.strip() or not name.isprintable() or {".", ".."} & set(name.split("/")):
        raise MinioError(f"{path}.name: is {name!r}; a policy's name may hold no comma, no part '.' or '..' and no space at either end")
    if entry["state"] == "absent":
        return Wanted(name, None)
    try:
        if entry["policy"] is not None:
            return Wanted(name, parse(entry["policy"], f"{path}.policy"))
        return Wanted(name, expand_grants(entry["grants"], f"{path}.grants"))
    except DocumentError as error:
        raise MinioError(f"policy {name!r}: {error}") from error


def plan(found: Mapping[str, Mapping[str, Any]], wanted: Sequence[Wanted], *, overwrite_builtin: bool) -> list[Change]:
    """What becomes of each declared policy, compared by meaning."""
    changes = [
        Change(
            kind="policy",
            name=policy.name,
            before=canonical(found[policy.name]) if policy.name in found else None,
            after=canonical(policy.document) if policy.document else None,
        )
        for policy in wanted
    ]
    for change in changes:
        if change.action != "unchanged" and change.name in BUILTIN_POLICIES and not overwrite_builtin:
            raise MinioError(
                f"policy {change.name!r} is built into MinIO and would be {change.action}: "
                "choose another name, or set overwrite_builtin: true."
            )
    return changes


def refuse_removal_in_use(client: Admin, changes: Sequence[Change]) -> None:
    """Say who still holds a policy before anything is changed; the server would refuse too, and not say who."""
    for change in changes:
        holders = client.policy_holders(change.name) if change.action == "removed" else []
        if holders:
            raise MinioError(f"policy {change.name!r} cannot be removed: it is attached to {', '.join(holders)}; detach it there first.")


def apply(client: Admin, changes: Sequence[Change], wanted: Sequence[Wanted]) -> None:
    """Carry out a plan."""
    for change, policy in zip(changes, wanted):
        if change.action == "unchanged":
            continue
        if policy.document:
            client.put_policy(policy.name, ready_to_send(policy.document))
        else:
            client.remove_policy(policy.name)
