"""MinIO's own client `mc`: the scripts that stand in for a peer module, and the trace by which requests are counted at the server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from lab import components
from lab.loopback_minio import Server
from lab.object_store import ROOT_USER
from lab.shell import LabError

_SCRIPTS = Path(__file__).resolve().parent / "scripts"
_TRACE_LIMIT = 30
_MARK = "/end-of-measurement-"


class Mc:
    """The client of one server: it knows it as `bench`, by environment, so that no key is among any arguments."""

    def __init__(self, place: Path, server: Server) -> None:
        trusted = place / "config" / "certs" / "CAs"
        trusted.mkdir(parents=True)
        shutil.copyfile(server.ca, trusted / "ca.crt")
        self._server = server
        self._place = place
        address = server.url.removeprefix("https://")
        self._environment = {
            **os.environ,
            "PATH": f"{components.path('mc')}{os.pathsep}{os.environ['PATH']}",
            "MC_CONFIG_DIR": str(place / "config"),
            "MC_HOST_bench": f"https://{ROOT_USER}:{quote(server.root_password, safe='')}@{address}",
            "BENCH_ADDRESS": address,
        }

    def script(self, name: str, argument: Path) -> tuple[float, bool]:
        """Run one of the scripts: seconds, and whether it found anything to do."""
        argv = ["sh", str(_SCRIPTS / name), str(argument)]
        start = time.monotonic()
        result = subprocess.run(argv, env=self._environment, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise LabError(f"{name} failed:\n{result.stdout[-1000:]}{result.stderr[-1000:]}")
        return time.monotonic() - start, bool(result.stdout)

    @contextmanager
    def trace(self) -> Iterator[Trace]:
        """Watch the server's requests."""
        file = self._place / "trace.jsonl"
        # Both kinds of HTTP requests: those of S3 and those of the admin API, which MinIO calls internal.
        argv = ["mc", "admin", "trace", "--json", "--call", "s3", "--call", "internal", "bench"]
        with file.open("wb") as output:
            process = subprocess.Popen(argv, env=self._environment, stdout=output, stderr=output)
        try:
            yield Trace(self._server, process, file)
        finally:
            process.terminate()
            process.wait(30)


class Trace:
    """The server's own account of its requests, in their order."""

    def __init__(self, server: Server, process: subprocess.Popen[bytes], file: Path) -> None:
        self._server, self._process, self._file = server, process, file
        self._marks = 0
        self._seen = 0
        self.calls()

    def calls(self) -> list[str]:
        """The requests since the last time, as `admin.GetUserInfo`."""
        self._marks += 1
        mark = f"{_MARK}{self._marks}"
        deadline = time.monotonic() + _TRACE_LIMIT
        self._knock(mark)
        while (text := self._file.read_text()[self._seen :]).find(f'"{mark}"') < 0 or not text.endswith("\n"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise LabError(f"mc admin trace does not say what MinIO does:\n{text[-1000:]}")
            time.sleep(0.05)
            if self._marks == 1:
                # It may not have been listening yet.
                self._knock(mark)
        self._seen += len(text)
        return requests(text)

    def _knock(self, path: str) -> None:
        """A request that is told from all others: what came before it is in the trace before it."""
        self._server.http.request("GET", f"{self._server.url}{path}")


def requests(trace: str) -> list[str]:
    """The calls of a trace without its marks."""
    entries = map(json.loads, trace.splitlines())
    return [str(entry["api"]) for entry in entries if not entry["path"].startswith(_MARK)]
