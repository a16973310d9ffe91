"""The declaration for the virtual machine, and its owner's hands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lab.settings import INVENTORY, WORKER_1
from tests.playbook import Site, changed
from tests.proxmox import VirtualMachine

Run = Callable[..., int]

STORAGE = ("playbooks/storage.yml", "--tags=virtual_disk,filesystem", f"--limit={WORKER_1.name}")


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Declare these disks and run the disk and filesystem roles; returns how many tasks changed something."""
    site = Site.copy(tmp_path_factory.mktemp("vm"))

    def converge(*disks: dict[str, Any]) -> int:
        site.declare(WORKER_1, data_disks=list(disks))
        # Without KVM, every instruction of the guest is translated.
        return changed(site.play(*STORAGE, ANSIBLE_TIMEOUT="60"))[WORKER_1.name]

    return converge


@pytest.fixture(scope="session")
def data() -> dict[str, Any]:
    """The disk that the lab's inventory declares for the node."""
    (disk,) = Site(INVENTORY).variables(WORKER_1)["data_disks"]
    return dict(disk)


@pytest.fixture(scope="session")
def virtual() -> VirtualMachine:
    """The virtual machine, with what its owner may do to it."""
    return VirtualMachine(WORKER_1, privileges=["VM.Audit", "VM.Config.Disk", "VM.Config.HWType", "VM.PowerMgmt"])
