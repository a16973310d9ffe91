"""What the checks of a converged lab share."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
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


@pytest.fixture
def tunnel() -> Iterator[str]:
    """The tunnel as its user opens it; yields the address of its local end."""
    process = subprocess.Popen(["ssh", "-F", str(STATE / "tunnel.ssh_config"), "-N", "data-platform-tunnel"], stderr=subprocess.PIPE)
    try:
        yield "http://127.0.0.1:8080"
    finally:
        process.terminate()
        process.wait(10)
