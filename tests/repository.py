"""A repository of DAGs, changed as its users do: cloned, committed to, pushed."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import git_server, pki
from lab.settings import GIT, GIT_REPOSITORY

IDENTITY = ("-c", "user.name=check", "-c", "user.email=check@lab.test")


@contextmanager
def pushed(repository: str = "", **environment: str) -> Iterator[Path]:
    """A clone of a repository, the lab's own unless another is named, whose content is pushed in the end."""
    with tempfile.TemporaryDirectory() as folder:

        def git(*words: str | Path, at: Path = Path(folder)) -> None:
            variables = {"PATH": "/usr/bin:/bin", "HOME": folder, **environment}
            subprocess.run(["git", *own, *words], cwd=at, env=variables, check=True, timeout=60)

        # Nothing resolves the lab's names outside of it.
        address = f"https://{GIT.address}/{GIT_REPOSITORY}.git"
        own = ("-c", f"http.sslCAInfo={pki.authority().certificate}", "-c", f"url.{address}.insteadOf={git_server.URL}")
        clone = Path(folder) / "clone"
        git("clone", "--quiet", repository or git_server.URL, clone)
        yield clone
        git("add", "--all", at=clone)
        git(*IDENTITY, "commit", "--quiet", "-m", "A check's DAG", at=clone)
        git("push", "--quiet", "origin", "HEAD:main", at=clone)
