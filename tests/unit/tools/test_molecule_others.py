"""What tools/molecule-others.sh does when a scenario fails; a program named molecule that keeps its arguments stands for the scenarios."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from lab.settings import CHECKOUT

SCENARIOS = sorted(file.parent.name for file in CHECKOUT.glob("molecule/*/molecule.yml") if file.parent.name != "default")


def run(folder: Path, failing: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run them with scenarios that fail; returns what was said, and what was run."""
    program = folder / "molecule"
    program.write_text(f'#!/bin/sh\necho "$3" >> {folder}/ran\ncase " {failing} " in *" $3 "*) exit 1 ;; esac\n')
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run([CHECKOUT / "tools/molecule-others.sh"], env=environment, capture_output=True, text=True, check=False)
    return done, (folder / "ran").read_text().split()


def test_every_scenario_runs_although_some_fail(tmp_path: Path) -> None:
    done, ran = run(tmp_path, "airflow storage")
    assert ran == SCENARIOS
    assert done.returncode == 1
    assert done.stderr == "These scenarios failed: airflow storage\n"


def test_all_is_well(tmp_path: Path) -> None:
    done, ran = run(tmp_path, "")
    assert (done.returncode, done.stderr, ran) == (0, "", SCENARIOS)
