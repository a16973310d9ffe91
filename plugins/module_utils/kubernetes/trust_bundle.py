# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A private CA in the forms that its clients read: PEM alone, PEM with the public roots, and a truststore for Java."""

from __future__ import annotations

import base64
import binascii
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.ca_files import (
    BUNDLE_KEY,
    CA_KEY,
    TRUSTSTORE_KEY,
    TRUSTSTORE_PASSWORD,
)
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import KubernetesError, Object

try:
    import certifi
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, pkcs12
    from cryptography.utils import CryptographyDeprecationWarning
except ImportError:
    IMPORT_ERROR = traceback.format_exc()
else:
    IMPORT_ERROR = ""


@dataclass(frozen=True)
class Trust:
    """Whom the clients are to trust: the private authorities, and those together with the public ones."""

    private: tuple[Any, ...]
    all: tuple[Any, ...]

    @property
    def expired(self) -> list[str]:
        """The private authorities whose time is over, in words."""
        now = datetime.now(timezone.utc)
        return [f"{_name(one)} (until {one.not_valid_after_utc:%Y-%m-%d})" for one in self.private if one.not_valid_after_utc < now]


def read(pem: str, *, public_roots: bool) -> Trust:
    """The certificates of a PEM text, and on request those that the Python package certifi carries (Mozilla's)."""
    if "PRIVATE KEY-----" in pem:
        raise KubernetesError("certificates holds a private key, which must never leave its place: give the certificate of the CA alone.")
    private = tuple(_certificates(pem))
    if not private:
        raise KubernetesError("certificates holds none that can be read: give the certificate of the CA in PEM form.")
    public = _certificates(certifi.contents()) if public_roots else []
    return Trust(private, tuple({_fingerprint(one): one for one in (*private, *public)}.values()))


def plan(current: Object | None, wanted: Trust) -> Object:
    """The data of the ConfigMap that is to be written; empty where it already says the same."""
    held = (current or {}).get("data") or {}
    stored = ((current or {}).get("binaryData") or {}).get(TRUSTSTORE_KEY)
    data = {CA_KEY: _pem(wanted.private), BUNDLE_KEY: _pem(wanted.all)}
    change: Object = {}
    if any(held.get(key) != value for key, value in data.items()):
        change["data"] = data
    # A truststore is never written the same way twice (it is salted): what counts is whom it trusts.
    if _trusted(stored) != {_fingerprint(one) for one in wanted.all}:
        change["binaryData"] = {TRUSTSTORE_KEY: base64.b64encode(_truststore(wanted.all)).decode()}
    return change


def shown(current: Object | None) -> dict[str, Any]:
    """A ConfigMap as a diff shows it: who is trusted, by name and fingerprint, under each key; of the public roots, how many."""
    data, binary = ((current or {}).get(part) or {} for part in ("data", "binaryData"))
    view: dict[str, Any] = {key: _names(_certificates(data[key])) for key in (CA_KEY, BUNDLE_KEY) if key in data}
    if TRUSTSTORE_KEY in binary:
        view[TRUSTSTORE_KEY] = _names(_stored(binary[TRUSTSTORE_KEY]))
    return view


def _pem(certificates: Sequence[Any]) -> str:
    return "".join(one.public_bytes(Encoding.PEM).decode() for one in certificates)


def _certificates(pem: str) -> Sequence[Any]:
    try:
        with _old_roots():
            return x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        return []


@contextmanager
def _old_roots() -> Iterator[None]:
    """Some public roots are older than today's rules for certificates; each reading of them would be warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        yield


def _truststore(certificates: Sequence[Any]) -> bytes:
    """PKCS12 with the attribute by which Java tells a trusted certificate from any other."""
    # Java tells entries apart by their alias, in lower case.
    entries = [pkcs12.PKCS12Certificate(one, f"{_name(one)} {_fingerprint(one)[:8]}".lower().encode()) for one in certificates]
    return pkcs12.serialize_java_truststore(entries, BestAvailableEncryption(TRUSTSTORE_PASSWORD.encode()))


def _trusted(stored: str | None) -> set[str]:
    return {_fingerprint(one) for one in _stored(stored)}


def _stored(stored: str | None) -> Sequence[Any]:
    try:
        with _old_roots():
            found = pkcs12.load_pkcs12(base64.b64decode(stored or "", validate=True), TRUSTSTORE_PASSWORD.encode())
    except (ValueError, binascii.Error):
        return []
    return [one.certificate for one in found.additional_certs]


def _fingerprint(certificate: Any) -> str:
    return str(certificate.fingerprint(hashes.SHA256()).hex())


def _name(certificate: Any) -> str:
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if names else str(certificate.subject.rfc4514_string())


def _names(certificates: Sequence[Any]) -> list[str]:
    public = {_fingerprint(one) for one in _certificates(certifi.contents())}
    named = sorted(f"{_name(one)} (SHA-256 {_fingerprint(one)[:16]}...)" for one in certificates if _fingerprint(one) not in public)
    roots = sum(_fingerprint(one) in public for one in certificates)
    return [*named, *([f"{roots} public roots"] if roots else [])]


def config_map(namespace: str, name: str, current: Object | None, change: Mapping[str, Any]) -> Object:
    """The object to create, or the merge patch, guarded against somebody else's write in between."""
    if current is None:
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, **change}
    return {"metadata": {"resourceVersion": current["metadata"]["resourceVersion"]}, **change}
