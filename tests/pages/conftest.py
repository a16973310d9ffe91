"""What the looks at pages share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import tunnel
from tests.pages.chromium import Page
from tests.platform import pipeline
from tests.tunnel import Computer


@pytest.fixture(scope="session")
def computer() -> Iterator[Computer]:
    """The user's computer, with the tunnel open."""
    with tunnel.opened() as computer:
        yield computer


@pytest.fixture(scope="module")
def application() -> Iterator[str]:
    """The name of an application that waits, with its pages open."""
    with pipeline.waiting() as name:
        yield name


def in_order(page: Page) -> None:
    """Everything that the page asked for was served, and nothing from a doubled path."""
    assert page.answers
    assert [answer for answer in page.answers if answer.status not in (200, 302)] == []
    assert [url for url in (*page.links(), *(answer.url for answer in page.answers)) if "//" in url.partition("://")[2]] == []
