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


RULES = (collector_can_collect, sources_can_be_read, masking_rules_are_sound)
