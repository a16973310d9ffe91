"""What a component is: something with a version that is built once and kept under the hash of all that went into it."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from lab.components.run import Job
from lab.shell import LabError

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE.parent / "requirements"


class ComponentError(LabError):
    """A component that cannot be had; one message for the user."""


@dataclass(frozen=True)
class Component(ABC):
    """One thing that the lab needs. Subclasses say how it is built; their fields are part of the key."""

    name: str
    version: str

    lane: ClassVar[str] = "packages"
    """Builds of one lane follow one another, lanes run side by side."""
    recipe: ClassVar[int] = 1
    """Raised when a recipe's code changes what comes out: every component built by it gets a new key."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The components that must stand first. Their keys are part of this one's."""
        return ()

    def builds_with(self) -> tuple[str, ...]:
        """Return the components that a build on this machine takes, and that make no difference to what comes out."""
        return ()

    def inputs(self) -> Iterator[Path]:
        """Yield the files and directories of the checkout that the build reads."""
        yield from ()

    @abstractmethod
    def build(self, target: Path, job: Job) -> None:
        """Build into `target`. It may hold what an interrupted build of the same key left."""

    def key(self, keys: Mapping[str, str]) -> str:
        """Return the hash of everything that decides what comes out; `keys` holds those of the components in `needs`."""
        digest = hashlib.sha256(f"{type(self).__name__} {self.recipe} {os.uname().machine} {self!r}\n".encode())
        for need in self.needs:
            digest.update(f"needs {need} {keys[need]}\n".encode())
        for path in _files(self.inputs()):
            digest.update(
                f"{path.relative_to(HERE.parents[1])} {os.access(path, os.X_OK)}\n".encode() + hashlib.sha256(path.read_bytes()).digest()
            )
        return digest.hexdigest()[:16]


def _files(paths: Iterator[Path]) -> Iterator[Path]:
    for path in paths:
        yield from sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else (path,)
