"""Where built components stay: CACHE/<name>/<key>, complete or not there at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

DEFAULT = "/var/cache/homelab-data-platform"


def root() -> Path:
    """Return the cache's directory: LAB_CACHE, or the default."""
    return Path(os.environ.get("LAB_CACHE") or DEFAULT)


def place(name: str, key: str) -> Path:
    """Return where the component with this key stands once it is built."""
    return root() / name / key


def partial(name: str, key: str) -> Path:
    """Return where it is built; what an interrupted build left there is found again by the next one."""
    directory = root() / name / f"{key}.partial"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def publish(name: str, key: str) -> Path:
    """Make a finished build visible, at once and whole, and drop what older keys of the same component left.

    What a running lab has mounted stays: the next build after that lab drops it.
    """
    final = place(name, key)
    (root() / name / f"{key}.partial").rename(final)
    for other in final.parent.iterdir():
        if other != final and other.is_dir() and not mounted(other):
            shutil.rmtree(other)
    return final


def mounted(directory: Path) -> bool:
    """Whether any process on this machine, in whatever mount namespace, sees the directory or a part of it mounted or below an overlay."""
    place = f"/{directory.parent.name}/{directory.name}"
    for table in Path("/proc").glob("[0-9]*/mountinfo"):
        # A process may end while it is looked at.
        with contextlib.suppress(OSError):
            if place in table.read_text():
                return True
    return False


@contextlib.contextmanager
def lock(name: str, wait: Callable[[], None]) -> Iterator[None]:
    """Hold the right to build `name`: a second lab on this machine waits, and then finds it built.

    `wait` is called again and again meanwhile; it may raise.
    """
    directory = root() / name
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                wait()
        yield


def building(name: str) -> bool:
    """Whether somebody on this machine builds `name` just now."""
    try:
        with (root() / name / "lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
