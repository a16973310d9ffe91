"""Root filesystems of Debian 12, from whatever mirror this machine's own apt uses."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from lab.components.base import HERE, Component, ComponentError
from lab.components.run import Job

SUITE = "bookworm"
_SUITES = (SUITE, f"{SUITE}-updates", f"{SUITE}-security")
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_EXCLUDED = ("doc/*", "man/*", "info/*", "locale/*", "lintian/*", "bug/*")
_FILES = HERE / "files"


@dataclass(frozen=True)
class User:
    """A system user that exists before any package is installed, so that it has this very number."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str = "/bin/bash"
    group: str = ""
    """Name of the group to create; empty when the group exists."""


@dataclass(frozen=True)
class System:
    """What a root filesystem holds."""

    packages: tuple[str, ...]
    variant: str = "essential"
    """As mmdebstrap names them: essential has not even apt, minbase has."""
    users: tuple[User, ...] = ()
    remove: tuple[str, ...] = ()
    """Paths (globs) that the packages bring and nobody wants."""


@dataclass(frozen=True)
class Rootfs(Component):
    """A root filesystem as a directory: `rootfs/`, and `packages.txt` with the version of each Debian package."""

    system: System = System(())
    masked: tuple[str, ...] = ()
    """systemd units that must never start."""
    disabled: tuple[str, ...] = ()
    """systemd units that start only where the lab enables them."""

    recipe: ClassVar[int] = 2

    def inputs(self) -> Iterator[Path]:
        """Yield our own files in it."""
        if (_FILES / self.name).exists():
            yield _FILES / self.name

    def build(self, target: Path, job: Job) -> None:
        """Bootstrap, then put our own files and masks in place."""
        root = target / "rootfs"
        bootstrap(self.system, root, job)
        add_files(self.name, root)
        for unit in self.masked:
            link = root / "etc/systemd/system" / unit
            link.unlink(missing_ok=True)
            link.symlink_to("/dev/null")
        for unit in self.disabled:
            for wants in (root / "etc/systemd/system").glob("*.wants"):
                (wants / unit).unlink(missing_ok=True)
        save_packages(root, target / "packages.txt")


@dataclass(frozen=True)
class VirtualMachine(Rootfs):
    """A root filesystem with a kernel, for QEMU: beside `rootfs/` lie `vmlinuz` and `initrd.img`, which boot it."""

    drivers: tuple[str, ...] = ()
    """The kernel modules that the initial RAM disk holds: what it takes to find the root."""

    def build(self, target: Path, job: Job) -> None:
        """Bootstrap, then make an initial RAM disk of nothing but what is needed: a larger one is unpacked at every boot."""
        super().build(target, job)
        root = target / "rootfs"
        job.step("the initial RAM disk")
        (root / "etc/initramfs-tools/conf.d/lab").write_text("MODULES=list\n")
        (root / "etc/initramfs-tools/modules").write_text("".join(f"{driver}\n" for driver in self.drivers))
        job.run(["chroot", root, "update-initramfs", "-u", "-k", "all"])
        for name in ("vmlinuz", "initrd.img"):
            (file,) = (root / "boot").glob(f"{name}-*")
            shutil.copyfile(file, target / name)


def bootstrap(system: System, root: Path, job: Job) -> None:
    """Make a root filesystem at `root`. One that a former, interrupted build completed is kept."""
    if root.exists():
        return
    unfinished = root.with_name(f"{root.name}.unfinished")
    remove_tree(unfinished)
    sources = root.with_name("apt.list")
    sources.write_text(mirrors())
    job.step(f"Debian packages: {', '.join(system.packages)}")
    job.run(
        [
            *("mmdebstrap", "--mode=root", "--format=directory", f"--variant={system.variant}"),
            *(f"--dpkgopt=path-exclude=/usr/share/{pattern}" for pattern in _EXCLUDED),
            "--aptopt=Acquire::Retries 2",
            "--aptopt=Acquire::Languages none",
            *(f"--essential-hook={command}" for command in _users(system.users)),
            # update-alternatives of some packages links manual pages and fails without the directory.
            "--essential-hook=mkdir -p $1/usr/share/man/man1",
            f"--include={','.join(system.packages)}",
            *(SUITE, unfinished, sources),
        ]
    )
    for pattern in (
        *system.remove,
        "var/lib/apt/lists/*",
        "var/cache/apt/*.bin",
        "var/cache/apt/archives/*.deb",
        "var/log/*.log",
        "var/log/apt/*",
        "tmp/*",
        "etc/ssh/ssh_host_*",
        "etc/ssl/private/*",
    ):
        for path in unfinished.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    (unfinished / "etc/machine-id").write_text("")
    (unfinished / "etc/hostname").unlink(missing_ok=True)
    (unfinished / "etc/resolv.conf").unlink(missing_ok=True)
    (unfinished / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost ip6-localhost\n")
    sources.unlink()
    unfinished.rename(root)


def add_files(name: str, root: Path) -> None:
    """Copy files/<name>/ over a root filesystem; the executable bit is kept, the owner is root."""
    source = _FILES / name
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        target = root / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
        target.chmod(0o755 if os.access(file, os.X_OK) else 0o644)


def save_packages(root: Path, listing: Path) -> None:
    """Record the version of each Debian package."""
    query = ["dpkg-query", f"--admindir={root}/var/lib/dpkg", "--show", "--showformat=${Package} ${Version} ${Architecture}\n"]
    listing.write_text(subprocess.run(query, capture_output=True, text=True, check=True).stdout)


def remove_tree(root: Path) -> None:
    """Remove a root filesystem, after unmounting what a killed bootstrap left mounted in it."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in sorted((mount for mount in mounts if mount.startswith(f"{root.resolve()}/")), key=len, reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=True)
    if root.exists():
        shutil.rmtree(root)


def mirrors(etc: Path = Path("/etc/apt")) -> str:
    """Return this machine's own Debian sources, in one-line format, for the suites of Debian 12.

    Raises ComponentError when it has none.
    """
    lines: list[str] = []
    for file in (etc / "sources.list", *sorted(etc.glob("sources.list.d/*"))):
        if file.suffix == ".list" and file.is_file():
            lines += _one_line_sources(file.read_text())
        elif file.suffix == ".sources" and file.is_file():
            lines += _deb822_sources(file.read_text())
    if not any(f" {SUITE} " in line for line in lines):
        raise ComponentError(
            f"{etc} names no Debian mirror with the suite {SUITE} and the component main: add one, the lab takes its packages from there"
        )
    return "".join(f"{line}\n" for line in dict.fromkeys(lines))


def _one_line_sources(text: str) -> Iterator[str]:
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if not words or words[0] != "deb":
            continue
        keyring = _KEYRING
        if words[1].startswith("["):
            end = next(index for index, word in enumerate(words) if word.endswith("]"))
            options = " ".join(words[1 : end + 1]).strip("[] ").split()
            keyring = next((option.partition("=")[2] for option in options if option.startswith("signed-by=")), keyring)
            words = [words[0], *words[end + 1 :]]
        yield from _sources([words[1]], [words[2]], words[3:], keyring)


def _deb822_sources(text: str) -> Iterator[str]:
    for stanza in text.split("\n\n"):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace():
                fields[name] += f"\n{line}"
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.lower()
                fields[name] = value.strip()
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes") != "no":
            keyring = fields.get("signed-by", _KEYRING)
            # A key in the stanza itself is some third party's.
            if "\n" not in keyring:
                yield from _sources(fields["uris"].split(), fields["suites"].split(), fields.get("components", "").split(), keyring)


def _sources(uris: Sequence[str], suites: Sequence[str], components: Sequence[str], keyring: str) -> Iterator[str]:
    if "main" not in components:
        return
    for uri in uris:
        for suite in suites:
            if suite in _SUITES:
                yield f"deb [signed-by={keyring}] {uri} {suite} main"


def _users(users: Sequence[User]) -> Iterator[str]:
    """Yield the commands that add users to a system which has no useradd yet; mmdebstrap gives the root as $1."""
    for user in users:
        if user.group:
            yield f"echo {user.group}:x:{user.gid}: >> $1/etc/group"
        yield f"echo {user.name}:x:{user.uid}:{user.gid}::{user.home}:{user.shell} >> $1/etc/passwd"
        yield f"echo '{user.name}:*:19700:0:99999:7:::' >> $1/etc/shadow"
        yield f"install -d -o {user.uid} -g {user.gid} $1{user.home}"


_IDLE = (
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer", "man-db.timer"),
    *("console-getty.service", "getty.target", "systemd-timesyncd.service", "systemd-resolved.service"),
)
"""Nothing in the background: each machine shares the cores with all others."""

MACHINE = Rootfs(
    name="machine",
    version="12",
    system=System(
        variant="minbase",
        packages=(
            *("systemd-sysv", "dbus", "udev", "openssh-server", "sudo", "python3", "python3-venv", "python3-apt"),
            *(
                "e2fsprogs",
                "xfsprogs",
                "fdisk",
                "mount",
                "iproute2",
                "iptables",
                "conntrack",
                "kmod",
                "procps",
                "less",
                "git",
                "ca-certificates",
            ),
            *("containerd", "runc", "containernetworking-plugins", "tar", "gzip", "curl"),
        ),
    ),
    masked=(
        # A change event would erase the serials that the lab writes into the udev database.
        *("systemd-udevd.service", "systemd-udev-trigger.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket"),
        *_IDLE,
    ),
    disabled=("containerd.service", "e2scrub_reap.service"),
)

BROWSER = Rootfs(
    name="browser",
    version="12",
    system=System(packages=("chromium-headless-shell", "fonts-dejavu-core"), remove=("usr/share/icons",)),
)
"""A web browser without a screen, for the tests that look at pages as people do."""

MACHINE_VM = VirtualMachine(
    name="machine-vm",
    version="12",
    system=System(
        variant="minbase",
        packages=(
            *("linux-image-cloud-amd64", "initramfs-tools", "systemd-sysv", "dbus", "udev", "openssh-server", "sudo", "python3"),
            *("e2fsprogs", "xfsprogs", "fdisk", "mount", "iproute2", "kmod", "procps"),
        ),
    ),
    masked=(*_IDLE, "serial-getty@ttyS0.service"),
    disabled=("e2scrub_reap.service",),
    drivers=("virtio_pci", "virtio_scsi", "sd_mod"),
)
"""A node that is a real virtual machine: its own kernel and udev, disks that are plugged while it runs."""
