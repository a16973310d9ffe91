"""A git server: `git http-backend` behind HTTPS, with the repository of example DAGs.

Run as `python -m lab.git_server`; reads its places from the lab's settings.
"""

from __future__ import annotations

import asyncio
import os
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lab import pki
from lab.service import Service
from lab.settings import CHECKOUT, DOMAIN, GIT, GIT_REPOSITORY, STATE
from lab.shell import in_namespace, run

ROOT = STATE / "git"
URL = f"https://{GIT.name}.{DOMAIN}/{GIT_REPOSITORY}.git"
_DAGS = CHECKOUT / "examples" / "dags"
_AUTHOR = ("-c", "user.name=lab", "-c", f"user.email=lab@{DOMAIN}")


def service() -> Service:
    """The server as a program of the lab."""
    return Service("git-server", [sys.executable, "-m", "lab.git_server"], GIT, _answers, {"PYTHONPATH": str(CHECKOUT)})


def seed() -> None:
    """Create the repository with the example DAGs, once; later pushes are the user's own."""
    repository = ROOT / f"{GIT_REPOSITORY}.git"
    if (repository / "refs/heads/main").exists() or (repository / "packed-refs").exists():
        return
    run(["git", "init", "--quiet", "--bare", "--initial-branch=main", repository])
    run(["git", "-C", repository, "config", "http.receivepack", "true"])
    work = ROOT / "seed"
    run(["rm", "-rf", work])
    run(["git", "init", "--quiet", "--initial-branch=main", work])
    run(["cp", "-r", _DAGS, work / "dags"])
    run(["git", "-C", work, "add", "--all"])
    run(["git", "-C", work, *_AUTHOR, "commit", "--quiet", "-m", "Example DAGs"])
    run(["git", "-C", work, "push", "--quiet", repository, "main"])
    run(["rm", "-rf", work])


async def _backend(request: Request) -> Response:
    """Serve one request by git's own CGI program."""
    length = request.headers.get("content-length", "")
    environment = {
        "PATH": os.environ["PATH"],
        "GIT_PROJECT_ROOT": str(ROOT),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
        "HTTP_CONTENT_ENCODING": request.headers.get("content-encoding", ""),
        "PATH_INFO": request.url.path,
        "QUERY_STRING": request.url.query,
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("content-type", ""),
        "CONTENT_LENGTH": length,
        "REMOTE_USER": "lab",
        "REMOTE_ADDR": request.client.host if request.client else "",
    }
    process = await asyncio.create_subprocess_exec(
        "git", "-c", "safe.directory=*", "http-backend", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=environment
    )
    output, _ = await process.communicate(await request.body())
    head, _, body = output.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
    status = int(headers.pop("Status", "200").split()[0])
    return Response(body, status, headers)


def _answers() -> bool:
    url = f"https://{GIT.address}/{GIT_REPOSITORY}.git/info/refs?service=git-upload-pack"
    argv = [
        "curl",
        "--silent",
        "--max-time",
        "2",
        "--output",
        "/dev/null",
        "--cacert",
        str(pki.authority().certificate),
        "--write-out",
        "%{http_code}",
        url,
    ]
    return run([*in_namespace(GIT), *argv], check=False).strip() == "200"


def main() -> None:
    """Serve until stopped."""
    pair = pki.server(GIT)
    app = Starlette(routes=[Route("/{path:path}", _backend, methods=["GET", "POST"])])
    uvicorn.run(app, host=GIT.address, port=443, ssl_certfile=str(pair.certificate), ssl_keyfile=str(pair.key), log_level="warning")


if __name__ == "__main__":
    main()
