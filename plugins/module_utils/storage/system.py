# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The edges of the machine: where things lie, commands, files, and the immutable flag of a directory."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SBIN = "/usr/local/sbin:/usr/sbin:/sbin"

# _IOR('f', 1, long) and _IOW('f', 2, long): the flags that lsattr and chattr show and set.
_LONG = struct.calcsize("l")
FS_IOC_GETFLAGS = (2 << 30) | (_LONG << 16) | (ord("f") << 8) | 1
FS_IOC_SETFLAGS = (1 << 30) | (_LONG << 16) | (ord("f") << 8) | 2
FS_IMMUTABLE_FL = 0x10
NOT_SUPPORTED = (errno.ENOTTY, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


class StorageError(Exception):
    """Something that the user can put right; the text says what was found, what was wanted and what to do."""


@dataclass(frozen=True)
class Paths:
    """Where the machine keeps what is read and written. Only tests look elsewhere."""

    sys: str = "/sys"
    dev: str = "/dev"
    udev: str = "/run/udev/data"
    proc: str = "/proc"
    fstab: str = "/etc/fstab"
    units: str = "/etc/systemd/system"
    systemd: str = "/run/systemd"


def which(command: str) -> str | None:
    """Return the path of ``command``, looking in the system directories too, which a bare ssh session may lack."""
    return shutil.which(command, path=f"{os.environ.get('PATH', '')}:{SBIN}")


def run(argv: Sequence[str], accept: Sequence[int] = (0,)) -> str:
    """Run a command and return what it printed; an exit status that is not accepted is an error with its own words."""
    path = which(argv[0])
    if path is None:
        raise StorageError(f"The command {argv[0]} is not installed. Install it on this host and run again.")
    done = subprocess.run(  # pylint: disable=ansible-bad-function  # run_command needs a module, and this part knows of none
        [path, *argv[1:]],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    if done.returncode not in accept:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise StorageError(f"{' '.join(argv)} failed with status {done.returncode}: {said}")
    return done.stdout.decode(errors="replace")


def read_bytes(path: str) -> bytes:
    """Return the content of a small file; nothing where it is absent or unreadable, as sysfs attributes may be."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def read_text(path: str) -> str:
    """Return the content of a small text file; nothing where it is absent or unreadable."""
    return read_bytes(path).decode(errors="replace")


def write_text(path: str, text: str, mode: int = 0o644) -> None:
    """Replace a file in one step, so that a reader or a crash sees the old content or the new; keep mode and owner."""
    target = Path(path).resolve()
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            if target.exists():
                status = target.stat()
                os.fchown(file.fileno(), status.st_uid, status.st_gid)
                mode = status.st_mode & 0o7777
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink()
        raise


def open_files(place: str, paths: Paths) -> list[str]:
    """The processes that work in a mounted directory or have a file of it open: ``name (pid)``."""
    users = []
    for process in sorted(Path(paths.proc).glob("[0-9]*"), key=lambda path: int(path.name)):
        links = [process / "cwd", process / "root", *_entries(process / "fd")]
        if any(_below(link, place) for link in links):
            users.append(f"{read_text(f'{process}/comm').strip()} ({process.name})")
    return users


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _below(link: Path, place: str) -> bool:
    try:
        target = str(link.readlink())
    except OSError:
        return False
    return target == place or target.startswith(f"{place}/")


def is_immutable(directory: str) -> bool | None:
    """Whether a directory is immutable; None where its filesystem does not know the flag."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return bool(_flags(descriptor) & FS_IMMUTABLE_FL)
    except OSError as error:
        if error.errno in NOT_SUPPORTED:
            return None
        raise
    finally:
        os.close(descriptor)


def make_immutable(directory: str) -> None:
    """Set the immutable flag, so that nothing, root included, can write into the directory."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        flags = _flags(descriptor) | FS_IMMUTABLE_FL
        fcntl.ioctl(descriptor, FS_IOC_SETFLAGS, struct.pack("l", flags))
    finally:
        os.close(descriptor)


def _flags(descriptor: int) -> int:
    (flags,) = struct.unpack("l", fcntl.ioctl(descriptor, FS_IOC_GETFLAGS, bytes(_LONG)))
    return int(flags)


def binary_size(size: int) -> str:
    """Say a number of bytes as people do: ``50 GiB``."""
    value, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.1f}".rstrip("0").rstrip(".") + f" {unit}"
