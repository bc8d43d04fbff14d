"""A text is right, or the answer says how to write it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ansible_collections.airworthy.stack.plugins.plugin_utils import shapes

RIGHT: dict[Callable[[str], str | None], list[str]] = {
    shapes.domain: ["app.example.org", "example.org", "xn--mnchen-3ya.example", "a-1.b2.example", f"{'a' * 63}.org"],
    shapes.email: ["admin@example.org", "first.last+tag@sub.example.org", "Admin@Example.org"],
    shapes.origin: [
        "https://example.org",
        "https://www.example.org:8443",
        "http://localhost:3000",
        "http://127.0.0.1:8080",
        "https://[fd00::1]:8443",
    ],
    shapes.identifier: ["app", "_private", "app_2026", "a" * 63],
    shapes.extension: ["pgcrypto", "uuid-ossp", "pg_trgm"],
    shapes.address: ["10.0.0.5", "fd00::5", "db1", "db1.example.org", "web_1"],
    shapes.network: ["10.0.0.5", "10.0.0.0/24", "fd00::/64"],
    shapes.systemd_size: ["1G", "512M", "4096"],
    shapes.systemd_span: ["30day", "2week", "1month 2day", "12h"],
    shapes.duration: ["30s", "500ms", "2min", "1h"],
    shapes.url_path: ["/", "/healthz", "/api/me?x=1"],
    shapes.absolute_path: ["/etc/airworthy/tls/ca.crt"],
}

WRONG: list[tuple[Callable[[str], str | None], str, str]] = [
    (shapes.domain, "https://app.example.org", "without a scheme"),
    (shapes.domain, "app.example.org/shop", "without a path"),
    (shapes.domain, "app.example.org:443", "without a port"),
    (shapes.domain, "192.0.2.1", "an address is no name"),
    (shapes.domain, "fd00::1", "an address is no name"),
    (shapes.domain, "App.Example.org", "lower case: app.example.org"),
    (shapes.domain, "my_app.example.org", "write a hyphen, my-app.example.org"),
    (shapes.domain, "münchen.example", "punycode"),
    (shapes.domain, "*.example.org", "a wildcard is no name"),
    (shapes.domain, "app.example.org.", "without the dot at the end"),
    (shapes.domain, " app.example.org", "without blanks"),
    (shapes.domain, "localhost", "a full name"),
    (shapes.domain, "app.123", "a full name"),
    (shapes.domain, "-app.example.org", "letters, digits and hyphens"),
    (shapes.domain, "app..example.org", "letters, digits and hyphens"),
    (shapes.domain, f"{'a' * 64}.org", "letters, digits and hyphens"),
    (shapes.domain, ".".join(["a" * 60] * 5), "letters, digits and hyphens"),
    (shapes.email, "admin", "admin@example.org"),
    (shapes.email, "Admin <admin@example.org>", "admin@example.org"),
    (shapes.email, "admin@localhost", "admin@example.org"),
    (shapes.email, "a@example.org,b@example.org", "admin@example.org"),
    (shapes.origin, "*", "name each origin"),
    (shapes.origin, "https://*.example.org", "browsers do not match wildcards"),
    (shapes.origin, "https://www.example.org/", "without a slash: write https://www.example.org"),
    (shapes.origin, "https://www.example.org/shop?x#y", "write https://www.example.org"),
    (shapes.origin, "https://WWW.example.org", "lower case: write https://www.example.org"),
    (shapes.origin, "https://www.example.org:443", "leave the usual port out: write https://www.example.org"),
    (shapes.origin, "http://www.example.org:80", "leave the usual port out"),
    (shapes.origin, "https://www.example.org:99999", "no number from 1 to 65535"),
    (shapes.origin, "https://user@www.example.org", "an origin has no user"),
    (shapes.origin, "www.example.org", "with http or https"),
    (shapes.origin, "ftp://www.example.org", "with http or https"),
    (shapes.origin, "null", "with http or https"),
    (shapes.origin, "https://my_app.example.org", "no underscore"),
    (shapes.identifier, "my-app", "lower-case letters"),
    (shapes.identifier, "App", "lower-case letters"),
    (shapes.identifier, "1app", "not beginning with a digit"),
    (shapes.identifier, "a" * 64, "at most 63"),
    (shapes.identifier, "pg_app", "PostgreSQL's own"),
    (shapes.extension, "PgCrypto", "as in pgcrypto"),
    (shapes.address, "10.0.0.0/24", "without network mask"),
    (shapes.address, "10.0.0.5:22", "without network mask, port"),
    (shapes.address, "https://db1", "scheme"),
    (shapes.network, "10.0.0.5/24", "has host bits set"),
    (shapes.network, "10.0.0.256", "10.0.0.0/24"),
    (shapes.network, "web1", "10.0.0.0/24"),
    (shapes.systemd_size, "1 GB", "as in 512M"),
    (shapes.systemd_size, "512mb", "as in 512M"),
    (shapes.systemd_span, "a month", "as in 30day"),
    (shapes.systemd_span, "-1day", "as in 30day"),
    (shapes.duration, "30", "as in 30s"),
    (shapes.duration, "30 s", "as in 30s"),
    (shapes.duration, "30sec", "as in 30s"),
    (shapes.url_path, "healthz", "beginning with /"),
    (shapes.url_path, "/a b", "beginning with /"),
    (shapes.absolute_path, "secrets", "absolute path"),
]


@pytest.mark.parametrize(("shape", "text"), [(shape, text) for shape, texts in RIGHT.items() for text in texts])
def test_right(shape: Callable[[str], str | None], text: str) -> None:
    assert shape(text) is None


@pytest.mark.parametrize(("shape", "text", "expected"), WRONG)
def test_wrong(shape: Callable[[str], str | None], text: str, expected: str) -> None:
    assert expected in (shape(text) or "")
