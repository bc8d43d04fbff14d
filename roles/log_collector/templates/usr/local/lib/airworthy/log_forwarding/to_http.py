# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A service of one's own: JSON lines by POST, each as it stands in the store."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from entries import Entry
from https import Https
from sinks import Outcome


class Http:
    def __init__(self, settings: Mapping[str, Any], context: ssl.SSLContext) -> None:
        token = settings.get("token")
        self._https = Https(settings["url"], context, {"Authorization": f"Bearer {token}"} if token else {})

    def deliver(self, entries: Sequence[Entry]) -> Outcome:
        self._https.post("", b"".join(entry.text + b"\n" for entry in entries), "application/x-ndjson")
        return Outcome()

    def close(self) -> None:
        self._https.close()
