# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A receiver of alerts that writes each into the journal, a line of JSON, whatever becomes of mails and messengers.

The argument is the port of the loopback interface on which Alertmanager reaches it. ALERT_HISTORY_TOKEN in the
environment is what Alertmanager has to show.
"""

from __future__ import annotations

import hmac
import json
import os
import sys
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# Alertmanager's notifications are a few kilobytes for each alert of a group.
LONGEST = 1 << 22
LABELS = ("alertname", "severity", "instance")


def lines(notification: Mapping[str, Any]) -> Iterator[str]:
    """One for each alert, with what a reader looks for first."""
    for alert in notification["alerts"]:
        labels, annotations = alert["labels"], alert["annotations"]
        told = {"status": alert["status"], **{name: labels.get(name, "") for name in LABELS}}
        told |= {name: annotations.get(name, "") for name in ("summary", "description")}
        told |= {"began": alert["startsAt"], "ended": alert["endsAt"] if alert["status"] == "resolved" else None}
        yield json.dumps(told | {"labels": labels}, ensure_ascii=False)


class Receiver(BaseHTTPRequestHandler):
    token: str

    def do_POST(self) -> None:
        shown = self.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(shown, f"Bearer {self.token}".encode()):
            self.send_error(401)
            return
        length = int(self.headers.get("Content-Length") or 0)
        if length > LONGEST:
            self.send_error(413)
            return
        try:
            told = list(lines(json.loads(self.rfile.read(length))))
        except (ValueError, KeyError, TypeError, AttributeError):
            self.send_error(400, "no notification of Alertmanager")
            return
        for line in told:
            print(line, flush=True)
        self.send_response(200)
        self.end_headers()

    def log_request(self, *_: object) -> None:
        """The journal is for alerts."""


def main() -> None:
    Receiver.token = os.environ["ALERT_HISTORY_TOKEN"]
    Receiver.timeout = 10
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()


if __name__ == "__main__":
    main()
