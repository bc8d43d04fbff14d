# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The systems of the settings: what each wants, and how it gets that."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sinks import Sink
from to_elasticsearch import Elasticsearch
from to_http import Http
from to_loki import Loki
from to_syslog import Syslog

SINKS = {"elasticsearch": Elasticsearch, "http": Http, "loki": Loki, "syslog": Syslog}
LISTS = ("hosts", "programs")


def read(path: Path) -> list[dict[str, Any]]:
    return [normal(target) for target in json.loads(path.read_text(encoding="utf-8"))]


def normal(target: Mapping[str, Any]) -> dict[str, Any]:
    """As Ansible understands options: a number stands for its text, and a text with commas for a list."""
    texts = {name: str(value) for name, value in target.items() if name not in LISTS and value not in (None, "")}
    return texts | {name: listed(target.get(name)) for name in LISTS}


def listed(patterns: Any) -> list[str]:
    several = patterns.split(",") if isinstance(patterns, str) else patterns or []
    return sorted(str(each).strip() for each in several)


def filters(target: Mapping[str, Any]) -> list[list[str]]:
    return [target[name] for name in LISTS]


def sink(target: Mapping[str, Any]) -> Sink:
    context = ssl.create_default_context(cadata=target.get("ca"))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return SINKS[target["type"]](target, context)
