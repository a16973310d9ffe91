"""What the checks of a converged lab share."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.settings import STATE
from tests.platform.reality import s3, secret


@pytest.fixture(scope="session")
def airflow_keys() -> dict[str, str]:
    """The keys that Airflow has for the object store."""
    return secret("airflow", "airflow-object-store")


@pytest.fixture(scope="session")
def airflow_store(airflow_keys: dict[str, str]) -> Any:
    """The object store as Airflow may use it."""
    return s3(airflow_keys["access-key"], airflow_keys["secret-key"])


OUTSIDE = ["nsenter", f"--net={os.environ['LAB_OUTSIDE']}"]
"""Runs a command where the lab's user is: on the machine itself, not in the lab's LAN."""


@pytest.fixture
def tunnel() -> Iterator[Callable[[str], str]]:
    """The tunnel as its user opens it; yields what fetches a page through it."""
    first_line = (STATE / "tunnel.ssh_config").read_text().splitlines()[0]
    process = subprocess.Popen([*OUTSIDE, *shlex.split(first_line.partition("Open with: ")[2])], stderr=subprocess.PIPE)

    def fetch(path: str) -> str:
        argv = [*OUTSIDE, "curl", "--silent", "--fail", "--max-time", "10", f"http://127.0.0.1:8080{path}"]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout

    try:
        yield fetch
    finally:
        process.terminate()
        process.wait(10)
