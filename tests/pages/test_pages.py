"""The pages as people see them: a browser on the user's computer, the tunnel, the bastion, a NodePort, Traefik.

What it saw lies in the lab's state, as screenshots.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.settings import STATE
from tests.pages import chromium
from tests.pages.chromium import Browser, Page
from tests.pages.conftest import in_order
from tests.platform import pipeline
from tests.platform.reality import kubectl, wait_for
from tests.tunnel import ADDRESS, Computer


@pytest.fixture(scope="session")
def browser(computer: Computer) -> Iterator[Browser]:
    """A browser there."""
    with chromium.running(computer.inside) as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Page:
    """A tab."""
    return browser.page()


@pytest.fixture(scope="session")
def images() -> Path:
    """Where screenshots go."""
    folder = STATE / "screenshots"
    folder.mkdir(exist_ok=True)
    return folder


def test_the_login_page_of_airflow(page: Page, images: Path) -> None:
    page.open(f"{ADDRESS}/")
    in_order(page)
    assert "Sign In" in page.text
    assert any(answer.url.endswith(".css") for answer in page.answers)
    page.screenshot(images / "airflow-login.png")


def test_a_running_application_has_its_pages(page: Page, computer: Computer, application: str, images: Path) -> None:
    base = f"/spark-jobs/{application}"
    wait_for("a job that is done", lambda: '"SUCCEEDED"' in computer.fetch(f"{base}/api/v1/applications/{spark_id(application)}/jobs"), 300)
    page.open(f"{ADDRESS}{base}")
    assert page.url == f"{ADDRESS}{base}/jobs/"
    in_order(page)
    page.screenshot(images / "spark-application-jobs.png")
    for tab in ("Stages", "Environment", "Executors", "Jobs"):
        page.follow(tab)
        in_order(page)
        assert page.url == f"{ADDRESS}{base}/{tab.lower()}/"
        if tab == "Executors":
            assert "driver" in page.text, "the table comes by a request of its own"
        if tab in ("Stages", "Executors"):
            page.screenshot(images / f"spark-application-{tab.lower()}.png")


def test_an_ended_application_is_in_the_history(page: Page, computer: Computer, application: str, images: Path) -> None:
    pipeline.release(application)
    identity = pipeline.completed(application)
    wait_for(f"{identity} in the History Server", lambda: identity in computer.fetch("/spark-history/api/v1/applications"), 120)
    # Its own page is gone; whoever still has the address finds the ended ones there.
    for address in ("/spark-history", f"/spark-jobs/{application}/jobs/"):
        page.open(f"{ADDRESS}{address}")
        in_order(page)
        assert "History Server" in page.text
    page.screenshot(images / "spark-history.png")
    page.follow(identity)
    assert page.url == f"{ADDRESS}/spark-history/history/{identity}/jobs/"
    in_order(page)
    for tab in ("Stages", "Executors"):
        page.follow(tab)
        in_order(page)
    assert "driver" in page.text
    page.screenshot(images / "spark-history-executors.png")


def spark_id(application: str) -> str:
    """Spark's id of a running application."""
    words = ("get", "sparkapplication", "--namespace", "spark-jobs", application, "--output=jsonpath={.status.sparkApplicationId}")
    return kubectl(*words)
