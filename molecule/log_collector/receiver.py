#!/usr/bin/python3
"""A stand-in for a web service that takes logs from who has the token: /var/log/forwarded/hook has them."""

from __future__ import annotations

import ssl
from http.server import BaseHTTPRequestHandler, HTTPServer


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        is_known = self.headers["Authorization"] == "Bearer forwarded-token"
        if is_known:
            with open("/var/log/forwarded/hook", "ab") as file:
                file.write(body)
        self.send_response(204 if is_known else 401)
        self.end_headers()


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/etc/airworthy/tls/server.crt", "/etc/airworthy/tls/server.key")
server = HTTPServer(("127.0.0.1", 9643), Receiver)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
