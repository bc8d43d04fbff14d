# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Elasticsearch and OpenSearch: the bulk API. What comes twice has the same _id, and is created once.

https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk
https://docs.opensearch.org/latest/api-reference/document-apis/bulk/
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from entries import Entry
from https import Https, basic
from sinks import Outcome, shortened

EXISTS = 409
TOO_MANY = 429


class Elasticsearch:
    def __init__(self, settings: Mapping[str, Any], context: ssl.SSLContext) -> None:
        headers = basic(settings.get("user") or "", settings.get("password") or "")
        self._https, self._index = Https(settings["url"], context, headers), settings["index"]

    def deliver(self, entries: Sequence[Entry]) -> Outcome:
        body = b"".join(self._action(entry) for entry in entries)
        answer = self._https.post("/_bulk", body, "application/x-ndjson")
        try:
            items = [item["create"] for item in json.loads(answer)["items"]]
            results = [(int(item["status"]), item.get("error")) for item in items]
        except (ValueError, KeyError, TypeError) as error:
            raise ConnectionError(f"it does not answer as _bulk does: {error!r}") from error
        if len(results) != len(entries):
            raise ConnectionError(f"it answers for {len(results)} records of {len(entries)}")
        outcome = Outcome()
        for entry, (status, why) in zip(entries, results, strict=True):
            if status == TOO_MANY or status >= 500:
                outcome.again.append(entry)
            elif status >= 300 and status != EXISTS:
                outcome.refused.append((entry, f"{status} {described(why)}"))
        return outcome

    def close(self) -> None:
        self._https.close()

    def _action(self, entry: Entry) -> bytes:
        action = {"create": {"_index": self._index, "_id": entry.identity}}
        document = {"@timestamp": entry.time} | entry.record
        return f"{json.dumps(action)}\n{json.dumps(document)}\n".encode()


def described(error: Any) -> str:
    """Its type and reason, without the preview of a value."""
    if not isinstance(error, Mapping):
        return shortened(str(error))
    reason = str(error.get("reason") or "").partition(" Preview of field's value")[0]
    return shortened(f"{error.get('type')}: {reason}")
