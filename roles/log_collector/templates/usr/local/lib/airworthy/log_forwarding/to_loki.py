# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Grafana Loki: the push API with JSON. What comes twice with the same labels, time and text, it keeps once.

https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from entries import Entry
from https import Https, basic
from sinks import Outcome

PATH = "/loki/api/v1/push"


class Loki:
    def __init__(self, settings: Mapping[str, Any], context: ssl.SSLContext) -> None:
        headers = basic(settings.get("user") or "", settings.get("password") or "")
        if tenant := settings.get("tenant"):
            headers["X-Scope-OrgID"] = tenant
        self._https = Https(settings["url"], context, headers)

    def deliver(self, entries: Sequence[Entry]) -> Outcome:
        self._https.post(PATH, json.dumps({"streams": streams(entries)}).encode(), "application/json")
        return Outcome()

    def close(self) -> None:
        self._https.close()


def streams(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Few labels with few values, as Loki wants it. All else is in the line, which is the record."""
    values: dict[tuple[str, str, str], list[list[str]]] = {}
    for entry in entries:
        labels = (entry.log.host, entry.log.program, entry.level)
        values.setdefault(labels, []).append([f"{entry.microseconds}000", entry.text.decode(errors="replace")])
    names = ("host", "program", "level")
    return [{"stream": dict(zip(names, labels, strict=True)), "values": lines} for labels, lines in values.items()]
