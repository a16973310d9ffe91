"""The control host as the role leaves it: what it has to run runs, what was damaged is mended, check mode wants it prepared."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from lab.settings import BASTION, CHECKOUT, INVENTORY
from tests.platform.reality import on
from tests.playbook import Site, changed

PLACE = "/opt/data-platform"
TAG = ("site.yml", "--tags", "control_host")


@pytest.fixture
def site() -> Site:
    return Site(INVENTORY)


@pytest.fixture
def unprepared() -> Iterator[None]:
    """A control host on which the role never ran."""
    on(BASTION, f"mv {PLACE} {PLACE}.aside")
    yield
    on(BASTION, f"sh -c 'rm -rf {PLACE} && mv {PLACE}.aside {PLACE}'")


def test_the_packages_are_those_of_the_lock() -> None:
    lock = (CHECKOUT / "roles/control_host/files/requirements.txt").read_text()
    locked = dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock, re.MULTILINE))
    listed = on(BASTION, f"{PLACE}/venv/bin/python -m pip list --format=freeze")
    found = {name.lower().replace("_", "-"): version for name, version in re.findall(r"^(\S+)==(\S+)$", listed, re.MULTILINE)}
    assert {name: found.get(name.lower().replace("_", "-")) for name in locked} == locked
    on(BASTION, f"{PLACE}/venv/bin/python -c 'import boto3, cryptography, kubernetes, minio, proxmoxer'")


def test_helm_runs_and_belongs_to_an_ordinary_user() -> None:
    assert on(BASTION, f"{PLACE}/bin/helm version --short").startswith("v3.")
    assert on(BASTION, f"stat --format=%U:%a {PLACE} {PLACE}/bin/helm").split() == ["debian:755", "debian:755"]


def test_what_was_damaged_is_mended_by_the_next_run(site: Site) -> None:
    on(BASTION, f"rm -r {PLACE}/venv/bin/python {PLACE}/bin/helm {PLACE}/ca.crt")
    assert changed(site.play(*TAG))[BASTION.name] > 0
    on(BASTION, f"{PLACE}/venv/bin/python -c 'import kubernetes'")
    on(BASTION, f"{PLACE}/bin/helm version")
    assert "BEGIN CERTIFICATE" in on(BASTION, f"cat {PLACE}/ca.crt")
    assert changed(site.play(*TAG))[BASTION.name] == 0


@pytest.mark.usefixtures("unprepared")
def test_check_mode_asks_for_it_in_one_line(site: Site) -> None:
    done = site.play("site.yml", "--check")
    assert done.returncode == 2
    told = re.sub(r"\s+", " ", done.stdout)
    assert "vm-bastion has no tools in /opt/data-platform yet, and check mode needs them." in told
    assert "Run the same command once with `--tags control_host` and without `--check`." in told
    assert done.stdout.count("fatal:") == 1
