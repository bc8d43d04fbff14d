# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What several audits of an edge ask for: origins that imitate others, files that a page refers to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit


def sample_origin(origin: str) -> str:
    """An origin that a pattern stands for; without a pattern the origin itself."""
    return origin.replace("*", "airworthy")


def stands_for(pattern: str, origin: str) -> bool:
    return bool(re.fullmatch("[a-z0-9-]+".join(map(re.escape, pattern.split("*"))), origin))


def foreign_origins(origins: Iterable[str]) -> list[str]:
    """Origins that a careless comparison takes for those allowed."""
    origins = list(origins)
    found = ["null", "https://evil.example"]
    for origin in origins:
        parts = urlsplit(sample_origin(origin))
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
        label, _dot, domain = host.partition(".")
        end = f":{port}" if port else ""
        found += [
            f"{scheme}://evil.{host}{end}",
            f"{sample_origin(origin)}.evil.example",
            f"{scheme}://{label}x{domain}{end}",
            f"{scheme}://{host}:{(port or 443) + 1}",
            f"{'http' if scheme == 'https' else 'https'}://{host}{end}",
            f"{scheme}://{domain}{end}" if "*" in origin else f"{scheme}://evil{host}{end}",
        ]
    return [origin for origin in dict.fromkeys(found) if origin not in origins]


def static_file(page: str, prefixes: Iterable[str]) -> str:
    """The first static file that a page refers to."""
    below = "|".join(re.escape(prefix) for prefix in prefixes)
    found = re.search(rf"""(?:src|href)=["']?((?:{below})[^"'\s>]+)""", page) if below else None
    return found[1] if found else ""
