# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keeps the edge's certificate fresh by ACME. airworthy-acme.service runs this; with --due it only says why it would.

certbot speaks the protocol and has a request signed; keys, pairs and their exchange are ours. nginx reads the
link LIVE, which points to one directory with key, certificate and what goes with it, so that it never sees halves of
two pairs.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

CONFIGURATION = Path("/etc/airworthy/acme")
STATE = Path("/var/lib/airworthy/acme")
LIVE = STATE / "live"
PAIRS = STATE / "pairs"
ASKED_FOR = STATE / "renew"  # whoever needs a new pair now, since the key leaked, creates this file
# When nginx was last reloaded: the module systemd_units reads it, and would reload once more.
RELOADED = Path("/run/airworthy/units/nginx.service")
WAIT_SECONDS = 15

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Refused(Exception):
    """Why there is no new certificate; the one before it goes on serving."""


@dataclass(frozen=True)
class Wish:
    directory: str
    names: list[str]
    key_type: str
    renew_before_days: int


@dataclass(frozen=True)
class Pair:
    certificate: x509.Certificate
    public_key: bytes  # of the key beside the certificate
    directory: str = ""  # of the CA that issued it; none for the internal one

    @property
    def names(self) -> set[str]:
        try:
            extension = self.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except x509.ExtensionNotFound:
            return set()
        return set(extension.value.get_values_for_type(x509.DNSName))

    @property
    def begins(self) -> datetime:
        return in_utc(self.certificate, "not_valid_before")

    @property
    def ends(self) -> datetime:
        return in_utc(self.certificate, "not_valid_after")

    @property
    def has_responder(self) -> bool:
        """Whether it names an OCSP responder, whose answers nginx staples to it."""
        try:
            access = self.certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
        except x509.ExtensionNotFound:
            return False
        return any(description.access_method == AuthorityInformationAccessOID.OCSP for description in access)

    @property
    def key_type(self) -> str:
        return "rsa" if isinstance(self.certificate.public_key(), rsa.RSAPublicKey) else "ecdsa"


def in_utc(certificate: x509.Certificate, name: str) -> datetime:
    """Debian 12's cryptography does not have the names with _utc, and later ones warn of those without."""
    moment: datetime | None = getattr(certificate, f"{name}_utc", None)
    return moment or getattr(certificate, name).replace(tzinfo=UTC)


def public_bytes(key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def load(directory: Path) -> Pair:
    key = serialization.load_pem_private_key((directory / "edge.key").read_bytes(), password=None)
    issuer = directory / "directory"
    return Pair(
        certificate=x509.load_pem_x509_certificate((directory / "edge.crt").read_bytes()),  # the first is the server's
        public_key=public_bytes(key.public_key()),  # type: ignore[arg-type]
        directory=issuer.read_text().strip() if issuer.exists() else "",
    )


def faults(pair: Pair, names: list[str], now: datetime) -> list[str]:
    """Why no browser would accept it."""
    found = []
    if public_bytes(pair.certificate.public_key()) != pair.public_key:  # type: ignore[arg-type]
        found.append("it is for another key")
    if missing := [name for name in names if name not in pair.names]:
        found.append(f"it is not for {', '.join(missing)}")
    if now < pair.begins:
        found.append(f"it begins on {pair.begins:%Y-%m-%d %H:%M} UTC")
    if now >= pair.ends:
        found.append(f"it ended on {pair.ends:%Y-%m-%d %H:%M} UTC")
    return found


def due(pair: Pair, wish: Wish, now: datetime) -> str:
    """Why a new certificate is to be issued; nothing when the present one serves."""
    if pair.directory != wish.directory:
        return f"the present certificate is from {pair.directory or 'the internal CA'}"
    if pair.names != set(wish.names):
        return f"the present certificate is for {', '.join(sorted(pair.names))}"
    if pair.key_type != wish.key_type:
        return f"the present key is of type {pair.key_type}"
    if wrong := faults(pair, wish.names, now):
        return f"the present certificate does not serve: {'; '.join(wrong)}"
    # A certificate that lives for days only is renewed when a third of its life is left.
    margin = min(timedelta(days=wish.renew_before_days), (pair.ends - pair.begins) / 3)
    if pair.ends - now < margin:
        return f"the present certificate ends on {pair.ends:%Y-%m-%d}"
    return ""


def new_key(key_type: str) -> Key:
    if key_type == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def request_for(key: Key, names: list[str]) -> bytes:
    builder = x509.CertificateSigningRequestBuilder(
        # a common name has 64 characters at most, and nobody needs it
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])] if len(names[0]) <= 64 else []),
    ).add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def certbot(directory: Path) -> None:
    """Have the request in the directory signed."""
    files = {"cert": "leaf.crt", "chain": "chain.crt", "fullchain": "edge.crt"}
    paths = [word for option, name in files.items() for word in (f"--{option}-path", str(directory / name))]
    configuration = ["--config", str(CONFIGURATION / "certbot.ini"), "--csr", str(directory / "request.pem")]
    if subprocess.run(["certbot", "certonly", *configuration, *paths], check=False).returncode:
        raise Refused("the CA did not issue a certificate; what it said stands above")


def issue(wish: Wish, pairs: Path = PAIRS) -> Path:
    """A new pair, in a directory of its own; half a pair never stays."""
    pairs.mkdir(mode=0o700, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=".new-", dir=pairs))
    try:
        key = new_key(wish.key_type)
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        with open(os.open(staged / "edge.key", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(key.private_bytes(*form))
        (staged / "request.pem").write_bytes(request_for(key, wish.names))
        (staged / "directory").write_text(f"{wish.directory}\n")
        certbot(staged)
        pair = load(staged)
        if wrong := faults(pair, wish.names, datetime.now(UTC)):
            raise Refused(f"the CA issued a certificate that does not serve: {'; '.join(wrong)}")
        if pair.has_responder:
            (staged / "stapling.conf").write_text("ssl_stapling on;\n")
        final = pairs / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
        staged.rename(final)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return final


def go_live(pair: Path, live: Path = LIVE) -> None:
    """Point the link at the pair, in one step, and keep no pair but this one and the one before it."""
    before = live.resolve()
    link = live.with_name("live.new")
    link.unlink(missing_ok=True)
    link.symlink_to(pair)
    link.rename(live)
    for old in pair.parent.iterdir():
        if old not in (pair, before):
            shutil.rmtree(old)


def fingerprint_served(name: str) -> bytes:
    """That of the certificate which nginx presents now; nothing when it does not answer."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection(("127.0.0.1", 443), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname=name) as connection,
        ):
            served = connection.getpeercert(binary_form=True) or b""
    except OSError:
        return b""
    return hashlib.sha256(served).digest()


def present(wish: Wish) -> None:
    """See that nginx presents the live pair, also when the run that put it there was killed."""
    wanted = load(LIVE).certificate.fingerprint(hashes.SHA256())
    if fingerprint_served(wish.names[0]) == wanted:
        return
    begun = time.time()
    subprocess.run(["systemctl", "reload", "nginx.service"], check=True)
    RELOADED.touch()
    os.utime(RELOADED, (begun, begun))
    while fingerprint_served(wish.names[0]) != wanted:
        if time.time() - begun > WAIT_SECONDS:
            raise Refused(f"nginx was reloaded, and after {WAIT_SECONDS} s it does not present {LIVE}/edge.crt")
        time.sleep(0.1)


def main(arguments: list[str]) -> str:
    wish = Wish(**json.loads((CONFIGURATION / "edge.json").read_text()))
    why = due(load(LIVE), wish, datetime.now(UTC)) or ("it was asked for" if ASKED_FOR.exists() else "")
    if arguments == ["--due"]:
        return why
    if why:
        print(f"A new certificate is issued, since {why}", flush=True)
        go_live(issue(wish))
        ASKED_FOR.unlink(missing_ok=True)
    present(wish)
    return f"nginx presents the certificate that ends on {load(LIVE).ends:%Y-%m-%d}"


if __name__ == "__main__":
    try:
        print(main(sys.argv[1:]))
    except Refused as refusal:
        sys.exit(f"{refusal}. The certificate before it goes on serving.")
