# Copyright (c) the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the environment of a running application must look like. No I/O, and no secret in any sentence."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from ansible_collections.airworthy.stack.plugins.module_utils.control import Check

PUBLIC_PREFIX = "NEXT_PUBLIC_"
SHOWN = {"NODE_ENV", "EMAIL_FROM"}
SECRET = re.compile(r"SECRET|PASSWORD|TOKEN|PRIVATE|SERVICE_ROLE|API_KEY|DATABASE_URL")
PLACEHOLDER = re.compile(
    r"\byour[-_ ]|^(change|replace|fill)[-_ ]?(me|this|in)|^(todo|xxx+|secret|password|example)$", re.IGNORECASE
)
SHORTEST_SECRET = 8  # what is shorter may well occur somewhere by chance

# What is wrong with a value, or None. It must not quote the value.
Rule = Callable[[str, "Terms"], "str | None"]


@dataclass(frozen=True)
class Terms:
    """What the values are compared with."""

    domains: Sequence[str]
    database_user: str
    database_name: str
    pooler_port: int
    now: float


def judge_environment(variables: Mapping[str, str], required: Sequence[str], terms: Terms) -> list[Check]:
    names = sorted({*required, *(name for name in RULES if name in variables)})
    checks = [_judge_variable(name, variables.get(name), terms) for name in names]
    return [*checks, _judge_public(variables)]


def _judge_variable(name: str, value: str | None, terms: Terms) -> Check:
    rule, wanted = RULES.get(name, (no_rule, "set"))
    wanted = wanted.format(domains=" or ".join(terms.domains), terms=terms)
    if not value:
        return Check(name, wanted, "missing" if value is None else "empty", False)
    if PLACEHOLDER.search(value):
        return Check(name, wanted, "still a placeholder", False)
    wrong = rule(value, terms)
    return Check(name, wanted, wrong or shown(name, value), wrong is None)


def shown(name: str, value: str) -> str:
    public = name in SHOWN or (name.startswith(PUBLIC_PREFIX) and "KEY" not in name)
    return value if public else f"set, {len(value)} characters"


def _judge_public(variables: Mapping[str, str]) -> Check:
    """What begins with NEXT_PUBLIC_ is compiled into the pages: every visitor reads it."""
    public = {name: value for name, value in sorted(variables.items()) if name.startswith(PUBLIC_PREFIX)}
    secrets = {name: value for name, value in variables.items() if SECRET.search(name) and name not in public}
    leaks = []
    for name, value in public.items():
        held = [secret for secret, content in secrets.items() if len(content) >= SHORTEST_SECRET and content in value]
        if held:
            leaks.append(f"{name} holds {held[0]}")
        elif jwt_payload(value).get("role") == "service_role" or value.startswith("sb_secret_"):
            leaks.append(f"{name} is a service-role key")
        elif "://" in value and urlsplit(value).password:
            leaks.append(f"{name} holds a password")
    return Check("public variables", "no secret in any NEXT_PUBLIC_ variable", "; ".join(leaks) or "none", not leaks)


def jwt_payload(value: str) -> dict[str, Any]:
    """The claims of a JSON web token; empty when the value is none."""
    parts = value.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}


def no_rule(value: str, terms: Terms) -> str | None:
    return None


def is_production(value: str, terms: Terms) -> str | None:
    return None if value == "production" else value


def database_url(value: str, terms: Terms) -> str | None:
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return "not a URL"
    query = parse_qs(parts.query)
    faults = [
        (parts.scheme not in {"postgresql", "postgres"}, f"scheme {parts.scheme or 'missing'}"),
        (not parts.hostname, "no host"),
        (not parts.password, "no password"),
        (unquote(parts.username or "") != terms.database_user, f"user {parts.username or 'missing'}"),
        (unquote(parts.path.lstrip("/")) != terms.database_name, f"database {parts.path.lstrip('/') or 'missing'}"),
        (port != terms.pooler_port, f"port {port or 'missing'}, which is not the pooler's"),
        (query.get("sslmode") != ["verify-full"], f"sslmode {query.get('sslmode', ['missing'])[0]}"),
    ]
    return "; ".join(text for wrong, text in faults if wrong) or None


def app_url(value: str, terms: Terms) -> str | None:
    parts = urlsplit(value)
    if parts.scheme != "https":
        return f"{value} is not HTTPS"
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        return f"{value} is more than an origin"
    return None if parts.hostname in terms.domains else f"{value} is on another host"


def https_url(value: str, terms: Terms) -> str | None:
    parts = urlsplit(value)
    return None if parts.scheme == "https" and parts.hostname else f"{value} is not an HTTPS URL"


def supabase_key(role: str, kind: str) -> Rule:
    def rule(value: str, terms: Terms) -> str | None:
        if value.startswith("sb_"):
            return None if value.startswith(f"sb_{kind}_") else "a key of the other kind"
        claims = jwt_payload(value)
        if not claims:
            return f"neither a JSON web token nor an sb_{kind}_ key"
        if claims.get("role") != role:
            return f"a key of the role {claims.get('role', 'none')}"
        expires = claims.get("exp")
        return "expired" if isinstance(expires, int | float) and expires <= terms.now else None

    return rule


def mailersend_key(value: str, terms: Terms) -> str | None:
    return None if re.fullmatch(r"mlsn\.\w{16,}|[\w.-]{40,}", value) else "not shaped like a MailerSend token"


def email(value: str, terms: Terms) -> str | None:
    return None if re.fullmatch(r"[^\s@<>]+@[^\s@<>]+\.[^\s@<>.]+", value) else f"{value} is not an address"


def long_secret(value: str, terms: Terms) -> str | None:
    return None if len(value) >= 32 else f"only {len(value)} characters"


RULES: Mapping[str, tuple[Rule, str]] = {
    "DATABASE_URL": (
        database_url,
        "database {terms.database_name} as {terms.database_user} at the pooler's port {terms.pooler_port}, "
        "sslmode=verify-full",
    ),
    "EMAIL_FROM": (email, "an e-mail address"),
    "MAILERSEND_API_KEY": (mailersend_key, "a MailerSend token"),
    "NEXT_PUBLIC_APP_URL": (app_url, "https:// and {domains}"),
    "NEXT_PUBLIC_SUPABASE_ANON_KEY": (supabase_key("anon", "publishable"), "a valid key of the role anon"),
    "NEXT_PUBLIC_SUPABASE_URL": (https_url, "an HTTPS URL"),
    "NODE_ENV": (is_production, "production"),
    "SESSION_SECRET": (long_secret, "at least 32 characters"),
    "SUPABASE_SERVICE_ROLE_KEY": (supabase_key("service_role", "secret"), "a valid key of the role service_role"),
}
