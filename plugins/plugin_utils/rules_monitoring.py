# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rules about monitoring. See rules.py for what a rule is. Addresses of receivers are secrets, and never shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.airworthy.stack.plugins.module_utils.catalogue import ALL_IN_ONE_GROUP

from . import shapes

Values = Mapping[str, Any]

# By type of receiver, what it must have, and what it may have besides.
NEEDS = {"email": ("smarthost",), "slack": ("url",), "pagerduty": ("routing_key",), "webhook": ("url",)}
MAY = {"email": ("to", "from", "username", "password"), "slack": ("channel",), "webhook": ("username", "password")}
EVERY = ("type", "severities")
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def watchers_can_watch(values: Values) -> Iterator[str]:
    """A host that carries no Prometheus watches nobody."""
    groups = values.get("groups") or {}
    able = [*groups.get(ALL_IN_ONE_GROUP, ()), *groups.get("monitoring", ())]
    for name in values.get("airworthy_watched_by") or ():
        if name not in able:
            yield f"airworthy_watched_by has {name!r}, which is in neither monitoring nor server; write {_some(able)}"


def receivers_are_complete(values: Values) -> Iterator[str]:
    """An alert that cannot be sent is noticed when it is too late."""
    for number, receiver in enumerate(values.get("monitoring_receivers") or []):
        if not isinstance(receiver, Mapping) or receiver.get("type") not in NEEDS:
            continue
        kind, name = receiver["type"], f"monitoring_receivers[{number}]"
        if lacking := [key for key in NEEDS[kind] if not receiver.get(key)]:
            yield f"{name} is of type {kind} and lacks {', '.join(lacking)}"
        known = (*EVERY, *NEEDS[kind], *MAY.get(kind, ()))
        if strange := sorted(key for key, value in receiver.items() if value and key not in known):
            yield f"{name} is of type {kind}, which has no {', '.join(strange)}; remove it"
        if receiver.get("password") and not receiver.get("username"):
            yield f"{name} has a password and no username; write it, or remove the password"
        yield from _receivers_address(name, receiver)


def _receivers_address(name: str, receiver: Mapping[str, Any]) -> Iterator[str]:
    smarthost, url, to = (str(receiver.get(key) or "") for key in ("smarthost", "url", "to"))
    if smarthost and not re.fullmatch(r"[^\s:/]+:[0-9]+|\[[0-9a-f:]+\]:[0-9]+", smarthost):
        yield f"{name}.smarthost is {smarthost!r}; write a mail server with its port, as in smtp.example.org:587"
    if to and shapes.email(to):
        yield f"{name}.to is {to!r}; write an e-mail address, as in admin@example.org"
    if url and not _safe(url):
        yield f"{name}.url is no whole address with https; write one, as in https://hooks.example.org/alerts"


def copies_are_sent_safely(values: Values) -> Iterator[str]:
    """Series tell much of a site."""
    for number, receiver in enumerate(values.get("monitoring_remote_write") or []):
        url = receiver.get("url") if isinstance(receiver, Mapping) else None
        if url and (wrong := shapes.https_address(str(url))):
            yield f"monitoring_remote_write[{number}].url is {url!r}; {wrong}"


def watchdog_is_told_safely(values: Values) -> Iterator[str]:
    """Whoever knows the address can keep the dead man's switch quiet."""
    url = values.get("monitoring_watchdog_url")
    if url and not _safe(str(url)):
        yield "monitoring_watchdog_url is no whole address with https; write one, as in https://hc-ping.com/your-check"


def _safe(url: str) -> bool:
    return not shapes.https_address(url) or urlsplit(url).hostname in LOOPBACK


def _some(hosts: list[str]) -> str:
    return f"one of {', '.join(hosts)}" if hosts else "one of a group monitoring, which has no host yet"


RULES = (watchers_can_watch, receivers_are_complete, copies_are_sent_safely, watchdog_is_told_safely)
