"""MinIO with TLS on a host of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

from lab import pki, secret_store
from lab.certificates import Pair
from lab.components import path as component
from lab.service import Service
from lab.settings import DOMAIN, MINIO, MINIO_PORT, STATE
from lab.shell import in_namespace, run

ROOT_USER = "lab-root"
URL = f"https://{MINIO.name}.{DOMAIN}:{MINIO_PORT}"


def service() -> Service:
    """The server of the lab."""
    argv = command(STATE / "minio", pki.server(MINIO), f"{MINIO.address}:{MINIO_PORT}")
    return Service("minio", argv, MINIO, _answers, environment(secret_store.password("minio-root-password")))


def command(directory: Path, pair: Pair, address: str) -> list[str | Path]:
    """How the program is started that keeps its data in a directory; its certificate is put there too."""
    certificates = directory / "certs"
    certificates.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(pair.certificate, certificates / "public.crt")
    shutil.copyfile(pair.key, certificates / "private.key")
    (certificates / "private.key").chmod(0o600)
    program = component("minio") / "minio"
    return [program, "server", "--quiet", f"--certs-dir={certificates}", f"--address={address}", directory / "data"]


def environment(root_password: str) -> dict[str, str]:
    """Its settings; the root password is passed here, never as an argument."""
    return {"MINIO_ROOT_USER": ROOT_USER, "MINIO_ROOT_PASSWORD": root_password, "MINIO_BROWSER": "off", "MINIO_UPDATE": "off"}


def _answers() -> bool:
    url = f"https://{MINIO.address}:{MINIO_PORT}/minio/health/live"
    argv = ["curl", "--silent", "--max-time", "2", "--cacert", str(pki.authority().certificate), "--write-out", "%{http_code}", url]
    return run([*in_namespace(MINIO), *argv], check=False).strip() == "200"
