# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of helm that stand in the way of the next run.

One that says an operation is under way stays after a helm that was killed, and helm refuses to go on. One of a revision that failed looks
to helm like what is there, and it sees nothing to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.causes import Cause
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import Client, Object

PENDING = ("pending-install", "pending-upgrade", "pending-rollback")
TOLD = "platform_helm_recover=true"

OLD = 600.0
"""Seconds after which nobody's helm is still at it."""


@dataclass(frozen=True)
class Record:
    """One revision of a release that helm left unfinished."""

    namespace: str
    release: str
    revision: str
    status: str
    since: str
    secret: str

    def __str__(self) -> str:
        return f"Release {self.namespace}/{self.release}"

    @property
    def reason(self) -> str:
        """What is wrong with it."""
        if self.status not in PENDING:
            return f"its revision {self.revision} ({self.status}, since {self.since}) was not seen through"
        return f"its revision {self.revision} is {self.status} since {self.since}: a helm run was killed, or is still at it"

    @property
    def remedy(self) -> str:
        """The way out."""
        return (
            f"if no other helm is at work on it, run again with -e {TOLD}, which drops this record (Secret {self.secret}, no object of the "
            "release) and deploys over what is there"
        )

    def age(self, now: datetime) -> float:
        """Seconds since the operation began."""
        return (now - datetime.strptime(self.since, "%Y-%m-%dT%H:%M:%S%z")).total_seconds()

    def cause(self, now: datetime) -> Cause:
        """The record as the cause of an object's absence."""
        return Cause("release", str(self), self.reason, self.remedy, 0.0 if self.age(now) >= OLD else None)


def pending(client: Client, namespace: str, release: str = "", revision: str = "") -> list[Record]:
    """The unfinished records of a namespace, or of one release in it; and a revision of it that was not seen through."""
    named = f"owner=helm{f',name={release}' if release else ''}"
    selectors = [f"{named},status in ({','.join(PENDING)})", *([f"{named},version={revision}"] if revision else [])]
    found = (
        record(item) for selector in selectors for item in client.metadata(client.path("v1", "Secret", namespace), labelSelector=selector)
    )
    return sorted(set(found), key=lambda one: (one.release, int(one.revision)))


def record(metadata: Object) -> Record:
    """Read a record by the labels that helm gives it; its content holds the release's values and is nobody's business here."""
    labels = metadata["labels"]
    return Record(
        metadata["namespace"], labels["name"], labels["version"], labels["status"], metadata["creationTimestamp"], metadata["name"]
    )


def drop(client: Client, records: Sequence[Record]) -> None:
    """Delete records."""
    for one in records:
        client.delete(client.path("v1", "Secret", one.namespace, one.secret))


def now() -> datetime:
    """The time, as records tell it."""
    return datetime.now(timezone.utc)
