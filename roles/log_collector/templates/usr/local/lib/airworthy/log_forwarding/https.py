# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""POST over TLS, on a connection that is kept. Redirects are not followed, since they could lead anywhere."""

from __future__ import annotations

import base64
import http.client
import ssl
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from sinks import Misconfigured, Rejected, shortened

TIMEOUT = 30.0  # seconds
KEPT = 3.0  # seconds; a service may just close a connection that was idle for longer
LARGEST_ANSWER = 16 << 20  # bytes
REJECTED = {400, 413, 422}
TEMPORARY = {408, 425, 429}


class Https:
    def __init__(self, url: str, context: ssl.SSLContext, headers: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._context = str(parts.hostname), parts.port or 443, context
        self._path = parts.path
        self._query = f"?{parts.query}" if parts.query else ""
        self._headers = {"User-Agent": "airworthy-log-forwarder", **headers}
        self._connection: http.client.HTTPSConnection | None = None
        self._used = 0.0

    def post(self, path: str, body: bytes, content_type: str) -> bytes:
        """What it answers, when it has taken that. OSError if it is away, Rejected if it does not want it."""
        if time.monotonic() - self._used > KEPT:
            self.close()
        try:
            status, answer = self._asked(path, body, content_type)
        except http.client.HTTPException as error:
            self.close()
            raise ConnectionError(f"it does not answer as HTTP wants it: {error!r}") from error
        except OSError:
            self.close()
            raise
        self._used = time.monotonic()
        if 200 <= status < 300:
            return answer
        said = f"it answers {status}: {shortened(answer.decode(errors='replace'))}"
        if status in REJECTED:
            raise Rejected(said)
        raise (Misconfigured if 300 <= status < 500 and status not in TEMPORARY else ConnectionError)(said)

    def close(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None

    def _asked(self, path: str, body: bytes, content_type: str) -> tuple[int, bytes]:
        self._connection = self._connection or http.client.HTTPSConnection(
            self._host, self._port, timeout=TIMEOUT, context=self._context
        )
        headers = {**self._headers, "Content-Type": content_type}
        whole = f"{self._path.rstrip('/')}{path}" if path else self._path or "/"
        self._connection.request("POST", whole + self._query, body, headers)
        response = self._connection.getresponse()
        answer = response.read(LARGEST_ANSWER + 1)
        if len(answer) > LARGEST_ANSWER:
            raise ConnectionError(f"it answers more than {LARGEST_ANSWER} bytes")
        return response.status, answer


def basic(user: str, password: str) -> dict[str, str]:
    if not user:
        return {}
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
