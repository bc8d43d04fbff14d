# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A client that goes exactly where it is told, asks exactly what it is told, and shows exactly what came back.

It follows no redirect and repeats nothing. Address and name are told apart, as with curl's --connect-to.
"""

from __future__ import annotations

import base64
import http.client
import secrets
import shlex
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.airworthy.stack.plugins.module_utils.control import Check

# What is longer is not examined further.
LONGEST_BODY = 1 << 24

TARGET_SPEC: dict[str, dict[str, Any]] = {
    "domain": {"type": "str", "required": True},
    "address": {"type": "str"},
    "port": {"type": "int", "default": 443},
    "http_port": {"type": "int", "default": 80},
    "ca_file": {"type": "path"},
    "timeout": {"type": "int", "default": 10},
    "probe_key": {"type": "str", "default": "", "no_log": True},
}

# Where the rate of a client is limited (the filter edge_locations says it of the edge).
LIMITED_SPEC: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {
        "path": {"type": "str", "required": True},
        "burst": {"type": "int", "required": True},
        "probe_method": {"type": "str", "default": "GET"},
    },
}

# What the argument specs of audits that look at a page and its files have in common.
PAGES_SPEC: dict[str, dict[str, Any]] = {
    "page": {"type": "str", "default": "/"},
    "static": {"type": "str", "default": ""},
    "static_prefixes": {"type": "list", "elements": "str", "default": ["/static/", "/_next/static/"]},
}


@dataclass(frozen=True)
class Target:
    """An edge, and how to get there."""

    domain: str
    address: str
    port: int = 443
    http_port: int = 80
    ca_file: str | None = None
    timeout: float = 10
    probe_key: str = ""
    client: str = field(default_factory=lambda: secrets.token_hex(8), compare=False)

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Target:
        """The target in a module's parameters."""
        given = {name: params[name] for name in TARGET_SPEC}
        return cls(**{**given, "address": given["address"] or given["domain"]})

    def new_client(self) -> dict[str, str]:
        """The header with which a request is that of a client new to the edge; none without the key."""
        return replace(self, client=secrets.token_hex(8)).credentials()

    def credentials(self) -> dict[str, str]:
        """The header with which all requests of this audit are those of one client; none without the key."""
        return {"X-Airworthy-Probe": f"{self.probe_key}.{self.client}"} if self.probe_key else {}

    def connect(self, secure: bool = True) -> socket.socket:
        port = self.port if secure else self.http_port
        return socket.create_connection((self.address, port), self.timeout)

    def open(self, secure: bool = True) -> socket.socket:
        """A connection on which HTTP can be spoken; a secure one has verified the certificate."""
        connection = self.connect(secure)
        if not secure:
            return connection
        context = ssl.create_default_context(cafile=self.ca_file)
        try:
            return context.wrap_socket(connection, server_hostname=self.domain)
        except BaseException:
            connection.close()
            raise

    def url(self, path: str = "/", secure: bool = True) -> str:
        scheme, port, usual = ("https", self.port, 443) if secure else ("http", self.http_port, 80)
        return f"{scheme}://{self.domain}{'' if port == usual else f':{port}'}{path}"

    def curl(self, path: str, *options: str, secure: bool = True) -> str:
        """The command with which a person asks the same."""
        port = self.port if secure else self.http_port
        where = [] if self.address == self.domain else ["--connect-to", f"::{self.address}:{port}"]
        trust = ["--cacert", self.ca_file] if self.ca_file and secure else []
        return shlex.join(["curl", "-sS", "-i", *where, *trust, *options, self.url(path, secure)])


@dataclass(frozen=True)
class Answer:
    """What came back; without a status, `failure` says why nothing did."""

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    failure: str = ""

    def values(self, name: str) -> list[str]:
        return [value for header, value in self.headers if header.lower() == name.lower()]

    def first(self, name: str) -> str:
        return next(iter(self.values(name)), "")

    def __str__(self) -> str:
        return str(self.status) if self.status else f"no answer ({self.failure})"


def basic_auth(user: str, password: str) -> dict[str, str]:
    """The header with which somebody says who they are."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def ask(
    target: Target,
    path: str = "/",
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    secure: bool = True,
) -> Answer:
    """Ask once, on a connection of its own. What is sent as `body` needs its headers, but for the length."""
    host = target.url("", secure).partition("://")[2]
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in {**target.credentials(), **(headers or {})}.items()]
    lines += [f"Content-Length: {len(body)}"] if body else []
    return ask_raw(target, "\r\n".join([*lines, "", ""]).encode("latin-1") + body, method=method, secure=secure)


@dataclass(frozen=True)
class Strangers:
    """What a service that asks for a password says to those who may know nothing."""

    plain: Answer  # with the right password, without TLS
    anonymous: Answer
    wrong: Answer


def ask_as_strangers(target: Target, path: str, user: str, password: str) -> Strangers:
    return Strangers(
        plain=ask(target, path, headers=basic_auth(user, password), secure=False),
        anonymous=ask(target, path),
        wrong=ask(target, path, headers=basic_auth(user, password[::-1] + "-")),
    )


def judge_strangers(service: str, seen: Strangers) -> list[Check]:
    """Whether that is nothing."""
    return [
        Check(f"{service} without TLS", "nothing", str(seen.plain), seen.plain.status in (0, 400)),
        Check(f"{service} without a password", "401", str(seen.anonymous), seen.anonymous.status == 401),
        Check(f"{service} with a wrong password", "401", str(seen.wrong), seen.wrong.status == 401),
    ]


def ask_raw(target: Target, request: bytes, *, method: str = "GET", secure: bool = True) -> Answer:
    """Send bytes as they are, which need not be a sound request. No answer is an observation, not an exception."""
    try:
        with target.open(secure) as connection:
            connection.sendall(request)
            response = http.client.HTTPResponse(connection, method=method)
            response.begin()
            body = response.read(LONGEST_BODY)
            if response.length and len(body) < LONGEST_BODY:
                raise http.client.IncompleteRead(body, response.length)
            return Answer(response.status, tuple(response.getheaders()), body.decode("utf-8", "replace"))
    except (OSError, http.client.HTTPException) as failure:
        return Answer(failure=describe(failure))


def describe(failure: Exception) -> str:
    """An exception of a connection, in the words that help."""
    if isinstance(failure, ssl.SSLCertVerificationError):
        return f"the certificate cannot be verified: {failure.verify_message}"
    if isinstance(failure, ssl.SSLError) and failure.reason:
        return failure.reason.lower().replace("_", " ")
    return str(failure) or type(failure).__name__
