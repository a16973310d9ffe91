"""Keys, known hosts and the one client configuration by which everything enters the lab: through the bastion."""

from __future__ import annotations

from pathlib import Path

from lab.settings import ADMIN_USER, BASTION, NODES, STATE, SWITCH, Host
from lab.shell import run

_DIRECTORY = STATE / "ssh"
CONFIG = _DIRECTORY / "config"


def user_key() -> Path:
    """The administrator's private key, made once."""
    return _key("id_ed25519", ADMIN_USER)


def host_key(host: Host) -> Path:
    """A machine's private host key, made once."""
    return _key(f"host_{host.name}", host.name)


def write_configuration() -> None:
    """Write `known_hosts` and the configuration.

    The bastion is reached from this computer through the switch's namespace, so that the computer's own network stays as it is.
    """
    machines = (BASTION, *NODES)
    known = [
        f"{','.join((*host.names, host.address))} {' '.join(host_key(host).with_suffix('.pub').read_text().split()[:2])}"
        for host in machines
    ]
    (_DIRECTORY / "known_hosts").write_text("\n".join(known) + "\n")
    nodes = "".join(f"Host {node.name} {node.address}\n  HostName {node.address}\n  ProxyJump {BASTION.name}\n\n" for node in NODES)
    CONFIG.write_text(
        f"# Written by the lab. Use it with: ssh -F {CONFIG} {BASTION.name}\n"
        f"Host {BASTION.name} {BASTION.address}\n  HostName {BASTION.address}\n"
        f"  ProxyCommand nsenter --net=/var/run/netns/{SWITCH.namespace} nc %h %p\n\n"
        f"{nodes}"
        f"Host *\n  User {ADMIN_USER}\n  IdentityFile {user_key()}\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {_DIRECTORY / 'known_hosts'}\n  StrictHostKeyChecking yes\n  ServerAliveInterval 15\n"
    )


def _key(name: str, comment: str) -> Path:
    file = _DIRECTORY / name
    if not file.with_suffix(".pub").exists():
        _DIRECTORY.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.unlink(missing_ok=True)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", file])
    return file
