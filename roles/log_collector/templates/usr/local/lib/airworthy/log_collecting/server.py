# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Serves each client by itself: reads what has come, has it written, acknowledges it, and only then reads on."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import listening
import relp_frames
from journal import tell
from store import Store
from syslog_lines import line, utc_now

CHUNK = 256 * 1024  # bytes that are read at a time
NO_CLIENT = "its certificate has the name of no client"
REST = 5.0  # seconds for which a client rests whose lines could not be written
# After 60 s of silence a client is asked whether it is still there, and after another 45 s it is not.
KEEPALIVE = {socket.TCP_KEEPIDLE: 60, socket.TCP_KEEPINTVL: 15, socket.TCP_KEEPCNT: 3}


class Server:
    def __init__(self, clients: Sequence[str], store: Store) -> None:
        self._clients, self._store = clients, store

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host = named(writer.get_extra_info("peercert") or {}, self._clients)
        keep_alive(writer.get_extra_info("socket"))
        try:
            if host is None:
                return tell(f"refused {listening.printed(writer.get_extra_info('peername'))}: {NO_CLIENT}")
            await self._serve(host, reader, writer)
        except relp_frames.Malformed as error:
            tell(f"{host} has sent {error}")
        except OSError as error:
            tell(f"{host}: {error}")
            await asyncio.sleep(REST)  # it would only come back with the same
        except asyncio.CancelledError:
            return None  # the program ends; Python 3.11 would print that as an error of its own
        finally:
            writer.close()
        return None

    async def _serve(self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = relp_frames.Frames()
        while data := await reader.read(CHUNK):
            come = list(frames.feed(data))
            now = utc_now()
            self._store.write(host, [line(frame.data, host, now) for frame in come if frame.command == b"syslog"])
            writer.write(b"".join(answers(come)))
            await writer.drain()
            if any(frame.command == b"close" for frame in come):
                return


def answers(frames: Iterable[relp_frames.Frame]) -> Iterable[bytes]:
    said = {b"open": relp_frames.OFFER, b"syslog": b"200 OK", b"close": b"200 OK"}
    return [relp_frames.answer(frame.number, said.get(frame.command, b"500 unknown command")) for frame in frames]


def keep_alive(connection: socket.socket) -> None:
    """A client that vanished without a word would hold its connection for ever."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE.items():
        connection.setsockopt(socket.IPPROTO_TCP, option, value)


def named(certificate: Mapping[str, Any], clients: Sequence[str]) -> str | None:
    """The client whose name the certificate has."""
    names = {name for kind, name in certificate.get("subjectAltName", ()) if kind == "DNS"}
    return next((client for client in clients if client in names), None)
