"""A collector that speaks RELP over TLS and wants a certificate, as good or as bad as a test wants it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, NamedTuple

from tls_server import Certificate, accepting, server_context


class Frame(NamedTuple):
    number: int
    command: bytes
    data: bytes


# What is answered to the frames of one delivery; None ends the connection.
Answer = Callable[[Sequence[Frame]], bytes | None]


def answer(number: int, said: bytes = b"200 OK") -> bytes:
    return b"%d rsp %d %s\n" % (number, len(said), said)


def acknowledge(frames: Sequence[Frame]) -> bytes:
    return b"".join(answer(frame.number) for frame in frames)


def read_frame(stream: IO[bytes]) -> Frame | None:
    words = b""
    while words.count(b" ") < 3:
        if not (byte := stream.read(1)):
            return None
        words += byte
    number, command, length = words.split()
    data = stream.read(int(length))
    assert stream.read(1) == b"\n"
    return Frame(int(number), command, data)


@dataclass
class RelpServer:
    """`answers` are for one delivery each, and what comes after the last is acknowledged."""

    size: int = 1  # frames of a delivery
    opening: Answer = acknowledge
    answers: list[Answer] = field(default_factory=list)
    hangs_up: bool = False  # after an answer to a delivery
    port: int = 0
    connections: list[list[Frame]] = field(default_factory=list)
    peers: list[str] = field(default_factory=list)

    @property
    def messages(self) -> list[bytes]:
        """All that came, acknowledged or not."""
        return [frame.data for frames in self.connections for frame in frames if frame.command == b"syslog"]

    def converse(self, connection: ssl.SSLSocket) -> None:
        subject = connection.getpeercert()["subject"]  # type: ignore[index]
        self.peers.append(dict(pair[0] for pair in subject)["commonName"])  # type: ignore[misc,index]
        frames: list[Frame] = []
        self.connections.append(frames)
        with connection.makefile("rb") as stream:
            several: list[Frame] = []
            while frame := read_frame(stream):
                frames.append(frame)
                several.append(frame)
                if frame.command == b"open":
                    handle = self.opening
                elif len(several) == self.size:
                    handle = self.answers.pop(0) if self.answers else acknowledge
                else:
                    continue
                if (said := handle(several)) is None:
                    return
                connection.sendall(said)
                if self.hangs_up and frame.command != b"open":
                    return
                several = []


@contextmanager
def collecting(certificate: Certificate, clients: Certificate, server: RelpServer) -> Iterator[RelpServer]:
    """With a certificate, for those whom the CA of `clients` vouches for."""
    context = server_context(certificate, alpn=(), only="")
    context.load_verify_locations(clients.ca)
    context.verify_mode = ssl.CERT_REQUIRED

    def converse(plain: socket.socket) -> None:
        with context.wrap_socket(plain, server_side=True) as connection:
            server.converse(connection)

    with accepting(converse) as server.port:
        yield server
