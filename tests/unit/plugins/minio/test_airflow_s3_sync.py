# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The script that keeps a directory as a prefix of a bucket is, against a real MinIO."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import certifi
import pytest

from tests.unit.plugins.airflow.declared import ROLE
from tests.unit.plugins.minio.conftest import ROOT, Server

SCRIPT = ROLE / "files/s3_sync.py"


@pytest.fixture(name="s3")
def fixture_s3(minio: Server, name: str) -> Iterator[Any]:
    """A client of the server, with a bucket of the test's name."""
    client = minio.s3()
    client.create_bucket(Bucket=name)
    yield client
    for entry in client.list_objects_v2(Bucket=name).get("Contents", []):
        client.delete_object(Bucket=name, Key=entry["Key"])
    client.delete_bucket(Bucket=name)


def environment(minio: Server, bucket: str, directory: Path, period: int = 0, **changes: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "DAGS_BUCKET": bucket,
        "DAGS_PREFIX": "team/dags",
        "DAGS_DIRECTORY": str(directory),
        "DAGS_LINK": "current",
        "DAGS_PERIOD": str(period),
        "AWS_ACCESS_KEY_ID": ROOT,
        "AWS_SECRET_ACCESS_KEY": minio.root_password,
        "AWS_ENDPOINT_URL_S3": minio.url,
        "AWS_REGION": minio.region,
        "AWS_CA_BUNDLE": str(minio.ca),
        **changes,
    }


def once(settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", SCRIPT.read_text()], env=settings, capture_output=True, text=True, check=False, timeout=60)


def tree(directory: Path) -> dict[str, str]:
    current = directory / "current"
    return {str(path.relative_to(current)): path.read_text() for path in current.rglob("*") if path.is_file()}


def test_directory_follows_the_bucket(minio: Server, s3: Any, name: str, tmp_path: Path) -> None:
    s3.put_object(Bucket=name, Key="team/dags/a.py", Body=b"a = 1\n")
    s3.put_object(Bucket=name, Key="team/dags/deep/b.py", Body=b"b = 1\n")
    s3.put_object(Bucket=name, Key="team/dags/deep/", Body=b"")
    s3.put_object(Bucket=name, Key="team/dags-of-others/c.py", Body=b"c = 1\n")
    settings = environment(minio, name, tmp_path)
    assert once(settings).stdout == f"s3://{name}/team/dags/: 2 objects\n"
    assert tree(tmp_path) == {"a.py": "a = 1\n", "deep/b.py": "b = 1\n"}
    before = (tmp_path / "current").resolve()
    assert once(settings).stdout == ""
    s3.delete_object(Bucket=name, Key="team/dags/a.py")
    s3.put_object(Bucket=name, Key="team/dags/deep/b.py", Body=b"b = 2\n")
    assert once(settings).returncode == 0
    assert tree(tmp_path) == {"deep/b.py": "b = 2\n"}
    assert (before / "a.py").exists(), "who reads the state before may end in peace"
    s3.put_object(Bucket=name, Key="team/dags/d.py", Body=b"")
    assert once(settings).returncode == 0
    assert not before.exists()
    assert len(list((tmp_path / ".states").iterdir())) == 2


def test_what_fails_publishes_nothing_and_says_why_in_one_line(minio: Server, s3: Any, name: str, tmp_path: Path) -> None:
    s3.put_object(Bucket=name, Key="team/dags/a.py", Body=b"a = 1\n")
    assert once(environment(minio, name, tmp_path)).returncode == 0
    for change, said in (
        ({"DAGS_BUCKET": f"{name}-x"}, "NoSuchBucket"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "SignatureDoesNotMatch"),
        ({"AWS_CA_BUNDLE": certifi.where()}, "SSL validation failed"),
        ({"AWS_ENDPOINT_URL_S3": "minio"}, "Invalid endpoint"),
        ({"AWS_ENDPOINT_URL_S3": "https://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"}, "Could not connect"),
    ):
        done = once({**environment(minio, name, tmp_path), **change})
        assert done.returncode == 1
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert tree(tmp_path) == {"a.py": "a = 1\n"}


@pytest.mark.parametrize("key", ["team/dags//etc/x.py", "team/dags/../x.py", "team/dags/a/../../x.py"])
def test_name_that_leads_out_of_the_directory_is_refused(key: str) -> None:
    # MinIO itself takes no such name, others do.
    inside = runpy.run_path(str(SCRIPT))["inside"]
    with pytest.raises(ValueError, match="leads out of the directory"):
        inside(key, "team/dags/")
    assert inside("team/dags/a/b..c.py", "team/dags/") == "a/b..c.py"


def test_nothing_in_the_bucket_is_a_state_too(minio: Server, s3: Any, name: str, tmp_path: Path) -> None:
    assert once(environment(minio, name, tmp_path)).returncode == 0
    assert (tmp_path / "current").is_dir()
    assert tree(tmp_path) == {}


def test_sidecar_goes_on_and_ends_when_told(minio: Server, s3: Any, name: str, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", SCRIPT.read_text()]
    process = subprocess.Popen(argv, env=environment(minio, name, tmp_path, period=1), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == f"s3://{name}/team/dags/: 0 objects\n"
    s3.put_object(Bucket=name, Key="team/dags/a.py", Body=b"a = 1\n")
    assert process.stdout.readline() == f"s3://{name}/team/dags/: 1 objects\n"
    process.terminate()
    assert process.wait(60) == 0


def test_sidecar_that_is_told_to_end_does_not_wait_out_its_period(minio: Server, s3: Any, name: str, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", SCRIPT.read_text()]
    process = subprocess.Popen(argv, env=environment(minio, name, tmp_path, period=3600), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline()
    process.terminate()
    assert process.wait(60) == 0
