# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The frames of RELP, as the receiving side has them. https://www.rsyslog.com/doc/relp.html"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

HEAD = re.compile(rb"(\d{1,9}) ([a-z]{1,32}) (\d{1,9})(?: |(?=\n))")
LONGEST_HEAD = 64
LONGEST = 160 * 1024  # bytes of a message; a shipper sends 128 KiB at most, and what stands around it
OFFER = b"200 OK\nrelp_version=0\nrelp_software=airworthy\ncommands=syslog"


class Malformed(ValueError):
    """What a client has sent is no RELP, or too long."""


class Frame(NamedTuple):
    number: int
    command: bytes
    data: bytes


class Frames:
    """What of a stream is complete."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[Frame]:
        self._buffer += data
        at = 0
        while found := HEAD.match(self._buffer, at):
            length = int(found[3])
            if length > LONGEST:
                raise Malformed(f"a message of {length} bytes")
            end = found.end() + length
            if len(self._buffer) <= end:
                break
            if self._buffer[end : end + 1] != b"\n":
                raise Malformed("a frame that does not end where it should")
            yield Frame(int(found[1]), found[2], self._buffer[found.end() : end])
            at = end + 1
        self._buffer = self._buffer[at:]
        if not HEAD.match(self._buffer) and len(self._buffer) > LONGEST_HEAD:
            raise Malformed("no frame")


def answer(number: int, data: bytes) -> bytes:
    return b"%d rsp %d %s\n" % (number, len(data), data)
