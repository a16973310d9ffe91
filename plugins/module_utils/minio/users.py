# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users: what is wanted, what is there, and the way from one to the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.minio.admin import Admin, FoundUser
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.change import Change, refuse_duplicates
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.connection import CONNECTIONS, MinioError

_MATCHES, _DIFFERS = "as declared", "not as declared"


@dataclass(frozen=True)
class Wanted:
    """A user as declared; what is None is left as it is."""

    name: str
    state: str = "present"
    secret_key: str | None = field(default=None, repr=False)
    policies: frozenset[str] | None = None
    append_policies: bool = False


@dataclass(frozen=True)
class Steps:
    """The calls that carry out one change."""

    set_secret: bool = False
    enable: bool | None = None
    attach: frozenset[str] = frozenset()
    detach: frozenset[str] = frozenset()
    remove: bool = False


def wanted_users(entries: Sequence[Mapping[str, Any]], own_name: str) -> list[Wanted]:
    """The declared users, validated before anything is asked or sent."""
    refuse_duplicates("user", [entry["name"] for entry in entries])
    for index, entry in enumerate(entries):
        name, secret_key = entry["name"], entry["secret_key"]
        # Any other name can be given to a user, who could then never sign in: no header of a request can carry it.
        plain = name.isascii() and name.isprintable() and name == name.strip()
        if len(name) < 3 or not plain or "=" in name or "," in name:
            raise MinioError(f"users[{index}].name: is {name!r}; at least 3 characters of ASCII, no '=', no comma, no space at either end")
        if name == own_name:
            raise MinioError(f"users[{index}].name: {name!r} is the account that this task signs in with (access_key)")
        if secret_key is not None and len(secret_key) < 8:
            raise MinioError(f"users[{index}].secret_key: the secret of {name!r} is shorter than 8 characters, the least that MinIO takes")
    return [
        Wanted(
            name=entry["name"],
            state=entry["state"],
            secret_key=entry["secret_key"],
            policies=None if entry["policies"] is None else frozenset(entry["policies"]),
            append_policies=entry["append_policies"],
        )
        for entry in entries
    ]


def look(client: Admin, wanted: Sequence[Wanted]) -> list[tuple[FoundUser | None, bool | None]]:
    """Each declared user as found, and whether the declared secret is its own; several at a time.

    A few users are read one by one: the list of all is encrypted with Argon2id, which takes about 0.1 seconds and 64 MiB.
    """
    listed = client.users() if len(wanted) > CONNECTIONS else None

    def one(user: Wanted) -> tuple[FoundUser | None, bool | None]:
        found = client.user(user.name) if listed is None else listed.get(user.name)
        return found, prove_secret(client, found, user)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return list(pool.map(one, wanted))


def prove_secret(client: Admin, found: FoundUser | None, wanted: Wanted) -> bool | None:
    """Whether the declared secret is the user's; None where it cannot be tried (disabled) or does not matter."""
    if found is None or not found.enabled or wanted.state != "present" or wanted.secret_key is None:
        return None
    return client.secret_matches(wanted.name, wanted.secret_key)


def plan(found: FoundUser | None, wanted: Wanted, secret_matches: bool | None) -> tuple[Change, Steps]:
    """What becomes of one declared user, and the calls for it."""
    before = None if found is None else _view(found.enabled, found.policies, _DIFFERS if secret_matches is False else None)
    if wanted.state == "absent":
        return Change("user", wanted.name, before, None), Steps(remove=found is not None)
    if found is None and wanted.secret_key is None:
        raise MinioError(f"user {wanted.name!r} does not exist, and no secret_key is given to create it with.")

    enabled = wanted.state == "present"
    held = found.policies if found else frozenset()
    policies = held if wanted.policies is None else wanted.policies | (held if wanted.append_policies else frozenset())
    # A disabled user's secret cannot be tried; enabling writes the declared one, so that it is right in any case.
    enabling = enabled and found is not None and not found.enabled
    set_secret = found is None or secret_matches is False or (enabling and wanted.secret_key is not None)
    enabled_so_far = set_secret or (found is not None and found.enabled)
    steps = Steps(
        set_secret=set_secret,
        enable=None if enabled == enabled_so_far else enabled,
        attach=policies - held,
        detach=held - policies,
    )
    after = _view(enabled, policies, _MATCHES if secret_matches is False else None)
    return Change("user", wanted.name, before, after), steps


def refuse_unknown_policies(client: Admin, plans: Sequence[tuple[Change, Steps]]) -> None:
    """Say which policy is missing before anything is changed. Those that are held already exist: MinIO removes none that is in use."""
    known = client.policies() if any(steps.attach for _change, steps in plans) else {}
    for change, steps in plans:
        missing = sorted(steps.attach - set(known))
        if missing:
            raise MinioError(f"user {change.name!r}: there is no policy {missing[0]!r} on the server; create it first (minio_policy).")


def apply(client: Admin, wanted: Wanted, steps: Steps) -> None:
    """Carry out one plan. Policies are attached before others are detached: rights that stay are never missing."""
    if steps.remove:
        client.remove_user(wanted.name)
    if steps.set_secret and wanted.secret_key is not None:
        client.set_user(wanted.name, wanted.secret_key)
    if steps.enable is not None:
        client.enable_user(wanted.name, steps.enable)
    if steps.attach:
        client.attach_policies(wanted.name, steps.attach)
    if steps.detach:
        client.detach_policies(wanted.name, steps.detach)


def _view(enabled: bool, policies: frozenset[str], secret: str | None = None) -> dict[str, Any]:
    """A user in the words of the diff; the secret is spoken of only where it is to change, and never shown."""
    view: dict[str, Any] = {"status": "enabled" if enabled else "disabled", "policies": sorted(policies)}
    return {**view, "secret": secret} if secret else view
