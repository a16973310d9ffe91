# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Buckets: what is wanted, what is there, and the way from one to the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.minio import lifecycle
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.change import Change, refuse_duplicates
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.connection import MinioError
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.policy_document import is_bucket_name
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.s3 import S3, Rule


@dataclass(frozen=True)
class Found:
    """What the server says about a bucket, as far as the declaration speaks of it."""

    versioning: bool
    lifecycle: list[Rule] = field(default_factory=list)
    first_keys: Mapping[str, str | None] = field(default_factory=dict)
    """The first object at or below each declared prefix."""


def validate(entries: Sequence[Mapping[str, Any]]) -> None:
    """Refuse what the server would refuse or misread, before anything is asked or sent."""
    refuse_duplicates("bucket", [entry["name"] for entry in entries])
    for index, entry in enumerate(entries):
        path = f"buckets[{index}]"
        if not is_bucket_name(entry["name"]):
            raise MinioError(
                f"{path}.name: is {entry['name']!r}; 3 to 63 lower-case letters, digits, dots and dashes, a letter or digit at either end"
            )
        lifecycle.validate(entry["lifecycle"] or [], f"{path}.lifecycle")
        for place, prefix in enumerate(entry["prefixes"] or []):
            lifecycle.validate_prefix(prefix, f"{path}.prefixes[{place}]")
            if not prefix:
                raise MinioError(f"{path}.prefixes[{place}]: is empty; the bucket itself needs no marker")


def read(client: S3, wanted: Mapping[str, Any]) -> Found | None:
    """What is there of what is wanted; None where there is no such bucket."""
    name = wanted["name"]
    versioning = client.versioning(name)
    if versioning is None:
        return None
    if wanted["state"] == "absent":
        return Found(versioning)
    return Found(
        versioning,
        client.lifecycle(name) if wanted["lifecycle"] is not None else [],
        {prefix: client.first_key(name, prefix) for prefix in wanted["prefixes"] or []},
    )


def plan(found: Found | None, wanted: Mapping[str, Any]) -> Change:
    """What becomes of one bucket; what the declaration leaves out is left alone, and shown nowhere."""
    rules, prefixes, versioning = wanted["lifecycle"] or [], sorted(set(wanted["prefixes"] or [])), wanted["versioning"]
    after = {
        "versioning": bool(found and found.versioning) if versioning is None else versioning,
        "lifecycle": lifecycle.declared(rules, prefixes),
        "prefixes": prefixes,
    }
    before = found and {
        "versioning": found.versioning,
        "lifecycle": lifecycle.meaning(lifecycle.of_a_declaration(found.lifecycle)),
        "prefixes": [prefix for prefix in prefixes if _is_real(found.first_keys.get(prefix), prefix, rules)],
    }
    return Change(
        kind="bucket",
        name=wanted["name"],
        before=_spoken_of(before, wanted) if before else None,
        after=None if wanted["state"] == "absent" else _spoken_of(after, wanted),
    )


def refuse_removal_of_data(client: S3, changes: Sequence[Change]) -> None:
    """A bucket that holds anything is never removed."""
    for change in changes:
        if change.action == "removed" and not client.is_empty(change.name):
            raise MinioError(f"bucket {change.name!r} holds objects or old versions of objects and is not removed: empty it first.")


def apply(client: S3, change: Change) -> None:
    """Carry out one change."""
    if change.action == "unchanged":
        return
    if change.after is None:
        client.remove_bucket(change.name)
        return
    if change.before is None:
        client.make_bucket(change.name)
    before, after = change.before or {}, change.after
    if after["versioning"] != before.get("versioning", False):
        client.set_versioning(change.name, after["versioning"])
    if after.get("lifecycle", []) != before.get("lifecycle", []):
        others = lifecycle.of_others(client.lifecycle(change.name))
        client.set_lifecycle(change.name, [*others, *lifecycle.in_words_of_s3(after["lifecycle"])])
    for prefix in after.get("prefixes", []):
        if prefix not in before.get("prefixes", []):
            client.make_marker(change.name, prefix)


def _is_real(first_key: str | None, prefix: str, rules: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a prefix is a directory, as Hadoop's S3A sees one: where anything lies below it. What is going to expire does not count."""
    return first_key == prefix or (first_key is not None and not lifecycle.expires(rules, prefix))


def _spoken_of(view: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {part: value for part, value in view.items() if part == "versioning" or wanted[part] is not None}
