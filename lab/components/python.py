"""Python packages from hashed requirements."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.components import store
from lab.components.base import HERE, REQUIREMENTS, Component
from lab.components.run import Job

PYTHON = "3.11"
"""Debian 12's Python."""
CHECKOUT = HERE.parent.parent


def scratch() -> Path:
    """Return where downloaded packages are kept until everything stands."""
    return store.root() / ".uv"


def uv() -> str:
    """Return the uv beside this interpreter, or else the one in PATH."""
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else shutil.which("uv") or "uv"


def install(requirements: Path, target: Path, job: Job) -> None:
    """Install a locked set for Debian's Python into a directory of its own; every file is checked against its hash."""
    if target.exists():
        shutil.rmtree(target)
    job.step(f"Python packages of {requirements.name}")
    words = (
        uv(),
        "pip",
        "install",
        "--quiet",
        "--no-config",
        "--no-deps",
        "--require-hashes",
        f"--python-version={PYTHON}",
        f"--target={target}",
    )
    job.run([*words, f"--requirement={requirements}"], env={"UV_CACHE_DIR": str(scratch())})
    (target / ".lock").unlink(missing_ok=True)


@dataclass(frozen=True)
class PythonPackages(Component):
    """A locked set of packages in a directory; `requirements` is the name of the set."""

    requirements: str = ""

    def inputs(self) -> Iterator[Path]:
        """Yield the lock."""
        yield REQUIREMENTS / f"{self.requirements}.txt"

    def build(self, target: Path, job: Job) -> None:
        """Install into the component's directory itself."""
        install(REQUIREMENTS / f"{self.requirements}.txt", target / "packages", job)
        for entry in (target / "packages").iterdir():
            entry.rename(target / entry.name)
        (target / "packages").rmdir()


@dataclass(frozen=True)
class Wheels(Component):
    """Wheel files of a locked set that lies elsewhere in the checkout, for hosts that install offline."""

    lock: str = ""

    def inputs(self) -> Iterator[Path]:
        """Yield the lock."""
        yield CHECKOUT / self.lock

    def build(self, target: Path, job: Job) -> None:
        """Download one wheel per requirement; pip checks each against its hash."""
        job.step(f"wheels of {self.lock}")
        words = (sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-cache-dir", "--no-deps", "--require-hashes")
        platform = ("--only-binary=:all:", f"--python-version={PYTHON}", "--implementation=cp", "--abi=cp311", "--abi=abi3", "--abi=none")
        job.run([*words, *platform, f"--dest={target}", f"--requirement={CHECKOUT / self.lock}"])


TOOLCHAIN = PythonPackages(name="go-toolchain", version="1.26.6", requirements="go-toolchain")
CONTROL_HOST_WHEELS = Wheels(name="wheels", version=PYTHON, lock="roles/control_host/files/requirements.txt")
