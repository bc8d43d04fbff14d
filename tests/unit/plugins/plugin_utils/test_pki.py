"""What the internal CA issues is what OpenSSL accepts; what is wrong with a certificate is said in plain words."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from ansible_collections.airworthy.stack.plugins.plugin_utils import pki
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID

NAMES = ("web1", "app.example.org", "10.0.0.5", "fd00::5")
SUBJECT = pki.Subject(NAMES)


@pytest.fixture(scope="module")
def authority() -> pki.Pair:
    return pki.create_authority("airworthy test CA")


@pytest.fixture
def openssl(authority: pki.Pair, tmp_path: Path) -> Callable[..., str]:
    """Runs openssl beside the files ca.crt, leaf.crt and leaf.key."""

    def run(*command: str) -> str:
        return subprocess.run(["openssl", *command], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    leaf = pki.issue(authority, SUBJECT, days=397)
    (tmp_path / "ca.crt").write_bytes(pki.certificate_pem(authority))
    (tmp_path / "leaf.crt").write_bytes(pki.certificate_pem(leaf))
    (tmp_path / "leaf.key").write_bytes(pki.key_pem(leaf))
    return run


@pytest.mark.parametrize("purpose", ["sslserver", "sslclient"])
@pytest.mark.parametrize(
    "name",
    [
        ("-verify_hostname", "app.example.org"),
        ("-verify_hostname", "web1"),
        ("-verify_ip", "10.0.0.5"),
        ("-verify_ip", "fd00::5"),
    ],
)
def test_openssl_verifies_names_and_purposes(openssl: Callable[..., str], purpose: str, name: tuple[str, str]) -> None:
    strict = ("verify", "-x509_strict", "-check_ss_sig", "-CAfile", "ca.crt", "-purpose", purpose)
    assert openssl(*strict, *name, "leaf.crt") == "leaf.crt: OK\n"


@pytest.mark.parametrize("name", [("-verify_hostname", "other.example.org"), ("-verify_ip", "10.0.0.6")])
def test_openssl_refuses_other_names(openssl: Callable[..., str], name: tuple[str, str]) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        openssl("verify", "-CAfile", "ca.crt", *name, "leaf.crt")


def test_what_openssl_shows(openssl: Callable[..., str]) -> None:
    leaf = openssl("x509", "-in", "leaf.crt", "-noout", "-text")
    for expected in (
        "TLS Web Server Authentication, TLS Web Client Authentication",
        "DNS:web1, DNS:app.example.org, IP Address:10.0.0.5, IP Address:FD00:0:0:0:0:0:0:5",
        "CA:FALSE",
        "Digital Signature",
        "X509v3 Subject Key Identifier",
        "X509v3 Authority Key Identifier",
        "ASN1 OID: prime256v1",
    ):
        assert expected in leaf
    ca = openssl("x509", "-in", "ca.crt", "-noout", "-text")
    assert "CA:TRUE, pathlen:0" in ca
    assert "Certificate Sign, CRL Sign" in ca
    assert openssl("pkey", "-in", "leaf.key", "-pubout") == openssl("x509", "-in", "leaf.crt", "-noout", "-pubkey")


def test_each_certificate_has_a_serial_of_its_own(authority: pki.Pair) -> None:
    serials = {pki.issue(authority, SUBJECT, 1).certificate.serial_number for _certificate in range(8)}
    assert len(serials) == 8
    assert all(serial.bit_length() > 64 for serial in serials)


def test_browsers_accept_the_lifetime(authority: pki.Pair) -> None:
    certificate = pki.issue(authority, SUBJECT, 397).certificate
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == timedelta(days=397)
    assert certificate.not_valid_before_utc < pki.now()


def test_a_successor_of_the_ca_verifies_what_was_issued_before(authority: pki.Pair, openssl, tmp_path: Path) -> None:
    successor = pki.create_authority("airworthy test CA", authority.key)
    (tmp_path / "successor.crt").write_bytes(pki.certificate_pem(successor))
    assert successor.certificate.serial_number != authority.certificate.serial_number
    assert openssl("verify", "-CAfile", "successor.crt", "leaf.crt") == "leaf.crt: OK\n"


def test_a_name_too_long_for_the_subject_is_still_covered(authority: pki.Pair) -> None:
    long = ".".join(["a" * 40] * 3)
    certificate = pki.issue(authority, pki.Subject((long,)), 1).certificate
    assert pki.covers(certificate, long)
    assert not certificate.subject.rdns


def with_key_of(pair: pki.Pair, other: pki.Pair) -> pki.Pair:
    return pki.Pair(pair.certificate, other.key)


def test_why_a_certificate_is_issued_anew(authority: pki.Pair) -> None:
    sound, other = pki.issue(authority, SUBJECT, 397), pki.issue(authority, SUBJECT, 397)
    foreign = pki.create_authority("another CA")
    short = pki.issue(authority, SUBJECT, 29)

    def reason(pair: pki.Pair, subject: pki.Subject = SUBJECT, ca: pki.Pair = authority) -> str | None:
        return pki.reason_to_reissue(pair, ca, subject, renew_before_days=30)

    assert reason(sound) is None
    assert reason(sound, pki.Subject(NAMES[::-1])) is None
    assert reason(sound, pki.Subject((*NAMES, "more.example.org"))) == "its names differ"
    assert reason(sound, pki.Subject(NAMES[:-1])) == "its names differ"
    assert reason(sound, ca=foreign) == "another CA issued it"
    assert reason(sound, ca=pki.create_authority("airworthy test CA")) == "another CA issued it"
    assert reason(sound, ca=pki.create_authority("airworthy test CA", authority.key)) is None
    assert reason(with_key_of(sound, other)) == "its key does not belong to it"
    assert reason(short) == f"it expires on {pki.day(short.certificate.not_valid_after_utc)}"


def self_signed(key: pki.PrivateKey) -> pki.Pair:
    authority = pki.create_authority("brought")
    return pki.Pair(authority.certificate, key)


@pytest.mark.parametrize(
    ("name", "covered"),
    [
        ("app.example.org", True),
        ("APP.example.org", True),
        ("www.example.net", True),
        ("example.net", False),
        ("a.b.example.net", False),
        ("10.0.0.5", True),
        ("10.0.0.6", False),
    ],
)
def test_which_names_a_certificate_covers(authority: pki.Pair, name: str, covered: bool) -> None:
    subject = pki.Subject(("app.example.org", "*.example.net", "10.0.0.5"))
    assert pki.covers(pki.issue(authority, subject, 1).certificate, name) is covered


def test_a_sound_certificate_that_was_brought_has_no_faults(authority: pki.Pair) -> None:
    leaf = pki.issue(authority, SUBJECT, 90)
    chained = pki.Pair(leaf.certificate, leaf.key, (authority.certificate,))
    assert pki.faults(leaf, ["app.example.org"]) == []
    assert pki.faults(chained, ["app.example.org", "web1"]) == []


def test_what_is_wrong_with_a_certificate_that_was_brought(
    authority: pki.Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaf, other = pki.issue(authority, SUBJECT, 90), pki.issue(authority, SUBJECT, 90)
    end = pki.day(leaf.certificate.not_valid_after_utc)
    begin = pki.day(leaf.certificate.not_valid_before_utc)
    now = pki.now()

    [fault] = pki.faults(with_key_of(leaf, other), ["web1"])
    assert fault.startswith("does not belong to the private key")
    [fault] = pki.faults(leaf, ["web1", "shop.example.org"])
    assert fault == "covers web1, app.example.org, 10.0.0.5, fd00::5; it has to cover shop.example.org"
    stranger = pki.create_authority("stranger").certificate
    [fault] = pki.faults(pki.Pair(leaf.certificate, leaf.key, (stranger,)), ["web1"])
    assert fault.startswith("is followed by CN=stranger, which did not issue CN=web1; write the chain in order")

    monkeypatch.setattr(pki, "now", lambda: now + timedelta(days=91))
    assert pki.faults(leaf, ["web1"]) == [f"expired on {end}; have it renewed"]
    monkeypatch.setattr(pki, "now", lambda: now - timedelta(days=1))
    assert pki.faults(leaf, ["web1"]) == [f"is not valid before {begin}; use the one that is valid today"]


@pytest.mark.parametrize(
    ("method", "found"), [(AuthorityInformationAccessOID.OCSP, True), (AuthorityInformationAccessOID.CA_ISSUERS, False)]
)
def test_an_ocsp_responder_is_found(authority: pki.Pair, method: x509.ObjectIdentifier, found: bool) -> None:
    address = x509.AccessDescription(method, x509.UniformResourceIdentifier("http://ca.example.org/"))
    name, lifetime = authority.certificate.subject, timedelta(days=1)
    builder = pki._builder(name, name, authority.key, lifetime)
    certificate = builder.add_extension(x509.AuthorityInformationAccess([address]), critical=False)
    assert pki.has_responder(certificate.sign(authority.key, hashes.SHA256())) is found
    assert not pki.has_responder(authority.certificate)


def test_a_weak_key_is_a_fault() -> None:
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505  the weakness is what is tested
    assert any("has an RSA key of 1024 bits" in fault for fault in pki.faults(self_signed(key), []))


def pem(key: pki.PrivateKey, password: bytes | None = None) -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def test_what_is_read_is_what_was_written(authority: pki.Pair) -> None:
    leaf = pki.issue(authority, SUBJECT, 90)
    chain = pki.certificate_pem(leaf) + pki.certificate_pem(authority)
    read = pki.parse(chain, pki.key_pem(leaf))
    assert read.certificate == leaf.certificate
    assert read.intermediates == (authority.certificate,)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (b"", r"the private key is not one in PEM format"),
        (b"-----BEGIN CERTIFICATE-----\n", r"the private key is not one in PEM format"),
        (pem(ec.generate_private_key(ec.SECP256R1()), b"passphrase"), "has a passphrase"),
        (pem(ed25519.Ed25519PrivateKey.generate()), "neither RSA nor ECDSA"),
    ],
    ids=["empty", "not a key", "passphrase", "ed25519"],
)
def test_an_unreadable_key_is_named(authority: pki.Pair, key: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pki.parse(pki.certificate_pem(authority), key)


BROKEN = b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("content", [b"", b"garbage", BROKEN])
def test_an_unreadable_certificate_is_named(authority: pki.Pair, content: bytes) -> None:
    with pytest.raises(ValueError, match="the certificate is not one in PEM format"):
        pki.parse(content, pki.key_pem(authority))
