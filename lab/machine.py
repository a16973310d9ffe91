"""Machines of their own at native speed: systemd-nspawn containers with their own systemd, sshd and /etc/fstab.

A machine's root is an overlay over the `machine` component, so that each costs only what it changes. What containerd and kubelet keep is
bound from the state directory, because an overlay cannot lie on an overlay.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab import service
from lab.components import path as component
from lab.provision import provision
from lab.settings import NAME, STATE, Host
from lab.shell import LabError, run

_CGROUPS = Path("/sys/fs/cgroup")
_RTMIN_HALT = signal.SIGRTMIN + 4
"""systemd's signal for an orderly power-off."""


@dataclass(frozen=True)
class Machine:
    """A lab host that is a machine: boots, runs services, can be rebooted."""

    host: Host
    files: Mapping[str, str] = field(default_factory=dict)
    """Text files below the machine's root that the lab writes before the first boot."""
    units: Sequence[str] = ()
    """systemd units that are enabled."""
    read_only: Mapping[str, Path] = field(default_factory=dict)
    """Places in the machine where directories of this computer are seen, read-only."""
    kept: Sequence[str] = ()
    """Directories whose content lies in the state directory itself."""

    @property
    def directory(self) -> Path:
        """Where the machine's state lies."""
        return STATE / "machines" / self.host.name

    @property
    def root(self) -> Path:
        """The machine's root as seen from outside."""
        return self.directory / "root"

    @property
    def leader(self) -> int | None:
        """Process id of the machine's own init, None when it is off."""
        nspawn = service.pid(self._service)
        return None if nspawn is None else _init_below(nspawn)

    @property
    def _service(self) -> str:
        return f"machine-{self.host.name}"

    def start(self) -> None:
        """Power the machine on unless it is on; `wait` says when it is up.

        One that was made of components that have changed since is made anew: the old ones may be gone from the cache.
        """
        if not self._is_made_of_current_components():
            self.stop()
            unmount_below(self.directory)
        if service.pid(self._service) is not None:
            return
        self._mount_root()
        provision(self.root, self.host, self.files, self.units)
        binds = [f"--bind={self.directory / 'kept' / place.strip('/').replace('/', '-')}:{place}" for place in self.kept]
        binds += [f"--bind-ro={source}:{place}" for place, source in self.read_only.items()]
        for place in self.kept:
            (self.directory / "kept" / place.strip("/").replace("/", "-")).mkdir(parents=True, exist_ok=True)
        argv = [
            *("systemd-nspawn", "--quiet", f"--directory={self.root}", "--boot", f"--machine={NAME}-{self.host.name}"),
            *("--register=no", *_unit_options(), f"--network-namespace-path=/var/run/netns/{self.host.namespace}"),
            *("--capability=all", "--bind=/dev/kmsg", "--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=read-only"),
            # What runc asks for, and nspawn denies a machine by default.
            "--system-call-filter=add_key keyctl request_key bpf",
            *(f"--hostname={self.host.name}", *binds),
        ]
        groups = _cgroups(self.host)
        enter = "".join(f"echo $$ > {group}/cgroup.procs; " for group in groups)
        script = f'{enter}exec "$@"'
        environment = {"SYSTEMD_NSPAWN_API_VFS_WRITABLE": "yes"}
        service.start(self._service, ["sh", "-c", script, "sh", *argv], self._log, environment)

    def wait(self, seconds: float = 90) -> None:
        """Wait until the machine's systemd has come up and its sshd answers."""
        deadline = time.monotonic() + seconds
        while self.leader is None:
            self._check(deadline, "has no init yet")
            time.sleep(0.1)
        while self.execute("systemctl", "is-system-running", check=False).strip() not in ("running", "degraded"):
            self._check(deadline, "is still booting")
            time.sleep(0.2)
        while not self._greets():
            self._check(deadline, "has no sshd on port 22")
            time.sleep(0.1)

    def execute(self, *argv: str | Path, check: bool = True, stdin: str | None = None) -> str:
        """Run a program as root inside the machine."""
        return run([*self._inside(), *argv], check=check, stdin=stdin)

    def feed(self, file: Path, *argv: str) -> None:
        """Run a program as root inside the machine, with a file of this computer as its standard input."""
        with file.open("rb") as source:
            done = subprocess.run([*self._inside(), *argv], stdin=source, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise LabError(f"{self.host.name}: {' '.join(argv)} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")

    def _inside(self) -> list[str]:
        """The words that run a program as root inside the machine."""
        leader = self.leader
        if leader is None:
            raise LabError(f"{self.host.name} is off; the end of {self._log}:\n{service.tail(self._log)}")
        enter = ["nsenter", f"--target={leader}", "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd"]
        return [*enter, "env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]

    def stop(self, seconds: float = 30) -> None:
        """Power the machine off: in order first, then by force."""
        leader = self.leader
        if leader is not None:
            os.kill(leader, _RTMIN_HALT)
            deadline = time.monotonic() + seconds
            while service.pid(self._service) is not None and time.monotonic() < deadline:
                time.sleep(0.1)
            leader = self.leader
            if leader is not None:
                os.kill(leader, signal.SIGKILL)
        service.stop(self._service)

    def remove(self) -> None:
        """Forget the machine, power it off without ceremony first."""
        leader = self.leader
        if leader is not None:
            os.kill(leader, signal.SIGKILL)
        service.stop(self._service)
        unmount_below(self.directory)
        for group in _cgroups(self.host, make=False):
            for directory, _, _ in os.walk(group, topdown=False):
                # A process may be on its way out still; an empty group costs nothing and the next start takes it over.
                with contextlib.suppress(OSError):
                    Path(directory).rmdir()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def _log(self) -> Path:
        return STATE / "logs" / f"machine-{self.host.name}.log"

    def _is_made_of_current_components(self) -> bool:
        note = self.directory / "made-of"
        return note.exists() and note.read_text() == self._components

    @property
    def _components(self) -> str:
        return "".join(f"{source}\n" for source in (component("machine"), *self.read_only.values()))

    def _mount_root(self) -> None:
        upper, work = self.directory / "upper", self.directory / "work"
        for directory in (self.root, upper, work):
            directory.mkdir(parents=True, exist_ok=True)
        if not os.path.ismount(self.root):
            lower = component("machine") / "rootfs"
            run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={lower},upperdir={upper},workdir={work}", self.root])
            (self.directory / "made-of").write_text(self._components)

    def _greets(self) -> bool:
        """Whether port 22 greets as an SSH server."""
        script = "import socket; s = socket.create_connection(('127.0.0.1', 22), 2); print(s.recv(8).decode())"
        return self.execute("python3", "-c", script, check=False).startswith("SSH-2.0")

    def _check(self, deadline: float, state: str) -> None:
        if service.pid(self._service) is None:
            raise LabError(f"{self.host.name} went off while starting; the end of {self._log}:\n{service.tail(self._log)}")
        if time.monotonic() > deadline:
            raise LabError(f"{self.host.name} {state}; the end of {self._log}:\n{service.tail(self._log)}")


def unmount_below(directory: Path) -> None:
    """Unmount everything below a directory, the deepest first."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in sorted((mount for mount in mounts if mount.startswith(f"{directory}/")), key=len, reverse=True):
        run(["umount", "--lazy", mount])


def _init_below(nspawn: int) -> int | None:
    """The process below nspawn that is number 1 in its own PID namespace."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        except (FileNotFoundError, ProcessLookupError):
            continue
        numbers = fields.get("NSpid", "").split()
        if len(numbers) > 1 and numbers[-1] == "1" and int(fields["PPid"]) == nspawn:
            return int(numbers[0])
    return None


def _unified() -> bool:
    return (_CGROUPS / "cgroup.controllers").exists()


def _controllers() -> list[str]:
    return sorted(
        entry.name for entry in _CGROUPS.iterdir() if entry.is_dir() and entry.name not in ("systemd", "unified") and not entry.is_symlink()
    )


def _unit_options() -> list[str]:
    """With systemd as this computer's init, a scope of its own with access to loop devices; else nspawn stays where it was started."""
    if Path("/run/systemd/system").exists():
        return ["--property=Delegate=yes", "--property=DeviceAllow=block-loop rwm", "--property=DeviceAllow=char-kmsg rw"]
    return ["--keep-unit"]


def _cgroups(host: Host, *, make: bool = True) -> list[Path]:
    """The machine's group in each v1 controller, so that two kubelets do not share one root group."""
    if _unified() or Path("/run/systemd/system").exists():
        return []
    groups = [_CGROUPS / controller / f"{NAME}-{host.name}" for controller in [*_controllers(), "systemd"]]
    if not make:
        return [group for group in groups if group.exists()]
    for group in groups:
        group.mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):
            # A new cpuset is empty and takes no process until it is given what its parent has.
            if (group / file).exists() and not (group / file).read_text().strip():
                (group / file).write_text((group.parent / file).read_text())
    return groups
