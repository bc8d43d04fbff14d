# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a text has to look like. Each function says what is wrong with it and how to write it, or returns None."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from . import cdn

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
EMAIL = re.compile(r"[^@\s<>,;:\"()]+@[^@\s]+")
# What PostgreSQL takes unquoted, so that it reads the same in every tool.
IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,62}")
SYSTEMD_SIZE = re.compile(r"[1-9][0-9]*[KMGT]?")
SYSTEMD_SPAN = re.compile(r"([1-9][0-9]* ?(s|sec|m|min|h|hours?|d|days?|w|weeks?|M|months?|y|years?) ?)+")
DURATION = re.compile(r"[1-9][0-9]*(ms|s|min|h|d)")

SCHEDULE = re.compile(r"(?=.*[0-9])[A-Za-z0-9*.,:/~ +_-]+|minutely|hourly|daily|weekly|monthly|quarterly|yearly")

STANZA = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
DOMAIN_EXAMPLE = "as in app.example.org"


def domain(text: str) -> str | None:
    if "://" in text:
        return f"write the name alone, without a scheme, {DOMAIN_EXAMPLE}"
    if is_address(text):
        return f"an address is no name: write the public name of the application, {DOMAIN_EXAMPLE}"
    if "/" in text:
        return f"write the name alone, without a path, {DOMAIN_EXAMPLE}"
    if ":" in text:
        return f"write the name alone, without a port, {DOMAIN_EXAMPLE}"
    if text != text.strip():
        return f"write it without blanks, {DOMAIN_EXAMPLE}"
    if "*" in text:
        return f"a wildcard is no name: write the public name of the application, {DOMAIN_EXAMPLE}"
    if not text.isascii():
        return "write it in ASCII (punycode, as in xn--mnchen-3ya.example)"
    if text != text.lower():
        return f"write it in lower case: {text.lower()}"
    if "_" in text:
        return f"a host name has no underscore: write a hyphen, {text.replace('_', '-')}"
    if text.endswith("."):
        return f"write it without the dot at the end: {text.rstrip('.')}"
    labels = text.split(".")
    if len(labels) < 2 or labels[-1].isdigit():
        return f"write a full name with its domain, {DOMAIN_EXAMPLE}"
    if len(text) > 253 or not all(LABEL.fullmatch(label) for label in labels):
        return f"write letters, digits and hyphens, at most 63 between two dots, {DOMAIN_EXAMPLE}"
    return None


def email(text: str) -> str | None:
    if not EMAIL.fullmatch(text) or domain(text.rpartition("@")[2].lower()):
        return "write an e-mail address, as in admin@example.org"
    return None


def origin(text: str) -> str | None:
    """An origin as browsers send it: scheme://host[:port], nothing more."""
    example = "as in https://www.example.org or https://www.example.org:8443"
    if text == "*":
        return f"name each origin that may call the application, {example}"
    if "*" in text:
        return f"browsers do not match wildcards: name each origin, {example}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return f"its port is no number from 1 to 65535: write scheme://host[:port], {example}"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return f"write scheme://host[:port] with http or https, {example}"
    if parts.username is not None:
        return f"an origin has no user: write scheme://host[:port], {example}"
    plain = f"{parts.scheme}://{parts.netloc}"
    if text != plain:
        return f"an origin ends after the host or port, without a slash: write {plain.lower()}"
    if text != text.lower():
        return f"browsers send origins in lower case: write {text.lower()}"
    if port == {"http": 80, "https": 443}[parts.scheme]:
        return f"browsers leave the usual port out: write {plain.rpartition(':')[0]}"
    if not is_address(parts.hostname) and parts.hostname != "localhost" and (wrong := domain(parts.hostname)):
        return wrong
    return None


def https_address(text: str) -> str | None:
    example = "as in https://acme-v02.api.letsencrypt.org/directory"
    try:
        parts = urlsplit(text)
        wrong = parts.port == 0
    except ValueError:
        wrong = True
    if wrong or not parts.hostname or re.search(r"\s", text):
        return f"write a whole address, {example}"
    if parts.scheme != "https":
        return f"nobody may listen in or answer instead: write an address with https, {example}"
    return None


def allowed_origin(text: str) -> str | None:
    """An origin, or a pattern whose `*` stands for one label of a host, or for a part of it."""
    if "*" not in text or text == "*":
        return origin(text)
    scheme, _separator, rest = text.partition("://")
    label, _dot, domain_and_port = rest.partition(".")
    if "*" in domain_and_port or "*" in scheme or label.count("*") > 1:
        return "let * stand once, to the left of a domain, as in https://pr-*.preview.example.org"
    if wrong := origin(f"{scheme}://{domain_and_port}"):
        return f"what follows the first dot is no domain of yours: {wrong}"
    return origin(text.replace("*", "x"))


def identifier(text: str) -> str | None:
    if not IDENTIFIER.fullmatch(text):
        return "write an identifier: lower-case letters, digits and _, not beginning with a digit, at most 63"
    if text.startswith("pg_"):
        return "names that begin with pg_ are PostgreSQL's own: write another one"
    return None


def extension(text: str) -> str | None:
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", text):
        return "write the name of a PostgreSQL extension, as in pgcrypto"
    return None


def address(text: str) -> str | None:
    """What other servers can use to reach a host: an address, or a name."""
    # Inventory names, which are host names where nothing better is known, may have underscores.
    if is_address(text) or all(LABEL.fullmatch(label.replace("_", "0")) for label in text.lower().split(".")):
        return None
    return "write one address or name, without network mask, port or scheme, as in 10.0.0.5"


def network(text: str) -> str | None:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        return f"write an address or a network, as in 10.0.0.5 or 10.0.0.0/24 ({error})"
    return None


def systemd_size(text: str) -> str | None:
    if not SYSTEMD_SIZE.fullmatch(text):
        return "write a number and one letter for the unit, as in 512M (K, M, G, T)"
    return None


def systemd_span(text: str) -> str | None:
    if not SYSTEMD_SPAN.fullmatch(text):
        return "write a time span, as in 30day or 2week"
    return None


def duration(text: str) -> str | None:
    if not DURATION.fullmatch(text):
        return "write a number and a unit, without a blank, as in 30s (ms, s, min, h, d)"
    return None


def package(text: str) -> str | None:
    if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", text):
        return "write the name of a Debian package, as in htop"
    return None


def token(text: str) -> str | None:
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", text):
        return "write one name of a header or cookie, without blanks or colons, as in X-Request-Id"
    return None


def regular_expression(text: str) -> str | None:
    try:
        re.compile(text)
    except re.error as error:
        return f"it is no regular expression: {error}"
    return None


def url_path(text: str) -> str | None:
    if not text.startswith("/") or re.search(r"\s", text):
        return "write a path of the application, beginning with /, as in /healthz"
    return None


def path_prefix(text: str) -> str | None:
    """A prefix as it stands in the web server's configuration."""
    if not re.fullmatch(r"/[A-Za-z0-9._~/-]+", text):
        return "write the beginning of a path, without regular expressions, as in /api/"
    return None


def plain_path(text: str) -> str | None:
    """A path as the web server compares it, when it has resolved what a client wrote."""
    if not re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+", text):
        return "write a path of the application without a slash at its end, as in /metrics"
    return None


def proxy_network(text: str) -> str | None:
    """Whose word is taken for who the client is."""
    if text in cdn.NETWORKS:
        return None
    if wrong := network(text):
        return f"{wrong}, or one of {', '.join(cdn.NETWORKS)}"
    if ipaddress.ip_network(text).prefixlen < 8:
        return "that is nearly everybody: write the networks of the proxies alone, as in 198.51.100.0/24"
    return None


def stanza(text: str) -> str | None:
    if not STANZA.fullmatch(text):
        return "write letters, digits, -, _ and . only, beginning with a letter or digit"
    return None


def schedule(text: str) -> str | None:
    if not SCHEDULE.fullmatch(text):
        return "write a time as systemd's OnCalendar has it, as in Sun 01:30 or *-*-* 04:00"
    return None


def table(text: str) -> str | None:
    if not re.fullmatch(r"[^.\s]+\.[^.\s]+", text):
        return "write a table with its schema, as in public.users"
    return None


def absolute_path(text: str) -> str | None:
    if not text.startswith("/"):
        return "write an absolute path, beginning with /"
    return None


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True
