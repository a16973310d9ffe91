"""The module trust_bundle against a real apiserver, its bundle tried on a real TLS connection."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
import warnings
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12
from cryptography.utils import CryptographyDeprecationWarning

from lab.certificates import Authority

from .conftest import Api

ROOTS = certifi.contents().count("BEGIN CERTIFICATE")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki", "Home CA").create()


def run(api: Api, authority: Authority, *namespaces: str, check: bool = False, **options: Any) -> dict[str, Any]:
    pem = options.pop("certificates", authority.certificate.read_text())
    return api.run_module("trust_bundle", check=check, certificates=pem, name="ca", namespaces=list(namespaces), **options)


def held(api: Api, namespace: str) -> dict[str, Any]:
    found = api.client.get(f"/api/v1/namespaces/{namespace}/configmaps/ca")
    assert found is not None
    return found


def trusted(api: Api, namespace: str) -> int:
    store = base64.b64decode(held(api, namespace)["binaryData"]["truststore.p12"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)  # of one old public root
        return len(pkcs12.load_pkcs12(store, b"changeit").additional_certs)


def actions(result: dict[str, Any]) -> list[str]:
    assert "msg" not in result, result
    return [entry["action"] for entry in result["config_maps"]]


def test_predicted_made_kept_and_mended(api: Api, authority: Authority) -> None:
    here, new = api.namespace(), f"{api.namespace()}-new"
    predicted = run(api, authority, here, new, check=True)
    assert actions(predicted) == ["create", "create"]
    assert api.client.get(f"/api/v1/namespaces/{new}") is None
    done = run(api, authority, here, new)
    assert (done["config_maps"], done["diff"]) == (predicted["config_maps"], predicted["diff"])
    ours, public = done["diff"][0]["after"]["truststore.p12"]
    assert (ours[:7], public) == ("Home CA", f"{ROOTS} public roots")
    for check in (True, False):
        again = run(api, authority, here, new, check=check)
        assert (actions(again), again["changed"], again["diff"]) == (["keep", "keep"], False, [])

    found = held(api, new)
    assert found["data"]["ca.crt"] == authority.certificate.read_text()
    assert found["data"]["ca-bundle.crt"].count("BEGIN CERTIFICATE") == trusted(api, new) == ROOTS + 1

    mistaken = {"binaryData": {"truststore.p12": base64.b64encode(b"nonsense").decode()}, "data": {"notes.txt": "theirs"}}
    api.client.patch(f"/api/v1/namespaces/{new}/configmaps/ca", mistaken)
    assert actions(run(api, authority, here, new)) == ["keep", "update"]
    assert trusted(api, new) == ROOTS + 1
    assert held(api, new)["data"]["notes.txt"] == "theirs"


def test_another_ca_takes_the_place_of_the_first(api: Api, authority: Authority, tmp_path: Path) -> None:
    namespace, other = api.namespace(), Authority(tmp_path / "other", "Other CA").create()
    run(api, authority, namespace)
    both = other.certificate.read_text() + authority.certificate.read_text()
    assert actions(run(api, authority, namespace, certificates=both, public_roots=False)) == ["update"]
    assert trusted(api, namespace) == 2
    result = run(api, other, namespace, public_roots=False)
    assert [len(result["diff"][0][side]["ca.crt"]) for side in ("before", "after")] == [2, 1]
    assert held(api, namespace)["data"]["ca-bundle.crt"] == other.certificate.read_text()


def test_the_bundle_verifies_what_the_ca_signed(api: Api, authority: Authority, tmp_path: Path) -> None:
    namespace = api.namespace()
    run(api, authority, namespace)
    bundle = tmp_path / "ca-bundle.crt"
    bundle.write_text(held(api, namespace)["data"]["ca-bundle.crt"])
    pair = authority.issue("server", "server", names=["localhost"])
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(pair.certificate, pair.key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepted = threading.Thread(target=lambda: serving.wrap_socket(listener.accept()[0], server_side=True).close())
        accepted.start()
        client = ssl.create_default_context(cafile=str(bundle))
        with socket.create_connection(listener.getsockname()) as plain, client.wrap_socket(plain, server_hostname="localhost") as secure:
            assert dict(pair[0] for pair in secure.getpeercert()["subject"])["commonName"] == "server"  # type: ignore[index,misc]
        accepted.join()


def test_what_is_no_certificate_of_a_ca_is_refused(api: Api, authority: Authority) -> None:
    key = authority.certificate.read_text() + authority.key.read_text()
    refused = run(api, authority, "default", certificates=key)
    assert "holds a private key, which must never leave its place" in refused["msg"]
    assert "BEGIN" not in refused["output"]
    assert "give the certificate of the CA in PEM form" in run(api, authority, "default", certificates="home-ca.crt")["msg"]


def test_an_expired_ca_is_told(api: Api) -> None:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(timezone.utc)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Old CA")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    old = builder.not_valid_before(now - timedelta(days=9)).not_valid_after(now - timedelta(days=2)).sign(key, hashes.SHA256())
    pem = old.public_bytes(Encoding.PEM).decode()
    result = api.run_module("trust_bundle", check=True, certificates=pem, name="ca", namespaces=["default"])
    assert "The certificate of the CA Old CA" in str(result["warnings"])
