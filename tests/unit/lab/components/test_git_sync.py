"""The stand-in for git-sync against a real repository: what it publishes, when it changes, and how it fails."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.settings import CHECKOUT

PROGRAM = CHECKOUT / "lab/components/files/image-git-sync/git-sync"


def git(directory: Path, *words: str) -> str:
    identity = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    return subprocess.run(
        ["git", *words], cwd=directory, check=True, capture_output=True, text=True, env={**os.environ, **identity}
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    directory = tmp_path / "remote" / "dags.git"
    directory.mkdir(parents=True)
    git(directory, "init", "--quiet", "--initial-branch=main")
    commit(directory, "one")
    return directory


def commit(repository: Path, text: str) -> str:
    (repository / "dag.py").write_text(text)
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message", text)
    return git(repository, "rev-parse", "HEAD")


def start(tmp_path: Path, *flags: str, **settings: str) -> subprocess.Popen[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GITSYNC_ROOT": str(tmp_path / "root"), **settings}
    return subprocess.Popen([sys.executable, PROGRAM, *flags], env=environment, stderr=subprocess.PIPE, text=True)


def once(tmp_path: Path, **settings: str) -> tuple[int, str]:
    process = start(tmp_path, **{"GITSYNC_ONE_TIME": "true", **settings})
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def test_one_time_publishes_the_branch(tmp_path: Path, repository: Path) -> None:
    assert once(tmp_path, GITSYNC_REPO=str(repository), GITSYNC_REF="main", GITSYNC_LINK="repo")[0] == 0
    link = tmp_path / "root/repo"
    assert (link / "dag.py").read_text() == "one"
    assert str(link.readlink()) == f".worktrees/{git(repository, 'rev-parse', 'HEAD')}"
    assert git(link, "rev-parse", "HEAD") == git(repository, "rev-parse", "main")


def test_the_link_is_named_after_the_repository(tmp_path: Path, repository: Path) -> None:
    once(tmp_path, GITSYNC_REPO=str(repository))
    assert (tmp_path / "root/dags/dag.py").read_text() == "one"


def test_settings_of_version_3_as_the_chart_gives_them(tmp_path: Path, repository: Path) -> None:
    git(repository, "branch", "stable")
    commit(repository, "two")
    settings = {
        "GIT_SYNC_REPO": str(repository),
        "GIT_SYNC_BRANCH": "stable",
        "GIT_SYNC_REV": "HEAD",
        "GIT_SYNC_DEPTH": "1",
        "GIT_SYNC_ROOT": str(tmp_path / "v3"),
        "GIT_SYNC_DEST": "repo",
        "GIT_SYNC_WAIT": "5",
        "GIT_SYNC_MAX_SYNC_FAILURES": "0",
        "GIT_SYNC_ONE_TIME": "true",
    }
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **settings}
    subprocess.run([sys.executable, PROGRAM], env=environment, check=True, capture_output=True)
    assert (tmp_path / "v3/repo/dag.py").read_text() == "one"


@pytest.mark.parametrize("annotated", [False, True], ids=["light", "annotated"])
def test_tags_and_hashes(tmp_path: Path, repository: Path, annotated: bool) -> None:
    first = git(repository, "rev-parse", "HEAD")
    git(repository, "tag", *(["--annotate", "--message=m"] if annotated else []), "v1")
    commit(repository, "two")
    once(tmp_path, GITSYNC_REPO=str(repository), GITSYNC_REF="v1", GITSYNC_LINK="tag")
    assert (tmp_path / "root/tag/dag.py").read_text() == "one"
    git(repository, "config", "uploadpack.allowAnySHA1InWant", "true")
    once(tmp_path, GITSYNC_REPO=str(repository), GITSYNC_REF=first, GITSYNC_LINK="hash")
    assert (tmp_path / "root/hash/dag.py").read_text() == "one"


def test_a_new_commit_is_published_at_once_and_the_old_one_goes(tmp_path: Path, repository: Path) -> None:
    process = start(tmp_path, "--period=100ms", GITSYNC_REPO=str(repository), GITSYNC_LINK="repo")
    link = tmp_path / "root/repo"
    until(lambda: link.exists() and (link / "dag.py").read_text() == "one")
    head = commit(repository, "two")
    until(lambda: (link / "dag.py").read_text() == "two")
    until(lambda: [entry.name for entry in (tmp_path / "root/.worktrees").iterdir()] == [head])
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0


def test_a_damaged_checkout_is_mended(tmp_path: Path, repository: Path) -> None:
    settings = {"GITSYNC_REPO": str(repository), "GITSYNC_LINK": "repo"}
    once(tmp_path, **settings)
    (tmp_path / "root/repo/.git").unlink()
    assert once(tmp_path, **settings)[0] == 0
    assert git(tmp_path / "root/repo", "status", "--porcelain") == ""


def test_failures_are_counted_and_end_it(tmp_path: Path) -> None:
    code, errors = once(tmp_path, GITSYNC_REPO=str(tmp_path / "nowhere"), GITSYNC_MAX_FAILURES="2", GITSYNC_PERIOD="10ms")
    assert code == 1
    lines = [json.loads(line) for line in errors.splitlines()]
    assert [line["failCount"] for line in lines if line["msg"] == "error syncing repo"] == [1, 2, 3]


def test_an_unknown_ref_is_named(tmp_path: Path, repository: Path) -> None:
    code, errors = once(tmp_path, GITSYNC_REPO=str(repository), GITSYNC_REF="absent")
    assert code == 1
    assert f"{repository} has no branch or tag 'absent'" in errors


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "--repo (GITSYNC_REPO) must be given"),
        ({"GITSYNC_REPO": "x", "GITSYNC_PERIOD": "5 minutes"}, "invalid duration '5 minutes'"),
        ({"GITSYNC_REPO": "x", "GITSYNC_USERNAME": "me"}, "belong together"),
        ({"GITSYNC_REPO": "x", "GIT_SYNC_BRANCH": "a", "GIT_SYNC_REV": "b"}, "use --ref"),
        ({"GITSYNC_REPO": "x", "GITSYNC_ADD_USER": "maybe"}, "invalid boolean 'maybe'"),
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, settings: dict[str, str], message: str) -> None:
    code, errors = once(tmp_path, **settings)
    assert code == 1
    assert message in json.loads(errors)["msg"]


def test_probes_wait_for_the_first_sync(tmp_path: Path, repository: Path, unused_port: int) -> None:
    process = start(
        tmp_path,
        GITSYNC_REPO=str(tmp_path / "later"),
        GITSYNC_HTTP_BIND=f"127.0.0.1:{unused_port}",
        GITSYNC_PERIOD="100ms",
        GITSYNC_MAX_FAILURES="-1",
    )

    def status() -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{unused_port}/", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    until(lambda: status() == 503)
    repository.rename(tmp_path / "later")
    until(lambda: status() == 200)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])
