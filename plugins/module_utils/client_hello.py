# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The first message of a TLS handshake, made by hand, to learn what a server would still accept.

The OpenSSL of a controller cannot offer RC4, 3DES or SSL 3, and often not TLS 1.0: with it, a server that accepts them
looks like one that does not. One message suffices, since a server answers with its choice or with an alert (RFC 5246).
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

SSL3, TLS1_0, TLS1_1, TLS1_2 = 0x0300, 0x0301, 0x0302, 0x0303
VERSIONS = {SSL3: "SSL 3", TLS1_0: "TLS 1.0", TLS1_1: "TLS 1.1", TLS1_2: "TLS 1.2"}

MODERN = (0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8)  # ECDHE with AES-GCM or ChaCha20
LEGACY = (0xC009, 0xC00A, 0xC013, 0xC014, 0x002F, 0x0035, 0x0033, 0x0039, 0x000A, 0x0005)  # for versions before 1.2
WEAK = {
    "key exchange without forward secrecy": (0x009C, 0x009D, 0x003C, 0x003D, 0x002F, 0x0035),
    "CBC mode": (0xC009, 0xC00A, 0xC013, 0xC014, 0xC023, 0xC024, 0xC027, 0xC028, 0x0033, 0x0039, 0x0067, 0x006B),
    "3DES": (0x000A, 0x0016, 0xC008, 0xC012),
    "RC4": (0x0004, 0x0005, 0xC007, 0xC011),
    "no encryption": (0x0001, 0x0002, 0x003B, 0xC006, 0xC010),
    "export or anonymous": (0x0003, 0x0008, 0x0014, 0x0034, 0x003A, 0x006C, 0x006D, 0xC018, 0xC019),
}

GROUPS = (0x001D, 0x0017, 0x0018)
SIGNATURES = (0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0203, 0x0201)

HANDSHAKE, ALERT = 22, 21
CLIENT_HELLO, SERVER_HELLO = 1, 2
ALERTS = {40: "handshake_failure", 47: "illegal_parameter", 50: "decode_error", 70: "protocol_version"} | {
    71: "insufficient_security",
    80: "internal_error",
    112: "unrecognized_name",
}
# With these alerts a server refuses what was offered. Others say something about the message or the name.
REFUSALS = {40, 70, 71}
HUNG_UP = "hung up"


@dataclass(frozen=True)
class Reply:
    """What a server said to a hello: the suite that it chose, or the alert, or neither when it hung up."""

    suite: int | None = None
    alert: int | None = None
    failure: str = ""

    @property
    def accepted(self) -> bool:
        return self.suite is not None

    @property
    def refused(self) -> bool:
        return self.alert in REFUSALS or self.failure == HUNG_UP

    def __str__(self) -> str:
        if self.suite is not None:
            return f"accepted, with cipher suite 0x{self.suite:04X}"
        if self.alert is not None:
            return f"alert {ALERTS.get(self.alert, self.alert)}"
        return self.failure


def _vector(width: str, content: bytes) -> bytes:
    """Content behind its length, as TLS writes it."""
    return struct.pack(f"!{width}", len(content)) + content


def _numbers(values: Sequence[int]) -> bytes:
    return b"".join(struct.pack("!H", value) for value in values)


def _extensions(name: str) -> bytes:
    server_name = _vector("H", b"\0" + _vector("H", name.encode("idna")))
    extensions = [
        (0x0000, server_name),
        (0x000A, _vector("H", _numbers(GROUPS))),
        (0x000B, _vector("B", b"\0")),
        (0x000D, _vector("H", _numbers(SIGNATURES))),
    ]
    return _vector("H", b"".join(struct.pack("!H", kind) + _vector("H", content) for kind, content in extensions))


def hello(name: str, version: int, suites: Sequence[int]) -> bytes:
    """A ClientHello for a server name, in its record."""
    message = struct.pack("!H", version) + os.urandom(32) + _vector("B", b"") + _vector("H", _numbers(suites))
    message += _vector("B", b"\0")
    if version > SSL3:
        message += _extensions(name)
    handshake = struct.pack("!B", CLIENT_HELLO) + struct.pack("!I", len(message))[1:] + message
    return struct.pack("!BH", HANDSHAKE, min(version, TLS1_0)) + _vector("H", handshake)


def parse(record: bytes) -> Reply:
    """The reply in a server's first record."""
    kind, body = record[0], record[5:]
    if kind == ALERT and len(body) >= 2:
        return Reply(alert=body[1])
    if kind == HANDSHAKE and body[:1] == bytes([SERVER_HELLO]) and len(body) > 38:
        suite = 39 + body[38]  # after type, length, version, random and the session id
        return Reply(suite=struct.unpack_from("!H", body, suite)[0])
    return Reply(failure=f"answered something that is not TLS: {record[:16]!r}")


def greet(connection: socket.socket, name: str, version: int, suites: Sequence[int]) -> Reply:
    """Send a hello and read the first record of the answer."""
    try:
        connection.sendall(hello(name, version, suites))
        with connection.makefile("rb") as stream:
            header = stream.read(5)
            if len(header) < 5:
                return Reply(failure=HUNG_UP)
            return parse(header + stream.read(struct.unpack_from("!H", header, 3)[0]))
    except ConnectionError:
        return Reply(failure=HUNG_UP)
    except OSError as failure:
        return Reply(failure=str(failure) or type(failure).__name__)
