"""A host of one's own for the lab's pages, with a certificate."""

from __future__ import annotations

import base64
import hashlib
import json

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lab.certificates import Pair
from tests.platform.reality import kubectl

HOST = "data.lab.test"
AIRFLOW_PATH = "/airflow"
_SECRET = "data-tls"


def declaration(port: int) -> dict[str, str]:
    """What the inventory of its user says; the port is the one that a browser has in its address."""
    return {
        "platform_ingress_host": HOST,
        "platform_ingress_tls_secret": _SECRET,
        "platform_ingress_url": f"https://{HOST}:{port}",
        "airflow_ingress_path": AIRFLOW_PATH,
    }


def put_certificate(pair: Pair, *namespaces: str) -> None:
    """Have the Secret with the certificate in each namespace."""
    content = {"tls.crt": pair.certificate.read_text(), "tls.key": pair.key.read_text()}
    for namespace in namespaces:
        metadata = {"name": _SECRET, "namespace": namespace}
        made = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": metadata, "stringData": content}
        kubectl("apply", "--filename=-", stdin=json.dumps(made))


def remove_certificate(*namespaces: str) -> None:
    """Take it away again."""
    for namespace in namespaces:
        kubectl("delete", "secret", _SECRET, "--namespace", namespace)


def browser_options(pair: Pair, address: str) -> tuple[str, ...]:
    """What makes a browser know the host's address, and take its certificate and no other."""
    key = x509.load_pem_x509_certificate(pair.certificate.read_bytes()).public_key()
    pin = base64.b64encode(hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()).decode()
    return f"--host-resolver-rules=MAP {HOST} {address}", f"--ignore-certificate-errors-spki-list={pin}"
