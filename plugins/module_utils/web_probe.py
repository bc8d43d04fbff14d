# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What several audits of an edge ask for: origins that imitate others, files that a page refers to, bursts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from ansible_collections.airworthy.stack.plugins.module_utils.web_client import Answer

# Connections at a time: enough to be faster than the limit over a long line.
AT_ONCE = 32
# How often a burst is sent to a limit that has refused nothing yet. All of them exceed a limit that allows, in the time
# that they take, nine tenths of them: 1 - burst / (ROUNDS * (2 * burst + AT_ONCE)).
ROUNDS = 4


def sample_origin(origin: str) -> str:
    """An origin that a pattern stands for; without a pattern the origin itself."""
    return origin.replace("*", "airworthy")


def origin_expression(pattern: str) -> str:
    """The regular expression of a pattern, without anchors. `*` is never a dot, lest it stand for a stranger's name."""
    return "[a-z0-9-]+".join(map(re.escape, pattern.split("*")))


def stands_for(pattern: str, origin: str) -> bool:
    return bool(re.fullmatch(origin_expression(pattern), origin))


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


def exceed(burst: int, ask: Callable[[], Answer]) -> list[Answer]:
    """The answers to more requests at once than a limit that allows such a burst lets through.

    A limit lets more through while time goes by: a busy machine, which asks slowly, asks on until an answer differs.
    """
    answers: list[Answer] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _round in range(ROUNDS):
            asked = [pool.submit(ask) for number in range(2 * burst + AT_ONCE)]
            answers += [each.result() for each in asked]
            if len({answer.status for answer in answers}) > 1:
                break
    return answers
