# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Takes the logs of all servers, by RELP over TLS, and writes them into the store.

  python3 -I /usr/local/lib/airworthy/log_collecting SETTINGS STORE

Only the hosts that SETTINGS name get in, with a certificate of the CA. A line is on the disk before it is acknowledged,
so that no queue can be emptied by a crash or filled by a client; while the disk is full, clients keep what they
have.
"""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import sys
from pathlib import Path

import listening
from server import Server
from store import Store


async def main() -> None:
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(settings["ca"])
    context.load_cert_chain(settings["certificate"], settings["private_key"])
    server = Server(settings["clients"], Store(Path(sys.argv[2])))
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    accepting = asyncio.create_task(listening.accept(listening.listen(settings["port"]), context, server.serve))
    await stopped.wait()
    accepting.cancel()  # what was acknowledged is on the disk, so that clients need not be waited for


if __name__ == "__main__":
    asyncio.run(main())
