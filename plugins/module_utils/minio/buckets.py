# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Buckets: what is wanted, what is there, and the way from one to the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.minio.change import Change, refuse_duplicates
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.client import Client, MinioError
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.policy_document import is_bucket_name


def validate(entries: Sequence[Mapping[str, Any]]) -> None:
    """Refuse names that the server would refuse, before anything is asked or sent."""
    refuse_duplicates("bucket", [entry["name"] for entry in entries])
    for index, entry in enumerate(entries):
        if not is_bucket_name(entry["name"]):
            raise MinioError(
                f"buckets[{index}].name: is {entry['name']!r}; 3 to 63 lower-case letters, digits, dots and dashes, "
                "a letter or digit at either end"
            )


def plan(versioning: bool | None, wanted: Mapping[str, Any]) -> Change:
    """What becomes of one bucket whose versioning is as found (None: no such bucket)."""
    before = None if versioning is None else {"versioning": versioning}
    after = {"versioning": bool(versioning) if wanted["versioning"] is None else wanted["versioning"]}
    return Change("bucket", wanted["name"], before, None if wanted["state"] == "absent" else after)


def refuse_removal_of_data(client: Client, changes: Sequence[Change]) -> None:
    """A bucket that holds anything is never removed."""
    for change in changes:
        if change.action == "removed" and not client.bucket_is_empty(change.name):
            raise MinioError(f"bucket {change.name!r} holds objects or old versions of objects and is not removed: empty it first.")


def apply(client: Client, change: Change) -> None:
    """Carry out one change."""
    if change.action == "unchanged":
        return
    if change.after is None:
        client.remove_bucket(change.name)
        return
    if change.before is None:
        client.make_bucket(change.name)
    if change.after["versioning"] != (change.before or {}).get("versioning", False):
        client.set_versioning(change.name, change.after["versioning"])
