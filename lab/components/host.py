"""Debian packages that this machine itself needs for building and running the lab. None of them starts a service."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from lab.components.run import CommandError, explain

PACKAGES = (
    "ca-certificates",
    "curl",
    "e2fsprogs",
    "fdisk",
    "git",
    "iproute2",
    "iptables",
    "kmod",
    "mmdebstrap",
    "mount",
    "netcat-openbsd",
    "openssh-client",
    "openssl",
    "procps",
    "systemd-container",
    "util-linux",
    "xfsprogs",
)

EMULATOR = ("qemu-system-x86",)
"""What runs real virtual machines; only the lab that has one needs it."""


def missing(packages: Sequence[str] = PACKAGES) -> list[str]:
    """Return those of the packages that are not installed."""
    query = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *packages]
    try:
        output = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError as error:
        raise CommandError("the lab needs a Debian machine (12 or later): dpkg-query is not here") from error
    installed = {line.split()[0] for line in output.splitlines() if line.endswith(" installed")}
    return [package for package in packages if package not in installed]


def ensure_packages(packages: Sequence[str] = PACKAGES) -> list[str]:
    """Install what is missing, and return it."""
    wanted = missing(packages)
    if wanted:
        # A third-party source that does not answer is no reason to stop: if it mattered, the next command says so.
        _apt("update")
        _check(_apt("install", "--no-install-recommends", "--yes", *wanted), wanted)
    return wanted


def _apt(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    argv = ["apt-get", "--quiet", "--option=Acquire::Retries=2", *words]
    return subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=environment
    )


def _check(result: subprocess.CompletedProcess[str], wanted: Sequence[str]) -> None:
    if result.returncode:
        name = f"this machine's packages ({', '.join(wanted)})"
        raise CommandError(explain(name, result.args, result.returncode, result.stdout.splitlines(), Path("/var/log/apt/term.log")))
