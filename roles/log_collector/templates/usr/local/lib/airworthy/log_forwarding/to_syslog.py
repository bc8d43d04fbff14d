# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Syslog over TLS: RFC 5424 in the frames of RFC 5425, with the record as the message.

https://www.rfc-editor.org/rfc/rfc5424#section-6, https://www.rfc-editor.org/rfc/rfc5425#section-4.3

It has no acknowledgement. What is sent counts when the system of the receiver has it (its TCP has acknowledged it). A
receiver that was killed may not have read that, so the last batch comes again on each new connection.
"""

from __future__ import annotations

import fcntl
import re
import select
import socket
import ssl
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from entries import Entry
from sinks import Outcome
from wanted import LEVELS

PORT = 6514
TIMEOUT = 30.0  # seconds
CLOSING = 1.0
POLL = 0.002
LOCAL0 = 16  # RFC 5424, 6.2.1
UNUSUAL = re.compile(r"[^\x21-\x7e]")  # RFC 5424, 6: PRINTUSASCII
LONGEST_HOST, LONGEST_PROGRAM = 255, 48


class Syslog:
    def __init__(self, settings: Mapping[str, Any], context: ssl.SSLContext) -> None:
        self._address, self._port, self._context = settings["address"], int(settings.get("port") or PORT), context
        self._socket: ssl.SSLSocket | None = None
        self._before = b""

    def deliver(self, entries: Sequence[Entry]) -> Outcome:
        data = b"".join(map(frame, entries))
        try:
            if self._socket is None or has_ended(self._socket):
                self.close()
                self._socket = self._connected()
                self._send(self._socket, self._before)
            self._send(self._socket, data)
        except OSError:
            self.close()
            raise
        self._before = data
        return Outcome()

    def close(self) -> None:
        """RFC 5425, 4.4: not without a close_notify, for whose answer it need not wait long."""
        if self._socket:
            with suppress(OSError, ValueError):
                self._socket.settimeout(CLOSING)
                self._socket.unwrap()
            self._socket.close()
            self._socket = None

    def _connected(self) -> ssl.SSLSocket:
        plain = socket.create_connection((self._address, self._port), TIMEOUT)
        try:
            return self._context.wrap_socket(plain, server_hostname=self._address)
        except BaseException:
            plain.close()
            raise

    def _send(self, connection: ssl.SSLSocket, data: bytes) -> None:
        if data:
            connection.sendall(data)
        limit = time.monotonic() + TIMEOUT
        while is_waiting := unacknowledged(connection) > 0:
            if has_ended(connection) or time.monotonic() > limit:
                break
            time.sleep(POLL)
        if has_ended(connection):
            raise ConnectionError("it has ended the connection")
        if is_waiting:
            raise TimeoutError("it does not take what was sent")


def frame(entry: Entry) -> bytes:
    said = message(entry)
    return b"%d %s" % (len(said), said)


def message(entry: Entry) -> bytes:
    severity = LEVELS.index(entry.level) if entry.level in LEVELS else LEVELS.index("info")
    host, program = field(entry.log.host, LONGEST_HOST), field(entry.log.program, LONGEST_PROGRAM)
    return f"<{8 * LOCAL0 + severity}>1 {entry.time} {host} {program} - - - ".encode() + entry.text


def field(text: str, longest: int) -> str:
    return UNUSUAL.sub("_", text)[:longest] or "-"


def unacknowledged(connection: socket.socket) -> int:
    """Bytes that the other side's TCP has not acknowledged. See tcp(7), SIOCOUTQ."""
    return struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0]


def has_ended(connection: ssl.SSLSocket) -> bool:
    """A receiver says nothing, so whatever there is to read may be its end; or a session ticket, which is read here."""
    connection.setblocking(False)
    try:
        while select.select([connection], [], [], 0)[0]:
            if not connection.recv(4096):
                return True
    except ssl.SSLWantReadError:
        return False
    except OSError:
        return True
    finally:
        connection.settimeout(TIMEOUT)
    return False
