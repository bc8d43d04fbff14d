# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates: what to issue, whether one still does, what is wrong with one that somebody brought. No files here."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes as PrivateKey
    from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
except ImportError:  # ansible-core depends on it; only ansible-test imports plugins without
    pass

AUTHORITY_DAYS = 3650
CLOCK_SKEW = timedelta(hours=1)  # a server whose clock is behind must not refuse a new certificate
RSA_BITS = 2048
COMMON_NAME_LENGTH = 64  # X.520's upper bound


@dataclass(frozen=True)
class Subject:
    """Who a certificate is for: DNS names and IP addresses, in any order."""

    names: tuple[str, ...]

    @property
    def alternatives(self) -> list[x509.GeneralName]:
        """An address also as a name, since some clients (pgBackRest 2.45 of Debian 12) compare it with names alone."""
        names = [general_name(name) for name in dict.fromkeys(self.names)]
        return names + [x509.DNSName(str(name.value)) for name in names if isinstance(name, x509.IPAddress)]

    @property
    def common_name(self) -> str:
        return next((name for name in self.names if len(name) <= COMMON_NAME_LENGTH), "")


@dataclass(frozen=True)
class Pair:
    certificate: x509.Certificate
    key: PrivateKey
    # What a server sends after its own certificate.
    intermediates: tuple[x509.Certificate, ...] = ()


def now() -> datetime:
    return datetime.now(UTC)


def general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def create_authority(common_name: str, key: PrivateKey | None = None) -> Pair:
    """A new CA; with the key of an old one, its successor, which verifies all that the old one issued."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:COMMON_NAME_LENGTH])])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        _builder(name, name, key, timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )
    return Pair(builder.sign(key, hashes.SHA256()), key)


def issue(authority: Pair, subject: Subject, days: int) -> Pair:
    """A certificate for TLS, as server and as client, with a key of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    identifier = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject.common_name)] if subject.common_name else [])
    builder = (
        _builder(name, authority.certificate.subject, key, timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        # RFC 5280: critical when nothing else names the subject.
        .add_extension(x509.SubjectAlternativeName(subject.alternatives), critical=not subject.common_name)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )
    return Pair(builder.sign(authority.key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PrivateKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    begin = now() - CLOCK_SKEW
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + lifetime)
    )


def _usage(**used: bool) -> x509.KeyUsage:
    unused = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(**unused | used)


def reason_to_reissue(pair: Pair, authority: Pair, subject: Subject, renew_before_days: int) -> str | None:
    """Why the certificate has to be made anew, or None."""
    certificate = pair.certificate
    if certificate.public_key() != pair.key.public_key():
        return "its key does not belong to it"
    try:
        certificate.verify_directly_issued_by(authority.certificate)
    except (InvalidSignature, ValueError):
        return "another CA issued it"
    if set(alternatives(certificate)) != set(subject.alternatives):
        return "its names differ"
    if certificate.not_valid_after_utc - now() < timedelta(days=renew_before_days):
        return f"it expires on {day(certificate.not_valid_after_utc)}"
    return None


def faults(pair: Pair, names: Iterable[str]) -> list[str]:
    """What is wrong with a certificate that somebody brought for these names."""
    certificate = pair.certificate
    found = []
    if certificate.not_valid_after_utc < now():
        found.append(f"expired on {day(certificate.not_valid_after_utc)}; have it renewed")
    if certificate.not_valid_before_utc > now():
        found.append(f"is not valid before {day(certificate.not_valid_before_utc)}; use the one that is valid today")
    if certificate.public_key() != pair.key.public_key():
        found.append("does not belong to the private key; use the key with which it was requested")
    if isinstance(pair.key, rsa.RSAPrivateKey) and pair.key.key_size < RSA_BITS:
        found.append(f"has an RSA key of {pair.key.key_size} bits; have one issued with {RSA_BITS} at least")
    if missing := [name for name in names if not covers(certificate, name)]:
        has = ", ".join(dict.fromkeys(str(name.value) for name in alternatives(certificate))) or "no names at all"
        found.append(f"covers {has}; it has to cover {', '.join(missing)}")
    for issued, issuer in zip((certificate, *pair.intermediates), pair.intermediates, strict=False):
        try:
            issued.verify_directly_issued_by(issuer)
        except (InvalidSignature, ValueError):
            found.append(
                f"is followed by {issuer.subject.rfc4514_string()}, which did not issue "
                f"{issued.subject.rfc4514_string()}; write the chain in order: server, then its issuer"
            )
    return found


def alternatives(certificate: x509.Certificate) -> list[x509.GeneralName]:
    try:
        return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []


def has_responder(certificate: x509.Certificate) -> bool:
    """Whether it names an OCSP responder, whose answers a web server staples to it."""
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return False
    return any(description.access_method == AuthorityInformationAccessOID.OCSP for description in access)


def covers(certificate: x509.Certificate, name: str) -> bool:
    """As browsers see it: by alternative name, a wildcard for one label."""
    wanted = general_name(name)
    if isinstance(wanted, x509.IPAddress):
        return wanted in alternatives(certificate)
    wildcard = "*." + name.partition(".")[2]
    return any(
        isinstance(has, x509.DNSName) and has.value.lower() in (name.lower(), wildcard.lower())
        for has in alternatives(certificate)
    )


def authorities(content: bytes) -> list[x509.Certificate]:
    """The certificates of a file in PEM format; ValueError where there is none."""
    return x509.load_pem_x509_certificates(content)


def parse(certificates: bytes, key: bytes) -> Pair:
    """A pair from PEM; ValueError says which of the two is unreadable, and how."""
    try:
        certificate, *intermediates = x509.load_pem_x509_certificates(certificates)
    except ValueError as error:
        raise ValueError("the certificate is not one in PEM format (-----BEGIN CERTIFICATE-----)") from error
    try:
        private_key = serialization.load_pem_private_key(key, password=None)
    except TypeError as error:
        raise ValueError("the private key has a passphrase; write it without: openssl pkey -in KEY -out NEW") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("the private key is not one in PEM format (-----BEGIN PRIVATE KEY-----)") from error
    if not isinstance(private_key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ValueError("the private key is neither RSA nor ECDSA, which is what browsers accept")
    return Pair(certificate, private_key, tuple(intermediates))


def certificate_pem(pair: Pair) -> bytes:
    return pair.certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(pair: Pair) -> bytes:
    return pair.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def day(moment: datetime) -> str:
    return moment.date().isoformat()
