# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A record of the store on its way to another system."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from store import Log

LONGEST_ID = 512  # bytes that Elasticsearch takes


@dataclass(frozen=True)
class Entry:
    log: Log
    record: dict[str, Any]
    text: bytes  # of the record, as it stands in the file

    @cached_property
    def identity(self) -> str:
        """The same whenever it is sent. Its id alone is one of its log: files of two hosts may begin alike."""
        own = self.record.get("id")
        if not isinstance(own, str) or not own:
            own = hashlib.sha256(self.text).hexdigest()
        whole = f"{self.log.host}/{self.log.program}/{own}"
        encoded = whole.encode(errors="replace")
        return whole if len(encoded) <= LONGEST_ID else hashlib.sha256(encoded).hexdigest()

    @property
    def level(self) -> str:
        return str(self.record.get("level") or "info")

    @property
    def microseconds(self) -> int:
        """Since the epoch, when it was logged; of a record that does not tell, when it was received."""
        return self._moment("time", "received")

    @property
    def received(self) -> float:
        return self._moment("received", "time") / 1e6

    @property
    def time(self) -> str:
        """As RFC 3339 has it."""
        seconds, rest = divmod(self.microseconds, 1_000_000)
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:06}Z"

    def _moment(self, *names: str) -> int:
        known = (moment(self.record.get(name)) for name in names)
        return next((each for each in known if each is not None), time.time_ns() // 1000)


def moment(told: Any) -> int | None:
    """Microseconds since the epoch, exactly."""
    try:
        found = datetime.fromisoformat(told)
        return int(found.replace(microsecond=0).timestamp()) * 1_000_000 + found.microsecond if found.tzinfo else None
    except (TypeError, ValueError, OverflowError):
        return None
