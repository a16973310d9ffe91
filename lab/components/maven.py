"""Java archives from Maven Central; a lock says which, in the form of sha256sum and by their places in the repository."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from lab.components.base import ComponentError
from lab.components.run import Job

CENTRAL = "https://repo1.maven.org/maven2"


def repository() -> str:
    """Return the repository's address: MAVEN_CENTRAL (a mirror), or Maven Central itself."""
    return (os.environ.get("MAVEN_CENTRAL") or CENTRAL).rstrip("/")


def fetch(lock: Path, target: Path, job: Job) -> None:
    """Download what a lock names into a directory. What lies there whole is kept, and an interrupted download goes on where it stopped.

    Raises ComponentError when a file is another than the lock's.
    """
    target.mkdir(parents=True, exist_ok=True)
    for line in lock.read_text().splitlines():
        wanted, place = line.split()
        file = target / Path(place).name
        if not file.exists() or _sha256(file) != wanted:
            _download(f"{repository()}/{place}", file, wanted, job)


def _download(url: str, file: Path, wanted: str, job: Job) -> None:
    job.step(f"downloading {file.name}")
    part = file.with_name(f"{file.name}.part")
    words = ("curl", "--silent", "--fail", "--location", "--retry", "3", "--connect-timeout", "30", "--continue-at", "-")
    # curl's own message names the host at most.
    job.run([*words, "--write-out", r"%{onerror}%{url}: %{errormsg}\n", "--output", part, url])
    found = _sha256(part)
    if found != wanted:
        part.unlink()
        raise ComponentError(
            f"{job.name}: {url} has the SHA-256 {found}, the lock says {wanted}: it is not the file that was asked for, and was dropped. "
            "Look at what MAVEN_CENTRAL names, or at a proxy in between"
        )
    part.chmod(0o644)
    part.rename(file)


def _sha256(file: Path) -> str:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()
