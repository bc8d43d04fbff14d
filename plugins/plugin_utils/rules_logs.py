# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rules about logs. See rules.py for what a rule is."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from ansible_collections.airworthy.stack.plugins.module_utils.catalogue import ALL_IN_ONE_GROUP

from . import shapes

Values = Mapping[str, Any]

# By type of a system that logs are forwarded to, what it must have, and what it may have besides.
TARGETS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "syslog": (("address",), ("port",)),
    "elasticsearch": (("url", "index"), ("user", "password")),
    "loki": (("url",), ("tenant", "user", "password")),
    "http": (("url",), ("token",)),
}
PUBLIC_KEY = re.compile(r"age1[02-9ac-hj-np-z]{58}|ssh-(ed25519|rsa) [A-Za-z0-9+/]+={0,2}( [^\r\n]*)?")
EVERY_TARGET = ("name", "type", "ca_file", "hosts", "programs", "level")

SHIPPER = Path(__file__).parents[2] / "roles/log_shipping/templates/usr/local/lib/airworthy/log_shipping"


def collector_can_collect(values: Values) -> Iterator[str]:
    """A host that takes no logs would refuse them for ever."""
    name, groups = values.get("airworthy_log_collector"), values.get("groups") or {}
    able = [*groups.get("logs", ()), *groups.get(ALL_IN_ONE_GROUP, ())]
    if name and name not in able:
        some = f"write one of {', '.join(able)}" if able else "put it into the group logs"
        yield f"airworthy_log_collector is {name!r}, which is in neither logs nor server; {some}"


def sources_can_be_read(values: Values) -> Iterator[str]:
    """The shipper would not start, or keep the lines under a name that is none."""
    for number, source in enumerate(values.get("log_shipping_files") or []):
        if not isinstance(source, Mapping):
            continue
        name = f"log_shipping_files[{number}]"
        if not re.fullmatch(r"[A-Za-z0-9_@-][A-Za-z0-9_.@-]{0,47}", str(source.get("program") or "")):
            yield f"{name}.program is {source.get('program')!r}; write up to 48 letters, digits, -, _, @ and ."
        if wrong := shapes.absolute_path(str(source.get("path") or "")):
            yield f"{name}.path is {source.get('path')!r}; {wrong}"
        if wrong := shapes.regular_expression(str(source.get("begins") or "")):
            yield f"{name}.begins is {source['begins']!r}; {wrong}"


def masking_rules_are_sound(values: Values) -> Iterator[str]:
    """The shipper itself says what is wrong with them."""
    rules = values.get("log_shipping_masking_rules") or []
    if isinstance(rules, list) and all(isinstance(rule, Mapping) for rule in rules):
        try:
            _masking().Masker.of([dict(rule) for rule in rules])
        except ValueError as error:
            yield f"log_shipping_masking_rules: {error}"


@cache
def _masking() -> ModuleType:
    """A program's module, which is part of no package."""
    sys.path.insert(0, str(SHIPPER))
    try:
        return importlib.import_module("masking")
    finally:
        sys.path.remove(str(SHIPPER))


def targets_are_complete(values: Values) -> Iterator[str]:
    """Logs would wait for a system that never gets them. What may hold a secret, as an address, is not shown."""
    names: set[str] = set()
    for number, target in enumerate(values.get("log_collector_forward_to") or []):
        if not isinstance(target, Mapping):
            continue
        where, name = f"log_collector_forward_to[{number}]", str(target.get("name") or "")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", name):
            yield f"{where}.name is {name!r}; write up to 32 letters, digits, - and _"
        elif name in names:
            yield f"{where}.name is {name!r}, as of another one; write another name"
        names.add(name)
        if target.get("type") in TARGETS:
            yield from _target_errors(where, target)


def _target_errors(where: str, target: Values) -> Iterator[str]:
    kind = target["type"]
    needs, may = TARGETS[kind]
    if lacking := [key for key in needs if not target.get(key)]:
        yield f"{where} is of type {kind} and lacks {', '.join(lacking)}"
    if strange := sorted(key for key, value in target.items() if value and key not in (*needs, *may, *EVERY_TARGET)):
        yield f"{where} is of type {kind}, which has no {', '.join(strange)}; remove it"
    if bool(target.get("user")) != bool(target.get("password")):
        yield f"{where} has only one of user and password; write both, or neither"
    if (url := target.get("url")) and shapes.https_address(str(url)):
        yield f"{where}.url is no whole address with https; write one, as in https://logs.example.org"
    if (address := target.get("address")) and (wrong := shapes.address(str(address))):
        yield f"{where}.address is {address!r}; {wrong}"
    if (port := target.get("port")) is not None and not 1 <= int(port) <= 65535:
        yield f"{where}.port is {port}; write a number from 1 to 65535"
    if (index := target.get("index")) and not re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,254}", str(index)):
        yield f"{where}.index is {index!r}; write lower-case letters, digits, -, _ and ."
    for key in ("tenant", "token"):
        if target.get(key) and not re.fullmatch(r"[\x21-\x7e]+", str(target[key])):
            yield f"{where}.{key} has characters that no header can have; write it without blanks, in ASCII"


def old_logs_can_be_encrypted(values: Values) -> Iterator[str]:
    """What is no key may be a private one, and is not shown. Its checksum is age's to judge, on the server."""
    keys = values.get("log_collector_encrypt_to") or []
    for number, key in enumerate(keys):
        if not PUBLIC_KEY.fullmatch(str(key)):
            where = f"log_collector_encrypt_to[{number}]"
            yield f"{where} is no public key; write one of age (age1…) or SSH (ssh-ed25519 … or ssh-rsa …)"
    readable, kept = values.get("log_collector_readable_days"), values.get("log_collector_retention_days")
    if keys and isinstance(readable, int) and isinstance(kept, int) and readable >= kept:
        told = f"log_collector_readable_days is {readable}, and after {kept} days (log_collector_retention_days)"
        yield f"{told} logs are removed, so that none would be encrypted; write fewer"


RULES = (
    collector_can_collect,
    sources_can_be_read,
    masking_rules_are_sound,
    targets_are_complete,
    old_logs_can_be_encrypted,
)
