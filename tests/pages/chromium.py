"""Chromium without a screen, spoken to over its DevTools protocol: what it asked for, what it got, and what is to be seen."""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import components

SECONDS = 90
"""For a page on a small machine."""
QUIET = 2
"""Scripts ask for more once a page is loaded; when nothing has happened for so many seconds, they have what they want."""
START = """
mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && mount -t tmpfs tmpfs "$0/tmp" &&
exec chroot "$0" "$@" 3<&0 4>&1 1>&2
"""
"""The browser has a root filesystem of its own; its pipes are descriptors 3 and 4."""
OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-background-networking"),
    *("--user-data-dir=/tmp/profile", "--remote-debugging-pipe", "--window-size=1280,720", "about:blank"),
)


@dataclass(frozen=True)
class Answer:
    """What came of one request of a page."""

    url: str
    status: int
    """0 where no answer came."""


@dataclass
class Page:
    """One tab."""

    browser: Browser
    session: str
    answers: list[Answer] = field(default_factory=list)
    """What came of everything asked for since the last address or link."""

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol on this tab."""
        return self.browser.call(method, self.session, **parameters)

    def open(self, url: str) -> None:
        """Go to an address, and wait until all that it asked for is there."""
        self._go(lambda: self.call("Page.navigate", url=url))

    def follow(self, text: str) -> None:
        """Click the link with this text, and wait likewise."""
        wanted = json.dumps(text)
        found = f"[...document.querySelectorAll('a')].find(a => a.innerText.trim() === {wanted})"
        assert self.evaluate(f"!!({found})"), f"{self.url} has no link {text!r}"
        self._go(lambda: self.evaluate(f"{found}.click()"))

    def submit(self, **fields: str) -> None:
        """Fill in the form that has these fields, send it, and wait likewise."""
        found = {name: f"document.querySelector('form [name={name}]')" for name in fields}
        for name, value in fields.items():
            assert self.evaluate(f"!!{found[name]}"), f"{self.url} has no field {name!r}"
            self.evaluate(f"{found[name]}.value = {json.dumps(value)}")
        self._go(lambda: self.evaluate(f"{next(iter(found.values()))}.form.submit()"))

    @property
    def url(self) -> str:
        """Where it is."""
        return str(self.evaluate("location.href"))

    @property
    def text(self) -> str:
        """What is to be read on it."""
        return str(self.evaluate("document.body.innerText"))

    def links(self) -> list[str]:
        """The addresses that it links to."""
        found: list[str] = self.evaluate(
            "[...document.querySelectorAll('a[href]')].map(a => new URL(a.getAttribute('href'), document.baseURI).href)"
        )
        return found

    def evaluate(self, expression: str) -> Any:
        """What an expression of JavaScript comes to."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def screenshot(self, file: Path) -> None:
        """Keep what is to be seen."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def _go(self, start: Callable[[], Any]) -> None:
        traffic = Traffic()
        self.answers = traffic.answers
        self.browser.events.clear()
        start()
        for event in self.browser.until(time.monotonic() + SECONDS):
            traffic.note(event.get("method", ""), event.get("params", {}))
            if traffic.loaded and not traffic.open and traffic.quiet > QUIET:
                return
        raise AssertionError(f"not loaded within {SECONDS} s: {sorted(traffic.open.values())}")


@dataclass
class Traffic:
    """What a page asks for and gets."""

    answers: list[Answer] = field(default_factory=list)
    open: dict[str, str] = field(default_factory=dict)
    """The requests that have no end yet, and their addresses."""
    loaded: bool = False
    last: float = field(default_factory=time.monotonic)

    @property
    def quiet(self) -> float:
        """How long nothing has happened."""
        return time.monotonic() - self.last

    def note(self, method: str, event: Mapping[str, Any]) -> None:
        """Take note of an event of the protocol."""
        if method:
            self.last = time.monotonic()
        if method == "Page.frameNavigated" and "parentId" not in event["frame"]:
            # What the page before had asked for is nobody's any more, and may have no end.
            self.open = {key: url for key, url in self.open.items() if key == event["frame"]["loaderId"]}
        elif method == "Network.requestWillBeSent" and event["request"]["url"].startswith("http"):
            if redirect := event.get("redirectResponse"):
                self.answers.append(Answer(redirect["url"], redirect["status"]))
            self.open[event["requestId"]] = event["request"]["url"]
        elif method == "Network.responseReceived":
            self.answers.append(Answer(event["response"]["url"], event["response"]["status"]))
        elif method == "Network.loadingFinished":
            self.open.pop(event["requestId"], None)
        elif method == "Network.loadingFailed" and event["requestId"] in self.open:
            url = self.open.pop(event["requestId"])
            if not event.get("canceled"):
                self.answers.append(Answer(url, 0))
        elif method == "Page.loadEventFired":
            self.loaded = True


class Browser:
    """A running Chromium."""

    def __init__(self, reader: int, writer: int) -> None:
        """Speak to it over these descriptors."""
        self._reader, self._writer = reader, writer
        self._count = 0
        self._rest = b""
        self.events: list[dict[str, Any]] = []

    def page(self) -> Page:
        """Open a tab that says what it asks for."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        page = Page(self, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
        for domain in ("Page", "Network", "Runtime"):
            page.call(f"{domain}.enable")
        return page

    def call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol; what happens meanwhile is kept."""
        self._count += 1
        number = self._count
        request = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        os.write(self._writer, json.dumps(request).encode() + b"\0")
        for message in self._messages(time.monotonic() + SECONDS):
            if message.get("id") == number:
                assert "error" not in message, f"{method}: {message['error']}"
                result: dict[str, Any] = message["result"]
                return result
            self.events.append(message)
        raise AssertionError(f"no answer to {method} within {SECONDS} s")

    def until(self, deadline: float) -> Iterator[dict[str, Any]]:
        """What happens, until a moment."""
        while time.monotonic() < deadline:
            while self.events:
                yield self.events.pop(0)
            self.events.extend(self._some(min(1.0, deadline - time.monotonic())))
            # Also when nothing happens: the caller may have all that it waits for.
            yield {}

    def _messages(self, deadline: float) -> Iterator[dict[str, Any]]:
        while time.monotonic() < deadline:
            yield from self._some(deadline - time.monotonic())

    def _some(self, seconds: float) -> Sequence[dict[str, Any]]:
        if not select.select([self._reader], [], [], max(seconds, 0))[0]:
            return []
        found = os.read(self._reader, 1 << 20)
        assert found, "the browser has ended"
        *whole, self._rest = (self._rest + found).split(b"\0")
        return [json.loads(message) for message in whole]


@contextmanager
def running(inside: Sequence[str], *options: str) -> Iterator[Browser]:
    """Run Chromium on a computer, with further options; `inside` is what runs a command there."""
    root = components.path("browser") / "rootfs"
    argv = [*inside, *("unshare", "--mount", "--pid", "--fork", "--kill-child"), "sh", "-c", START, str(root)]
    process = subprocess.Popen(
        [*argv, "chromium-headless-shell", *options, *OPTIONS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
    )
    assert process.stdin and process.stdout
    try:
        yield Browser(process.stdout.fileno(), process.stdin.fileno())
    finally:
        process.kill()
        process.wait(10)
