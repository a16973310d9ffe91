# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The script that fetches jars, as its container runs it; the jars, against the lab's lock."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import yaml

from lab.settings import CHECKOUT

SCRIPT = CHECKOUT / "roles/spark_history_server/files/fetch_jars.py"
CONTENT = bytes(range(256)) * 8192


def fetch(source: Path, target: Path, wanted: bytes = CONTENT) -> subprocess.CompletedProcess[str]:
    """Run the script for one jar; a directory serves it."""
    target.mkdir(exist_ok=True)
    jar = f"file://{source}#sha256={hashlib.sha256(wanted).hexdigest()}"
    return subprocess.run([sys.executable, str(SCRIPT), str(target), jar], capture_output=True, text=True, check=False)


def test_what_is_fetched_once_is_kept(tmp_path: Path) -> None:
    source, target = tmp_path / "thing-1.jar", tmp_path / "jars"
    source.write_bytes(CONTENT)
    assert fetch(source, target).returncode == 0
    source.unlink()
    again = fetch(source, target)
    assert again.returncode == 0, again.stderr
    (jar,) = target.iterdir()
    assert (jar.name, jar.read_bytes()) == ("thing-1.jar", CONTENT)


def test_another_file_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "thing-1.jar"
    source.write_bytes(b"something else")
    refused = fetch(source, tmp_path / "jars")
    assert refused.returncode == 1
    assert f"has the SHA-256 {hashlib.sha256(b'something else').hexdigest()}, spark_history_server_jars says" in refused.stderr
    assert list((tmp_path / "jars").iterdir()) == []


def test_what_cannot_be_had_is_one_line(tmp_path: Path) -> None:
    refused = fetch(tmp_path / "thing-1.jar", tmp_path / "jars")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"file://{tmp_path}/thing-1.jar cannot be had: ")
    assert "Traceback" not in refused.stderr


def test_the_lab_runs_the_very_jars_that_are_fetched_elsewhere() -> None:
    versions = yaml.safe_load((CHECKOUT / "roles/platform/defaults/main/versions.yml").read_text())
    fetched = {jar["url"].removeprefix("{{ platform_maven_url }}/"): jar["sha256"] for jar in versions["platform_spark_s3a_jars"]}
    lines = (CHECKOUT / "lab/requirements/spark-s3a.sha256").read_text().splitlines()
    assert fetched == {place: digest for digest, place in (line.split() for line in lines)}
