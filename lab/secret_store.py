"""The lab's passwords and tokens: made once, one file each, read by the lab's programs and by its inventory."""

from __future__ import annotations

import secrets
import uuid

from lab.settings import STATE

_DIRECTORY = STATE / "secrets"


def password(name: str) -> str:
    """The password of that name."""
    return _once(name, secrets.token_urlsafe(24))


def token(name: str) -> str:
    """The token of that name, in the form that Proxmox gives its API tokens."""
    return _once(name, str(uuid.uuid4()))


def _once(name: str, fresh: str) -> str:
    file = _DIRECTORY / name
    if not file.exists():
        _DIRECTORY.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.touch(mode=0o600)
        file.write_text(fresh)
    return file.read_text()
