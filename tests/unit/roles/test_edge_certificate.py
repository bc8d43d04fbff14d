"""When the program of role acme asks for a certificate, which one it accepts, and how it puts it in place."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.plugin_utils import pki
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID
from role_programs import load_program

NAMES = ["app.example.org", "www.example.org"]
DIRECTORY = "https://ca.example.org/directory"


program = load_program("acme/templates/usr/local/lib/airworthy/edge_certificate.py")
WISH = program.Wish(DIRECTORY, NAMES, "ecdsa", 30)
CA = pki.create_authority("a public CA")


def store(directory: Path, names: list[str] = NAMES, days: int = 90, issuer: str = DIRECTORY) -> Path:
    """A pair as it lies on the server."""
    pair = pki.issue(CA, pki.Subject(tuple(names)), days)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "edge.crt").write_bytes(pki.certificate_pem(pair) + pki.certificate_pem(CA))
    (directory / "edge.key").write_bytes(pki.key_pem(pair))
    if issuer:
        (directory / "directory").write_text(f"{issuer}\n")
    return directory


@pytest.fixture
def pair(tmp_path: Path) -> Any:
    return program.load(store(tmp_path / "pair"))


def test_a_fresh_certificate_is_left_alone(pair: Any) -> None:
    assert program.due(pair, WISH, datetime.now(UTC)) == ""


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        (replace(WISH, directory="https://other.example/"), f"from {DIRECTORY}"),
        (replace(WISH, names=[NAMES[0]]), "is for app.example.org, www.example.org"),
        (replace(WISH, names=[*NAMES, "new.example.org"]), "is for app.example.org, www.example.org"),
        (replace(WISH, key_type="rsa"), "of type ecdsa"),
    ],
)
def test_a_changed_wish_is_due(pair: Any, wish: Any, why: str) -> None:
    assert why in program.due(pair, wish, datetime.now(UTC))


def test_the_internal_cas_certificate_is_due(tmp_path: Path) -> None:
    pair = program.load(store(tmp_path, issuer=""))
    assert program.due(pair, WISH, datetime.now(UTC)) == "the present certificate is from the internal CA"


@pytest.mark.parametrize(
    ("life", "days_left", "is_due"),
    [(90, 31, False), (90, 29, True), (90, -1, True), (6, 3, False), (6, 1.9, True), (45, 16, False), (45, 14, True)],
)
def test_renewal_is_due_in_time(tmp_path: Path, life: int, days_left: float, is_due: bool) -> None:
    pair = program.load(store(tmp_path, days=life))
    assert bool(program.due(pair, WISH, pair.ends - timedelta(days=days_left))) is is_due


def test_what_no_browser_would_accept_is_not_served(pair: Any, tmp_path: Path) -> None:
    other = program.load(store(tmp_path / "other"))
    now = datetime.now(UTC)
    assert program.faults(pair, NAMES, now) == []
    assert program.faults(replace(pair, public_key=other.public_key), NAMES, now) == ["it is for another key"]
    assert program.faults(pair, ["new.example.org"], now) == ["it is not for new.example.org"]
    assert "it begins on" in program.faults(pair, NAMES, pair.begins - timedelta(hours=1))[0]
    assert "it ended on" in program.faults(pair, NAMES, pair.ends)[0]


@pytest.mark.parametrize("key_type", ["ecdsa", "rsa"])
def test_the_request_is_for_every_name(key_type: str) -> None:
    names = [f"{'long' * 15}.example.org", *NAMES]  # too long for a common name
    request = x509.load_pem_x509_csr(program.request_for(program.new_key(key_type), names))
    assert request.is_signature_valid
    alternatives = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert alternatives.get_values_for_type(x509.DNSName) == names


RESPONDER = x509.AuthorityInformationAccess(
    [x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier("http://ocsp.example/"))]
)


def signing(names: list[str] | None = None, key: bool = True, days: int = 90, responder: bool = False) -> Any:
    """A CA in the place of certbot, that may answer with something else than what was asked for."""

    def sign(directory: Path) -> None:
        request = x509.load_pem_x509_csr((directory / "request.pem").read_bytes())
        wrong = store(directory.parent.parent / "wrong", names or NAMES)
        if not key:
            (directory / "edge.crt").write_bytes((wrong / "edge.crt").read_bytes())
            return
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder(CA.certificate.subject, request.subject, request.public_key(), 7)
            .not_valid_before(now - timedelta(days=180))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names or NAMES]), critical=False)
        )
        if responder:
            builder = builder.add_extension(RESPONDER, critical=False)
        certificate = builder.sign(CA.key, program.hashes.SHA256())
        (directory / "edge.crt").write_bytes(certificate.public_bytes(program.serialization.Encoding.PEM))

    return sign


def test_a_new_pair_is_whole_and_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "certbot", signing())
    new = program.issue(WISH, tmp_path / "pairs")
    assert program.due(program.load(new), WISH, datetime.now(UTC)) == ""
    assert (new / "edge.key").stat().st_mode & 0o777 == 0o600
    assert list((tmp_path / "pairs").iterdir()) == [new]


@pytest.mark.parametrize("responder", [True, False])
def test_stapling_goes_with_a_certificate_that_names_a_responder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, responder: bool
) -> None:
    monkeypatch.setattr(program, "certbot", signing(responder=responder))
    assert (program.issue(WISH, tmp_path / "pairs") / "stapling.conf").exists() is responder


@pytest.mark.parametrize(
    ("ca", "why"),
    [
        (signing(["evil.example.org"]), "it is not for app.example.org"),
        (signing(key=False), "it is for another key"),
        (signing(days=-1), "it ended on"),
    ],
)
def test_a_wrong_answer_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ca: Any, why: str
) -> None:
    monkeypatch.setattr(program, "certbot", ca)
    with pytest.raises(program.Refused, match=why):
        program.issue(WISH, tmp_path / "pairs")
    assert list((tmp_path / "pairs").iterdir()) == []


def test_the_link_moves_and_two_pairs_stay(tmp_path: Path) -> None:
    seed, live = store(tmp_path / "tls", issuer=""), tmp_path / "live"
    live.symlink_to(seed)
    for name in ("first", "second", "third"):
        pair = store(tmp_path / "pairs" / name)
        program.go_live(pair, live)
        assert live.resolve() == pair
    assert {path.name for path in (tmp_path / "pairs").iterdir()} == {"second", "third"}
    assert (seed / "edge.crt").exists()
