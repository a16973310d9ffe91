"""The lab's private authority, which signs for Proxmox, MinIO and git, as a home lab's own CA would."""

from __future__ import annotations

from lab.certificates import Authority, Pair
from lab.settings import STATE, Host

DIRECTORY = STATE / "ca"


def authority() -> Authority:
    """The authority; clients trust its `certificate`."""
    return Authority(DIRECTORY, "lab-ca").create()


def server(host: Host) -> Pair:
    """A host's server certificate, for all its names and its address."""
    return authority().issue(host.name, host.name, names=host.names, addresses=[host.address])
