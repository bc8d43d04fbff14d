"""A server that answers as Prometheus does, over TLS and to whoever has the password."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ansible_collections.airworthy.stack.plugins.module_utils.web_client import basic_auth
from tls_server import Page, answering, make_certificate, server_context, serving

HOST = "mon1"


@contextmanager
def prometheus(directory: Path, say: Callable[..., Any]) -> Iterator[dict[str, Any]]:
    """The parameters of a module that asks it. What it says depends on a path and on what is asked for there."""

    def answer(request: BaseHTTPRequestHandler) -> Page:
        if request.headers["Authorization"] != basic_auth("airworthy", "secret")["Authorization"]:
            return Page(401)
        parts = urlsplit(request.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        return Page(200, body=json.dumps(say(parts.path, asked)).encode())

    certificate = make_certificate(directory, name=HOST)
    with serving(answering(answer), server_context(certificate, only="")) as port:
        yield {
            "hostname": HOST,
            "address": "127.0.0.1",
            "prometheus_port": port,
            "ca_file": str(certificate.ca),
            "user": "airworthy",
            "password": "secret",
            "timeout": 5,
        }
