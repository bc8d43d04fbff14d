# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Accepts connections over TLS, and tells whom it has refused: asyncio's own server does so silently."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from journal import tell

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HANDSHAKE = 15  # seconds
REST = 1.0  # seconds, when there are no descriptors left
BACKLOG = 256


def listen(port: int) -> socket.socket:
    """On all addresses, of IPv4 alone where there is no IPv6."""
    if socket.has_dualstack_ipv6():
        found = socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG)
    else:
        found = socket.create_server(("", port), backlog=BACKLOG)
    found.setblocking(False)
    return found


async def accept(listening: socket.socket, context: ssl.SSLContext, serve: Serve) -> None:
    """Until it is cancelled."""
    loop, begun = asyncio.get_running_loop(), set[asyncio.Task[None]]()
    while True:
        try:
            connection, address = await loop.sock_accept(listening)
        except OSError as error:
            tell(f"takes no connection: {error}")
            await asyncio.sleep(REST)
            continue
        task = loop.create_task(_shake_hands(connection, address, context, serve))
        begun.add(task)  # the loop itself would let go of it
        task.add_done_callback(begun.discard)


async def _shake_hands(connection: socket.socket, address: Any, context: ssl.SSLContext, serve: Serve) -> None:
    loop = asyncio.get_running_loop()

    def protocol() -> asyncio.StreamReaderProtocol:
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(), serve)

    try:
        await loop.connect_accepted_socket(protocol, connection, ssl=context, ssl_handshake_timeout=HANDSHAKE)
    except OSError as error:
        tell(f"refused {printed(address)}: {str(error) or 'it has left before it had a certificate'}")


def printed(address: Any) -> str:
    return str(address[0]).removeprefix("::ffff:")
