"""What tools/setup.sh has made of the environment that the tests run in."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


@pytest.mark.parametrize("library", ["kubernetes.client", "minio", "proxmoxer", "ansible.executor"])
def test_the_libraries_are_compiled(library: str) -> None:
    # Without bytecode each run of a module on this machine compiles Kubernetes' client anew, for 3 s.
    found = importlib.util.find_spec(library)
    assert found and found.origin
    assert Path(importlib.util.cache_from_source(found.origin)).is_file()
