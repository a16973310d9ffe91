# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what: API tokens, their privileges and Proxmox's permission checks."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from lab.proxmox.errors import ApiError, forbidden
from lab.proxmox.state import Token

_HEADER = re.compile(r"PVEAPIToken=(?P<user>[^\s:/!]+@[A-Za-z][\w.-]+)!(?P<token>[A-Za-z][\w.-]+)=(?P<secret>\S+)")


def _granted(acl: dict[str, list[str]], path: str) -> set[str]:
    """The privileges on a path: an entry on a deeper path replaces those above it."""
    pure = PurePosixPath(path)
    entry = next((str(place) for place in (pure, *pure.parents) if str(place) in acl), None)
    return set(acl[entry]) if entry else set()


@dataclass(frozen=True)
class Access:
    """An authenticated caller."""

    token: Token

    @property
    def name(self) -> str:
        """The token's full name, as a task's UPID holds it."""
        return self.token.name

    def may(self, path: str, *privileges: str) -> bool:
        """Whether the caller holds at least one of the privileges on the path."""
        token = self.token
        everything = token.userid == "root@pam"
        user_acl = token.acl if token.user_acl is None else token.user_acl
        by_user = everything or bool(_granted(user_acl, path) & set(privileges))
        return by_user and (not token.privsep or bool(_granted(token.acl, path) & set(privileges)))

    def check(self, path: str, *privileges: str) -> None:
        """Answer 403 unless the caller holds at least one of the privileges on the path."""
        if not self.may(path, *privileges):
            raise forbidden(path, "|".join(privileges))


def authenticate(header: str, tokens: dict[str, Token]) -> Access:
    """The caller behind an ``Authorization`` header, or 401."""
    match = _HEADER.fullmatch(header)
    if not match:
        raise ApiError(401, "No ticket")
    token = tokens.get(f"{match['user']}!{match['token']}")
    if token is None:
        raise ApiError(401, f"no such token '{match['token']}' for user '{match['user']}'")
    if not hmac.compare_digest(token.secret, match["secret"]):
        raise ApiError(401, "invalid token value!")
    return Access(token)
