"""MinIO with TLS on a host of its own."""

from __future__ import annotations

import shutil

from lab import pki, secret_store
from lab.components import path as component
from lab.service import Service
from lab.settings import DOMAIN, MINIO, MINIO_PORT, STATE
from lab.shell import in_namespace, run

ROOT_USER = "lab-root"
URL = f"https://{MINIO.name}.{DOMAIN}:{MINIO_PORT}"


def service() -> Service:
    """The server; its root password is passed by environment, never as an argument."""
    directory = STATE / "minio"
    certificates = directory / "certs"
    certificates.mkdir(parents=True, exist_ok=True)
    pair = pki.server(MINIO)
    shutil.copyfile(pair.certificate, certificates / "public.crt")
    shutil.copyfile(pair.key, certificates / "private.key")
    (certificates / "private.key").chmod(0o600)
    return Service(
        "minio",
        [
            component("minio") / "minio",
            "server",
            "--quiet",
            f"--certs-dir={certificates}",
            f"--address={MINIO.address}:{MINIO_PORT}",
            directory / "data",
        ],
        MINIO,
        _answers,
        {
            "MINIO_ROOT_USER": ROOT_USER,
            "MINIO_ROOT_PASSWORD": secret_store.password("minio-root-password"),
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
        },
    )


def _answers() -> bool:
    url = f"https://{MINIO.address}:{MINIO_PORT}/minio/health/live"
    argv = ["curl", "--silent", "--max-time", "2", "--cacert", str(pki.authority().certificate), "--write-out", "%{http_code}", url]
    return run([*in_namespace(MINIO), *argv], check=False).strip() == "200"
