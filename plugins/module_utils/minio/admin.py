# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small client of MinIO's admin API: users and canned policies."""

from __future__ import annotations

import html
import json
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.minio.connection import (
    WHO_ANSWERS,
    Client,
    CodedError,
    Connection,
    MinioError,
    NotFoundError,
)

try:
    from minio import MinioAdmin
    from minio.credentials import StaticProvider
    from minio.error import MinioAdminException
except ImportError:
    IMPORT_ERROR: str | None = traceback.format_exc()
else:
    IMPORT_ERROR = None


@dataclass(frozen=True)
class FoundUser:
    """What the server says about a user."""

    enabled: bool
    policies: frozenset[str]


class Admin(Client):
    """Calls the admin API of one server."""

    package = "minio"
    import_error = IMPORT_ERROR

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._admin = self._as(connection.access_key, connection.secret_key)

    def policies(self) -> dict[str, dict[str, Any]]:
        """Every policy of the server, by name."""
        with self._errors("list the policies"):
            return dict(json.loads(self._admin.policy_list()))

    def put_policy(self, name: str, document: dict[str, Any]) -> None:
        """Write a policy, whether it exists or not."""
        with self._errors(f"write the policy {name!r}"):
            self._admin.policy_add(name, policy=document)

    def remove_policy(self, name: str) -> None:
        """Remove a policy that nobody holds."""
        with self._errors(f"remove the policy {name!r}"):
            self._admin.policy_remove(name)

    def policy_holders(self, name: str) -> list[str]:
        """The users and groups that a policy is attached to, in words."""
        with self._errors(f"see who holds the policy {name!r}"):
            mappings = json.loads(self._admin.get_policy_entities([], [], [name])).get("policyMappings") or []
        return [
            f"{kind} {holder!r}" for mapping in mappings for kind in ("user", "group") for holder in sorted(mapping.get(f"{kind}s") or [])
        ]

    def user(self, name: str) -> FoundUser | None:
        """A user, or None where there is none of that name."""
        try:
            with self._errors(f"read the user {name!r}"):
                found = json.loads(self._admin.user_info(name))
        except NotFoundError:
            return None
        return _found(found)

    def users(self) -> dict[str, FoundUser]:
        """Every user of the server, by name."""
        with self._errors("list the users"):
            return {name: _found(found) for name, found in json.loads(self._admin.user_list()).items()}

    def secret_matches(self, name: str, secret_key: str) -> bool:
        """Whether an enabled user's secret is this one: a request signed with it tells, whatever the user may do."""
        try:
            with self._errors(f"prove the secret of the user {name!r}"):
                self._as(name, secret_key).user_info(name)
        except CodedError as error:
            if error.code not in ("SignatureDoesNotMatch", "AccessDenied"):
                raise
            return error.code == "AccessDenied"
        return True

    def set_user(self, name: str, secret_key: str) -> None:
        """Create a user, or give an existing one this secret; either way the user is enabled afterwards."""
        with self._errors(f"write the user {name!r}"):
            self._admin.user_add(name, secret_key)

    def enable_user(self, name: str, enabled: bool) -> None:
        """Enable or disable a user."""
        with self._errors(f"set the status of the user {name!r}"):
            (self._admin.user_enable if enabled else self._admin.user_disable)(name)

    def remove_user(self, name: str) -> None:
        """Remove a user with the service accounts below it."""
        with self._errors(f"remove the user {name!r}"):
            self._admin.user_remove(name)

    def attach_policies(self, user: str, policies: Iterable[str]) -> None:
        """Attach policies that the user does not hold yet."""
        with self._errors(f"attach policies to the user {user!r}"):
            self._admin.attach_policy(sorted(policies), user=user)

    def detach_policies(self, user: str, policies: Iterable[str]) -> None:
        """Detach policies that the user holds."""
        with self._errors(f"detach policies from the user {user!r}"):
            self._admin.detach_policy(sorted(policies), user=user)

    def _as(self, access_key: str, secret_key: str) -> MinioAdmin:
        return MinioAdmin(
            endpoint=self.connection.host_and_port,
            credentials=StaticProvider(access_key, secret_key),
            region=self.connection.region,
            secure=self.connection.secure,
            http_client=self._http,
        )

    @contextmanager
    def _errors(self, task: str) -> Iterator[None]:
        with super()._errors(task):
            try:
                yield
            except MinioAdminException as error:
                # The library keeps both in private attributes only.
                raise self._refusal(task, str(vars(error)["_code"]), str(vars(error)["_body"])) from error

    def _refusal(self, task: str, status: str, body: str) -> MinioError:
        """An error answer: JSON, or XML where the server refuses before it looks at the path."""
        in_xml = re.search(r"<Code>(.*?)</Code>\s*<Message>(.*?)</Message>", body, re.DOTALL)
        if in_xml:
            return self._coded(task, *map(html.unescape, in_xml.groups()))
        try:
            answer = json.loads(body)
            return self._coded(task, str(answer["Code"]), str(answer["Message"]))
        except (ValueError, KeyError, TypeError):
            return MinioError(self._said(task, f"HTTP status {status} and not MinIO's own answer ({body[:120]!r}): {WHO_ANSWERS}"))


def _found(said: Mapping[str, Any]) -> FoundUser:
    return FoundUser(
        enabled=said.get("status") == "enabled",
        policies=frozenset(filter(None, (said.get("policyName") or "").split(","))),
    )
