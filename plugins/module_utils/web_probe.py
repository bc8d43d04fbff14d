# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What several audits of an edge ask for: origins that imitate others, files that a page refers to, new clients."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from urllib.parse import urlsplit


def foreign_origins(origins: Iterable[str]) -> list[str]:
    """Origins that a careless comparison takes for those allowed."""
    origins = list(origins)
    found = ["null", "https://evil.example"]
    for origin in origins:
        scheme, host, port = (parts := urlsplit(origin)).scheme, parts.hostname or "", parts.port
        found += [
            f"{scheme}://evil{host}",
            f"{scheme}://evil.{host}",
            f"{origin}.evil.example",
            f"{scheme}://{host.replace('.', 'x', 1)}",
            f"{scheme}://{host}:{(port or 443) + 1}",
            f"{'http' if scheme == 'https' else 'https'}://{host}",
        ]
    return [origin for origin in dict.fromkeys(found) if origin not in origins]


def static_file(page: str, prefixes: Iterable[str]) -> str:
    """The first static file that a page refers to."""
    below = "|".join(re.escape(prefix) for prefix in prefixes)
    found = re.search(rf"""(?:src|href)=["']?((?:{below})[^"'\s>]+)""", page) if below else None
    return found[1] if found else ""


def new_client(key: str) -> dict[str, str]:
    """The header with which one is a client that the edge has not seen before; none without the key."""
    return {"X-Airworthy-Probe": f"{key}.{secrets.token_hex(8)}"} if key else {}
