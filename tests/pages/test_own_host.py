"""The pages below a host of one's own: TLS ends at the ingress controller, with the certificate from the declared Secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from lab.certificates import Authority, Pair
from lab.settings import INVENTORY
from tests import own_host
from tests.own_host import AIRFLOW_PATH, HOST
from tests.pages import chromium
from tests.pages.chromium import Page
from tests.pages.conftest import in_order
from tests.platform import pipeline
from tests.platform.reality import secret, wait_for
from tests.playbook import Site, changed
from tests.tunnel import Computer

PORT = 8080
ADDRESS = f"https://{HOST}:{PORT}"
"""On the user's computer the name leads into the tunnel."""
NAMESPACES = ("airflow", "spark-jobs", "spark-history")
SITE = Site(INVENTORY)


def deploy(**variables: str) -> dict[str, int]:
    """Run the roles that have pages, with these variables beside those of the inventory; the number of changes on each host."""
    tags = "ingress_controller,airflow,spark_operator,spark_history_server"
    return changed(SITE.play("playbooks/site.yml", "--tags", tags, "--extra-vars", json.dumps(variables)))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signed the host's certificate."""
    return Authority(tmp_path_factory.mktemp("certificates"), "pages").create()


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    """The certificate of the host."""
    return authority.issue("data", HOST, names=[HOST])


@pytest.fixture(scope="module", autouse=True)
def _declared(pair: Pair) -> Iterator[None]:
    """The host is declared, its certificate lies in each namespace with pages; in the end all is as the inventory has it."""
    own_host.put_certificate(pair, *NAMESPACES)
    declared = own_host.declaration(PORT)
    deploy(**declared)
    assert not any(deploy(**declared).values())
    yield
    deploy()
    own_host.remove_certificate(*NAMESPACES)


@pytest.fixture(scope="module", name="computer")
def fixture_computer(computer: Computer, authority: Authority) -> Computer:
    """The user's computer, where the name leads into the tunnel and whoever signed its certificate is trusted."""
    trusting = ("--resolve", f"{HOST}:{PORT}:127.0.0.1", "--cacert", str(authority.certificate))
    return replace(computer, address=ADDRESS, options=trusting)


@pytest.fixture(scope="module")
def page(computer: Computer, pair: Pair) -> Iterator[Page]:
    """A tab of a browser there, which takes the host's certificate and no other."""
    with chromium.running(computer.inside, *own_host.browser_options(pair, "127.0.0.1")) as browser:
        yield browser.page()


def test_one_logs_in_to_airflow_below_its_path(page: Page) -> None:
    page.open(f"{ADDRESS}{AIRFLOW_PATH}/")
    in_order(page)
    page.submit(username="admin", password=secret("airflow", "airflow-admin")["password"])
    in_order(page)
    assert page.url == f"{ADDRESS}{AIRFLOW_PATH}/home"
    assert "word_count" in page.text


def test_an_application_has_its_pages_and_then_its_history(page: Page, computer: Computer, application: str) -> None:
    path = f"/spark-jobs/{application}"
    wait_for(f"the pages below {path}", lambda: computer.fetch(f"{path}/api/v1/applications").startswith("["), 180)
    page.open(f"{ADDRESS}{path}")
    assert page.url == f"{ADDRESS}{path}/jobs/"
    in_order(page)
    pipeline.release(application)
    identity = pipeline.completed(application)
    wait_for(f"{identity} in the History Server", lambda: identity in computer.fetch("/spark-history/api/v1/applications"), 120)
    page.open(f"{ADDRESS}/spark-history")
    in_order(page)
    page.follow(identity)
    assert page.url == f"{ADDRESS}/spark-history/history/{identity}/jobs/"
    in_order(page)
