# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The sending side of RELP, the Reliable Event Logging Protocol, version 0, over TLS.

A frame is "TXNR COMMAND LENGTH DATA LF". The receiver answers each with "TXNR rsp LENGTH DATA LF", whose data begin
with 200 when it has the message in its hands. https://www.rsyslog.com/doc/relp.html
"""

from __future__ import annotations

import itertools
import socket
import ssl
from collections.abc import Sequence
from typing import NamedTuple

OFFER = b"relp_version=0\nrelp_software=airworthy\ncommands=syslog"
LAST_NUMBER = 999_999_999
LONGEST_WORD = 16
LONGEST_ANSWER = 1 << 16  # bytes


class Refused(OSError):
    """The receiver does not take what it was sent, or speaks something else."""


class Collector(NamedTuple):
    address: str
    port: int
    name: str  # in its certificate
    timeout: float  # seconds that it may take for an answer


class Connection:
    """Open when it is made. After any error it is of no use, and what was not acknowledged is to be sent anew."""

    def __init__(self, collector: Collector, context: ssl.SSLContext) -> None:
        plain = socket.create_connection((collector.address, collector.port), collector.timeout)
        try:
            self._socket = context.wrap_socket(plain, server_hostname=collector.name)
            self._answers = self._socket.makefile("rb")
            self._numbers = itertools.cycle(range(1, LAST_NUMBER + 1))
            self._deliver(b"open", [OFFER])
        except BaseException:
            plain.close()
            raise

    def deliver(self, messages: Sequence[bytes]) -> None:
        """Returns when the receiver has acknowledged each of them, and not before."""
        self._deliver(b"syslog", messages)

    def close(self) -> None:
        self._answers.close()
        self._socket.close()

    def _deliver(self, command: bytes, messages: Sequence[bytes]) -> None:
        numbered = list(zip(messages, self._numbers, strict=False))  # in this order, which wastes no number
        frames = (b"%d %s %d %s\n" % (number, command, len(message), message) for message, number in numbered)
        self._socket.sendall(b"".join(frames))
        missing = {number for _message, number in numbered}
        while missing:
            number, said = self._answer()
            if not said.startswith(b"200"):
                raise Refused(f"the collector says {said[:200].decode(errors='replace')!r}")
            missing.discard(number)

    def _answer(self) -> tuple[int, bytes]:
        number, command, length = self._word(), self._word(), self._word()
        if not (number.isdigit() and length.isdigit() and command in {b"rsp", b"serverclose"}):
            raise Refused(f"the collector says {b' '.join((number, command, length))!r}, which is no RELP")
        if int(length) > LONGEST_ANSWER:
            raise Refused(f"the collector announces an answer of {int(length)} bytes")
        if command == b"serverclose":
            raise Refused("the collector ends the connection")
        return int(number), self._answers.read(int(length) + 1)[:-1] if int(length) else b""

    def _word(self) -> bytes:
        word = b""
        while len(word) < LONGEST_WORD:
            byte = self._answers.read(1)
            if not byte:
                raise Refused("the collector has ended the connection")
            if byte in b" \n":
                break
            word += byte
        return word
