#!/usr/bin/python3
"""A stand-in for whoever receives alerts: each notification is a line of /var/tmp/alerts."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open("/var/tmp/alerts", "a", encoding="utf-8") as file:
            file.write(json.dumps({"path": self.path, "alerts": told["alerts"]}) + "\n")
        self.send_response(200)
        self.end_headers()


HTTPServer(("127.0.0.1", 9199), Receiver).serve_forever()
