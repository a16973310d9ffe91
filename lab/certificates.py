"""Certificate authorities of the lab and what they sign."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFE = datetime.timedelta(days=5 * 365)


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, as files."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """A certificate authority kept in a directory: `ca.crt`, `ca.key` and one pair a name."""

    directory: Path
    common_name: str

    @property
    def certificate(self) -> Path:
        """What clients trust."""
        return self._pair("ca").certificate

    @property
    def key(self) -> Path:
        """The authority's private key."""
        return self._pair("ca").key

    def create(self) -> Authority:
        """Make the authority unless it is there."""
        pair = self._pair("ca")
        if not pair.certificate.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            key = ec.generate_private_key(ec.SECP256R1())
            name = _name(self.common_name, ())
            builder = _builder(name, name, key.public_key()).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
            _write(pair, builder.add_extension(usage, critical=True).sign(key, hashes.SHA256()), key)
        return self

    def issue(
        self, file: str, common_name: str, *, organization: str = "", names: Sequence[str] = (), addresses: Sequence[str] = ()
    ) -> Pair:
        """Sign a certificate for server and client use, once."""
        pair = self._pair(file)
        if not pair.certificate.exists():
            ca = x509.load_pem_x509_certificate(self.certificate.read_bytes())
            signer = cast(ec.EllipticCurvePrivateKey, serialization.load_pem_private_key(self.key.read_bytes(), None))
            key = ec.generate_private_key(ec.SECP256R1())
            builder = _builder(_name(common_name, (organization,) if organization else ()), ca.subject, key.public_key())
            builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
            builder = builder.add_extension(usage, critical=False)
            builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
            alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
            alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
            if alternatives:
                builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            _write(pair, builder.sign(signer, hashes.SHA256()), key)
        return pair

    def _pair(self, file: str) -> Pair:
        return Pair(self.directory / f"{file}.crt", self.directory / f"{file}.key")


def _name(common_name: str, organizations: Sequence[str]) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization) for organization in organizations]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + _LIFE)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _write(pair: Pair, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    encoding = serialization.Encoding.PEM
    pair.key.touch(mode=0o600)
    # Not PKCS8: the apiserver reads an account key only in the form of its own algorithm.
    pair.key.write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()))
    # The certificate comes last: where it is, the key is.
    pair.certificate.write_bytes(certificate.public_bytes(encoding))
