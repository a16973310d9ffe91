"""Java archives from a repository: checked, kept, resumed. The repository is a directory, which curl reads like any other."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from lab.components import maven
from lab.components.base import ComponentError
from lab.components.run import CommandError, Job

CONTENT = bytes(range(256)) * 4096
PLACE = "org/example/thing/1/thing-1.jar"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job("image", tmp_path / "log", lambda step: None, lambda name: tmp_path)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "repository"
    (directory / PLACE).parent.mkdir(parents=True)
    (directory / PLACE).write_bytes(CONTENT)
    monkeypatch.setenv("MAVEN_CENTRAL", f"file://{directory}/")
    return directory


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    (tmp_path / "lock").write_text(f"{hashlib.sha256(CONTENT).hexdigest()}  {PLACE}\n")
    return tmp_path / "lock"


def test_what_the_lock_names_is_fetched_and_then_kept(repository: Path, lock: Path, tmp_path: Path, job: Job) -> None:
    maven.fetch(lock, tmp_path / "jars", job)
    (repository / PLACE).unlink()
    maven.fetch(lock, tmp_path / "jars", job)
    (jar,) = (tmp_path / "jars").iterdir()
    assert (jar.name, jar.read_bytes()) == ("thing-1.jar", CONTENT)


def test_an_interrupted_download_goes_on_where_it_stopped(repository: Path, lock: Path, tmp_path: Path, job: Job) -> None:
    part = tmp_path / "jars/thing-1.jar.part"
    part.parent.mkdir()
    part.write_bytes(CONTENT[:5000])
    # What was fetched before is not asked for again: only the rest of it is still right in the repository.
    (repository / PLACE).write_bytes(b"x" * 5000 + CONTENT[5000:])
    maven.fetch(lock, tmp_path / "jars", job)
    assert (tmp_path / "jars/thing-1.jar").read_bytes() == CONTENT
    assert not part.exists()


def test_another_file_than_the_locks_is_refused_and_dropped(repository: Path, lock: Path, tmp_path: Path, job: Job) -> None:
    (repository / PLACE).write_bytes(b"something else")
    with pytest.raises(
        ComponentError, match=rf"^image: file://.*thing-1\.jar has the SHA-256 {hashlib.sha256(b'something else').hexdigest()}"
    ):
        maven.fetch(lock, tmp_path / "jars", job)
    assert list((tmp_path / "jars").iterdir()) == []


def test_a_file_that_is_not_there_is_named(repository: Path, lock: Path, tmp_path: Path, job: Job) -> None:
    (repository / PLACE).unlink()
    with pytest.raises(CommandError, match=r"thing-1\.jar: Couldn't open file"):
        maven.fetch(lock, tmp_path / "jars", job)
