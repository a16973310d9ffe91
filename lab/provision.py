"""What makes a root filesystem this host's own: its name, its keys, its administrator, its services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lab import ssh
from lab.settings import ADMIN_USER, CONTROL_PLANE, HOSTS, Host
from lab.shell import run


def provision(root: Path, host: Host, files: Mapping[str, str], units: Sequence[str]) -> None:
    """Write the host's files below `root` and enable its systemd units. Safe to repeat.

    Raises LabError when a program of the root filesystem fails.
    """
    hosts = "".join(f"{other.address} {' '.join(other.names)}\n" for other in HOSTS)
    texts = {
        "/etc/hostname": f"{host.name}\n",
        "/etc/resolv.conf": f"nameserver {CONTROL_PLANE.address}\n",
        "/etc/hosts": f"127.0.0.1 localhost\n{hosts}",
        **files,
    }
    for place, text in texts.items():
        file = root / place.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        # A link would lead out of the machine.
        file.unlink(missing_ok=True)
        file.write_text(text)
    _write_ssh(root, host)
    for unit in units:
        run(["systemctl", f"--root={root}", "--quiet", "enable", unit])


def _write_ssh(root: Path, host: Host) -> None:
    """The host's key and the administrator's: made by the lab, so that the first contact is a known one."""
    if not (root / "home" / ADMIN_USER).exists():
        run(["chroot", root, "useradd", "--create-home", "--shell", "/bin/bash", ADMIN_USER])
    sudoers = root / "etc/sudoers.d" / ADMIN_USER
    sudoers.write_text(f"{ADMIN_USER} ALL=(ALL) NOPASSWD: ALL\n")
    sudoers.chmod(0o440)
    key = ssh.host_key(host)
    for source, mode in ((key, 0o600), (key.with_suffix(".pub"), 0o644)):
        target = root / "etc/ssh" / f"ssh_host_ed25519_key{source.suffix}"
        target.write_text(source.read_text())
        target.chmod(mode)
    (root / "etc/ssh/sshd_config.d").mkdir(exist_ok=True)
    (root / "etc/ssh/sshd_config.d/lab.conf").write_text("PasswordAuthentication no\nHostKey /etc/ssh/ssh_host_ed25519_key\nUseDNS no\n")
    authorized = root / "home" / ADMIN_USER / ".ssh/authorized_keys"
    authorized.parent.mkdir(mode=0o700, exist_ok=True)
    authorized.write_text(ssh.user_key().with_suffix(".pub").read_text())
    run(["chroot", root, "chown", "-R", f"{ADMIN_USER}:", f"/home/{ADMIN_USER}/.ssh"])
