"""Without a network the message names the package, for each of the real clients."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from lab.components import go, maven, python
from lab.components.base import REQUIREMENTS
from lab.components.host import missing
from lab.components.run import CommandError, Job

NOWHERE = "http://127.0.0.1:9"
"""The discard port: nothing listens there."""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job("thing", tmp_path / "log", lambda step: None, lambda name: tmp_path)


def test_go_names_the_module(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not go.machine_go():
        pytest.skip("there is no Go on this machine")
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    coredns = next(tool for tool in go.TOOLS if tool.name == "coredns")
    environment = {**go.environment(), "GOPROXY": NOWHERE}
    with pytest.raises(CommandError, match=r"^thing: could not get [\w./-]+@v[\d.]+: the package source does not answer") as caught:
        job.run(["go", "mod", "download"], cwd=coredns.directory, env=environment)
    assert "\n" not in str(caught.value)


def test_uv_names_the_package(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    for name in [name for name in os.environ if name.startswith(("UV_", "PIP_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{NOWHERE}/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(CommandError, match=r"could not get (py4j|pyspark): the package source does not answer"):
        python.install(REQUIREMENTS / "spark.txt", tmp_path / "packages", job)


def test_curl_names_the_archive(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAVEN_CENTRAL", NOWHERE)
    with pytest.raises(CommandError, match=r"could not get hadoop-aws-[\d.]+\.jar: the package source does not answer"):
        maven.fetch(REQUIREMENTS / "spark-s3a.sha256", tmp_path / "jars", job)


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="there is no apt on this machine")
def test_apt_names_the_package_list(job: Job, tmp_path: Path) -> None:
    (tmp_path / "lists/partial").mkdir(parents=True)
    (tmp_path / "sources.list").write_text(f"deb [trusted=yes] {NOWHERE}/debian bookworm main\n")
    options = {
        "Dir::Etc::sourcelist": "sources.list",
        "Dir::Etc::sourceparts": "none",
        "Dir::State::lists": "lists",
        "Acquire::Retries": "0",
    }
    for name, value in options.items():
        options[name] = str(tmp_path / value) if name.startswith("Dir") else value
    words = [f"--option={name}={value}" for name, value in options.items()]
    with pytest.raises(CommandError, match=r"could not get bookworm/InRelease: the package source does not answer"):
        job.run(["apt-get", "update", "--error-on=any", *words])


def test_a_program_that_is_not_there_is_named(job: Job) -> None:
    with pytest.raises(CommandError, match="thing: mmdebstrop is not installed on this machine"):
        job.run(["mmdebstrop"])


def test_other_failures_end_with_the_last_words(job: Job) -> None:
    with pytest.raises(CommandError, match=r"thing: sh ended with 4; the whole output is in .*log\n  it is\n  too late$"):
        job.run(["sh", "-c", "echo it is; echo too late >&2; exit 4"])
    assert "too late" in job.log.read_text()


def test_missing_packages_are_found() -> None:
    assert missing(("dpkg", "no-such-package-at-all")) == ["no-such-package-at-all"]
