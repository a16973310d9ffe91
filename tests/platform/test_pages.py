"""Every page and whatever it is made of, through tunnel and ingress: fetched as a browser would, without one."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import pytest

from tests.platform import pipeline
from tests.platform.conftest import Run
from tests.platform.reality import wait_for
from tests.tunnel import ADDRESS, Computer


class References(HTMLParser):
    """What a page links to and is made of, on the same server."""

    def __init__(self, page: str, content: str) -> None:
        """Read a page."""
        super().__init__()
        self.page = page
        self.found: set[str] = set()
        self.feed(content)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Take note of an address."""
        for name, value in attributes:
            if name in ("href", "src") and value and not value.startswith(("#", "javascript:", "data:", "mailto:")):
                address = urlsplit(urljoin(f"{ADDRESS}{self.page}", value))
                if address.netloc == urlsplit(ADDRESS).netloc:
                    self.found.add(address.path + (f"?{address.query}" if address.query else ""))


def bad(computer: Computer, page: str) -> dict[str, int]:
    """What a page refers to and what is not served, with its status."""
    content = wait_for(f"the page {page}", lambda: computer.fetch(page), 60)
    references = References(page, content).found
    assert references, f"{page} refers to nothing:\n{content}"
    answers = {reference: computer.status(reference) for reference in references}
    return {reference: status for reference, status in answers.items() if status not in (200, 302) or "//" in reference}


@pytest.fixture(scope="module")
def running() -> Iterator[str]:
    """The name of an application whose pages are open."""
    with pipeline.waiting() as name:
        yield name


def test_pages_of_airflow(computer: Computer) -> None:
    assert bad(computer, "/login/") == {}


def test_pages_of_a_running_application(computer: Computer, running: str) -> None:
    base = f"/spark-jobs/{running}"
    # Until it answers, the History Server stands in for it, which would not answer this with a list.
    wait_for(f"the pages below {base}", lambda: computer.fetch(f"{base}/api/v1/applications").startswith("["), 180)
    for page in ("jobs", "stages", "environment", "executors"):
        assert bad(computer, f"{base}/{page}/") == {}


def test_pages_of_the_history_server(computer: Computer, run: Run) -> None:
    for page in ("/spark-history/", f"/spark-history/history/{run.spark_id}/jobs/", f"/spark-history/history/{run.spark_id}/executors/"):
        assert bad(computer, page) == {}
