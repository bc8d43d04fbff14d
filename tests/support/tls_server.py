"""Small servers on the loopback interface, as good or as bad as a test wants them."""

from __future__ import annotations

import datetime
import functools
import http.server
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

DOMAIN = "app.example.org"


Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Certificate:
    """Files in PEM format."""

    ca: Path
    certificate: Path
    key: Path


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


@functools.cache
def _server_key() -> rsa.RSAPrivateKey:
    """RSA, since a key exchange without forward secrecy needs it; made once, since it takes a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _builder(subject: str, issuer: str, key: Key, days: float) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=400))
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def make_certificate(
    directory: Path, *, name: str = DOMAIN, days: float = 90, intermediate: bool = False
) -> Certificate:
    """A CA and a certificate of it. With an intermediate CA, the file lacks it, as if its owner had forgotten it."""
    directory.mkdir(parents=True, exist_ok=True)
    root, middle, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1()), _server_key()
    is_ca = x509.BasicConstraints(ca=True, path_length=None)
    ca = _builder("root", "root", root, 3650).add_extension(is_ca, critical=True).sign(root, hashes.SHA256())
    issuer, issuer_name = (middle, "middle") if intermediate else (root, "root")
    names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    own = _builder(name, issuer_name, leaf, days).add_extension(names, critical=False).sign(issuer, hashes.SHA256())
    files = Certificate(directory / "ca.crt", directory / "server.crt", directory / "server.key")
    files.ca.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    files.certificate.write_bytes(own.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        leaf.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    return files


def server_context(
    certificate: Certificate,
    *,
    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ciphers: str = "ECDHE+AESGCM:ECDHE+CHACHA20",
    alpn: tuple[str, ...] = ("h2", "http/1.1"),
    only: str = DOMAIN,
) -> ssl.SSLContext:
    """What a well-kept server would offer, unless told otherwise. It refuses other names than `only`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    context.minimum_version, context.maximum_version = minimum, maximum
    context.set_ciphers(ciphers)
    context.set_alpn_protocols(list(alpn))

    def refuse_others(_connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> int | None:
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME if only and name != only else None

    context.sni_callback = refuse_others
    return context


@contextmanager
def accepting(converse: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that has a conversation on each connection; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def work(connection: socket.socket) -> None:
        with connection:
            connection.settimeout(5)
            try:
                converse(connection)
            except OSError:
                return  # the client hung up, or was refused, as the test wants it

    def serve() -> None:
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=work, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


@contextmanager
def serving(
    handler: type[http.server.BaseHTTPRequestHandler], context: ssl.SSLContext | None = None
) -> Iterator[int]:
    """A web server, over TLS when it has a context; its port."""

    def converse(connection: socket.socket) -> None:
        client = context.wrap_socket(connection, server_side=True) if context else connection
        try:
            handler(client, ("127.0.0.1", 0), None)  # type: ignore[arg-type]
        finally:
            client.close()

    with accepting(converse) as port:
        yield port


@dataclass(frozen=True)
class Page:
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


def answering(answer: Callable[[http.server.BaseHTTPRequestHandler], Page]) -> type[http.server.BaseHTTPRequestHandler]:
    """A request handler that answers with what a function makes of the request, and nothing else."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            page = answer(self)
            self.send_response_only(page.status)
            for name, value in page.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(page.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(page.body)

        do_GET = do_POST = do_OPTIONS = do_TRACE = do_HEAD = _answer

        def log_message(self, *_: object) -> None:
            pass

    return Handler
