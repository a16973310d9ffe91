"""How the checks of a converged lab look at it. They read reality: the node, the API, the pod; never what the playbook returned.

Run inside the lab's LAN: `python -m lab run pytest tests/platform`.
"""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

import boto3
import botocore.config
from botocore.exceptions import ClientError

from lab import control_plane, pki, ssh
from lab.settings import MINIO, MINIO_PORT, Host


def kubectl(*words: str, stdin: str | None = None, identity: str | None = None) -> str:
    """Run kubectl, as another account where `identity` names one; the error of a refused call is raised with its text."""
    acting = (f"--as={identity}",) if identity else ()
    return control_plane.kubectl(*acting, *words, stdin=stdin)


def get(*words: str) -> Any:
    """What kubectl reads, as data."""
    return json.loads(kubectl("get", *words, "--output=json"))


def on(host: Host, command: str) -> str:
    """What a command prints on a host, as root, through the bastion."""
    argv = ["ssh", "-F", str(ssh.CONFIG), host.name, f"sudo {command}"]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout


def wait_for(what: str, found: Callable[[], Any], seconds: float) -> Any:
    """Poll until something truthy is found, and return it."""
    deadline = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(1)
    return result


def secret(namespace: str, name: str) -> dict[str, str]:
    """The decoded content of a Secret."""
    data = get("secret", "--namespace", namespace, name)["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def s3(access_key: str, secret_key: str) -> Any:
    """An S3 client of the lab's MinIO."""
    return boto3.client(
        "s3",
        endpoint_url=f"https://{MINIO.address}:{MINIO_PORT}",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name="us-east-1",
        verify=str(pki.authority().certificate),
        config=botocore.config.Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2}, proxies={}),
    )


def refused(call: Callable[[], Any]) -> bool:
    """Whether the object store answers a call with AccessDenied."""
    try:
        call()
    except ClientError as error:
        return bool(error.response["Error"]["Code"] == "AccessDenied")
    return False
