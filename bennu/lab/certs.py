"""The lab's two authorities: one signs the API servers' certificates, one stands for the mesh's trust anchor. Keys are P-256 and live in the lab's 0700 directory.

``python -m bennu.lab.certs <folder>`` is the issuer beside a controller, as Vault's PKI is one: a Subject comes in as JSON, the certificate goes out as JSON.
"""

from __future__ import annotations

import ipaddress
import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bennu.lab.places import write_private

_SKEW = timedelta(minutes=5)


@dataclass(frozen=True)
class Subject:
    """Whom a certificate is for: a common name, DNS names, IP addresses."""

    name: str
    dns: tuple[str, ...] = ()
    ips: tuple[str, ...] = ()
    is_ca: bool = False


@dataclass(frozen=True)
class Authority:
    """A CA: its certificate (PEM) and key."""

    pem: str
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def made(cls, name: str, folder: Path) -> Authority:
        """A new one, kept as ``ca.crt`` and ``ca.key`` in *folder*."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = _builder(subject, subject, key.public_key(), timedelta(days=3650)).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        certificate = certificate.add_extension(_ca_usage(), critical=True).add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
        )
        pem = certificate.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
        write_private(folder / "ca.crt", pem)
        write_private(folder / "ca.key", _key_pem(key))
        return cls(pem, key)

    @classmethod
    def load(cls, folder: Path) -> Authority:
        """The one kept in *folder*."""
        key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError("not an elliptic-curve key")
        return cls((folder / "ca.crt").read_text(encoding="utf-8"), key)

    def issued(self, subject: Subject, lifetime: timedelta) -> tuple[str, str]:
        """(certificate, key) as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.load_pem_x509_certificate(self.pem.encode())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject.name)])
        names: list[x509.GeneralName] = [x509.DNSName(one) for one in subject.dns]
        names += [x509.IPAddress(ipaddress.ip_address(one)) for one in subject.ips]
        found = _builder(name, issuer.subject, key.public_key(), lifetime)
        found = found.add_extension(x509.BasicConstraints(ca=subject.is_ca, path_length=0 if subject.is_ca else None), critical=True)
        found = found.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        found = found.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        if names:
            found = found.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if subject.is_ca:
            found = found.add_extension(_ca_usage(), critical=True)
        else:
            found = found.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        return found.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode(), _key_pem(key)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: timedelta) -> x509.CertificateBuilder:
    begin = datetime.now(UTC) - _SKEW
    found = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    return found.serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(begin + lifetime)


def _ca_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def main() -> None:
    """Issue for a year what standard input asks for (a Subject's fields): ``{"certificate", "key", "authority"}`` as PEM, and the times of its validity."""
    asked = json.load(sys.stdin)
    authority = Authority.load(Path(sys.argv[1]))
    subject = Subject(str(asked["name"]), tuple(asked["dns"]), is_ca=bool(asked["is_ca"]))
    certificate, key = authority.issued(subject, timedelta(days=365))
    seen = x509.load_pem_x509_certificate(certificate.encode())
    begin, end = (moment.strftime("%Y-%m-%dT%H:%M:%SZ") for moment in (seen.not_valid_before_utc, seen.not_valid_after_utc))
    json.dump({"certificate": certificate, "key": key, "authority": authority.pem, "not_before": begin, "not_after": end}, sys.stdout)


if __name__ == "__main__":
    main()
