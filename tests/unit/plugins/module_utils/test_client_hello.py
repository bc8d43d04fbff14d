"""Handshakes made by hand are believed only because a server that accepts them is seen to accept them."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils import client_hello
from ansible_collections.airworthy.stack.plugins.module_utils.client_hello import Reply
from tls_server import DOMAIN, Certificate, accepting, make_certificate, server_context

pytestmark = pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")  # they are offered on purpose

SERVER_HELLO_3DES = bytes.fromhex("16030300" "2a" "02000026" "0303") + bytes(32) + bytes.fromhex("00" "000a" "00")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Certificate]:
    yield make_certificate(tmp_path_factory.mktemp("certificate"))


def greet(port: int, version: int, suites: tuple[int, ...], name: str = DOMAIN) -> Reply:
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        return client_hello.greet(connection, name, version, suites)


def handshake(context: ssl.SSLContext):  # type: ignore[no-untyped-def]
    return accepting(lambda connection: context.wrap_socket(connection, server_side=True).close())


@pytest.mark.parametrize(
    ("number", "version"),
    [(client_hello.TLS1_0, ssl.TLSVersion.TLSv1), (client_hello.TLS1_1, ssl.TLSVersion.TLSv1_1)],
)
def test_an_old_protocol_is_accepted_by_a_server_that_offers_it_and_refused_by_one_that_does_not(
    certificate: Certificate, number: int, version: ssl.TLSVersion
) -> None:
    careless = server_context(certificate, minimum=version, ciphers="ALL:@SECLEVEL=0")
    with handshake(careless) as port:
        assert greet(port, number, client_hello.LEGACY).accepted
    with handshake(server_context(certificate)) as port:
        reply = greet(port, number, client_hello.LEGACY)
        assert reply.refused
        assert str(reply) == "alert protocol_version"


@pytest.mark.parametrize(
    ("family", "ciphers"),
    [
        ("key exchange without forward secrecy", "AES128-GCM-SHA256"),
        ("CBC mode", "ECDHE-RSA-AES128-SHA"),
        ("no encryption", "NULL-SHA256:@SECLEVEL=0"),
        ("export or anonymous", "ADH-AES128-SHA:AECDH-AES128-SHA:@SECLEVEL=0"),
    ],
)
def test_a_weak_cipher_is_accepted_by_a_server_that_offers_it_and_refused_by_one_that_does_not(
    certificate: Certificate, family: str, ciphers: str
) -> None:
    careless = server_context(certificate, ciphers=ciphers, maximum=ssl.TLSVersion.TLSv1_2)
    with handshake(careless) as port:
        assert greet(port, client_hello.TLS1_2, client_hello.WEAK[family]).accepted
    with handshake(server_context(certificate)) as port:
        reply = greet(port, client_hello.TLS1_2, client_hello.WEAK[family])
        assert reply.refused
        assert str(reply) == "alert handshake_failure"


def test_a_modern_handshake_made_by_hand_is_accepted(certificate: Certificate) -> None:
    with handshake(server_context(certificate)) as port:
        assert greet(port, client_hello.TLS1_2, client_hello.MODERN).accepted


def test_a_stranger_is_told_that_the_name_is_unknown(certificate: Certificate) -> None:
    with handshake(server_context(certificate)) as port:
        reply = greet(port, client_hello.TLS1_2, client_hello.MODERN, "unknown.invalid")
        assert str(reply) == "alert unrecognized_name"
        assert not reply.refused


@pytest.mark.parametrize(
    ("record", "accepted", "refused", "words"),
    [
        (SERVER_HELLO_3DES, True, False, "accepted, with cipher suite 0x000A"),
        (bytes.fromhex("15030300020228"), False, True, "alert handshake_failure"),
        (bytes.fromhex("15030300020250"), False, False, "alert internal_error"),
        (b"HTTP/1.1 400 Bad Request\r\n", False, False, "not TLS"),
        (b"", False, True, "hung up"),
    ],
)
def test_a_reply_is_read(record: bytes, accepted: bool, refused: bool, words: str) -> None:
    def reply_with(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(record)

    with accepting(reply_with) as port:
        reply = greet(port, client_hello.TLS1_2, client_hello.WEAK["3DES"])
    assert (reply.accepted, reply.refused) == (accepted, refused)
    assert words in str(reply)


def test_a_server_that_says_nothing_refuses_nothing() -> None:
    def be_silent(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.recv(4096)

    with accepting(be_silent) as port, socket.create_connection(("127.0.0.1", port), 0.2) as connection:
        reply = client_hello.greet(connection, DOMAIN, client_hello.TLS1_2, client_hello.MODERN)
    assert not reply.accepted
    assert not reply.refused
    assert "timed out" in str(reply)


def test_a_hello_of_ssl3_names_no_server() -> None:
    record = client_hello.hello(DOMAIN, client_hello.SSL3, client_hello.LEGACY)
    assert record[:3] == b"\x16\x03\x00"
    assert DOMAIN.encode() not in record
