"""The environment contract: each way to get a variable wrong is found, and no secret is quoted."""

from __future__ import annotations

import base64
import json

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.environment_contract import (
    RULES,
    Terms,
    judge_environment,
    jwt_payload,
)

NOW = 1_800_000_000.0
TERMS = Terms(["app.example.org", "www.example.org"], "app", "app", 6432, NOW)


def token(role: str, exp: float = NOW + 60) -> str:
    parts = ({"alg": "HS256"}, {"role": role, "exp": exp})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJl"])


RIGHT = {
    "DATABASE_URL": "postgresql://app:pass-word@localhost:6432/app?sslmode=verify-full&sslrootcert=/ca.crt",
    "EMAIL_FROM": "notifications@example.org",
    "MAILERSEND_API_KEY": "mlsn.0123456789abcdef",
    "NEXT_PUBLIC_APP_URL": "https://app.example.org",
    "NEXT_PUBLIC_SUPABASE_ANON_KEY": token("anon"),
    "NEXT_PUBLIC_SUPABASE_URL": "https://project.supabase.co",
    "NODE_ENV": "production",
    "SESSION_SECRET": "0123456789abcdef0123456789abcdef",
    "SUPABASE_SERVICE_ROLE_KEY": token("service_role"),
}
REQUIRED = list(RIGHT)


def test_a_right_environment_passes() -> None:
    checks = judge_environment(RIGHT, REQUIRED, TERMS)
    assert [check.subject for check in checks] == [*sorted(REQUIRED), "public variables"]
    assert all(check.ok for check in checks), [check for check in checks if not check.ok]


def test_new_supabase_keys_pass_too() -> None:
    keys = {
        "NEXT_PUBLIC_SUPABASE_ANON_KEY": "sb_publishable_0123456789",
        "SUPABASE_SERVICE_ROLE_KEY": "sb_secret_0123456789",
    }
    assert all(check.ok for check in judge_environment(RIGHT | keys, REQUIRED, TERMS))


URL = RIGHT["DATABASE_URL"]
WRONG = [
    *[(name, "", "empty") for name in RULES],
    ("DATABASE_URL", URL.replace("postgresql", "mysql"), "scheme mysql"),
    ("DATABASE_URL", URL.replace(":pass-word", ""), "no password"),
    ("DATABASE_URL", URL.replace("//app:", "//postgres:"), "user postgres"),
    ("DATABASE_URL", URL.replace("/app?", "/other?"), "database other"),
    ("DATABASE_URL", URL.replace("6432", "5432"), "port 5432, which is not the pooler's"),
    ("DATABASE_URL", URL.replace("verify-full", "require"), "sslmode require"),
    ("DATABASE_URL", URL.split("?")[0], "sslmode missing"),
    ("DATABASE_URL", URL.replace("6432", "port"), "not a URL"),
    ("EMAIL_FROM", "notifications", "is not an address"),
    ("MAILERSEND_API_KEY", "abc", "not shaped like"),
    ("MAILERSEND_API_KEY", "your-mailersend-api-key", "placeholder"),
    ("NEXT_PUBLIC_APP_URL", "http://app.example.org", "is not HTTPS"),
    ("NEXT_PUBLIC_APP_URL", "https://staging.example.org", "is on another host"),
    ("NEXT_PUBLIC_APP_URL", "https://app.example.org/home", "more than an origin"),
    ("NEXT_PUBLIC_SUPABASE_URL", "https://your-project.supabase.co", "placeholder"),
    ("NEXT_PUBLIC_SUPABASE_URL", "project.supabase.co", "not an HTTPS URL"),
    ("NEXT_PUBLIC_SUPABASE_ANON_KEY", "abcdefghij", "neither a JSON web token nor"),
    ("NEXT_PUBLIC_SUPABASE_ANON_KEY", token("service_role"), "a key of the role service_role"),
    ("NEXT_PUBLIC_SUPABASE_ANON_KEY", token("anon", NOW - 1), "expired"),
    ("NEXT_PUBLIC_SUPABASE_ANON_KEY", "sb_secret_0123456789", "other kind"),
    ("SUPABASE_SERVICE_ROLE_KEY", token("anon"), "a key of the role anon"),
    ("SUPABASE_SERVICE_ROLE_KEY", "sb_publishable_0123", "other kind"),
    ("NODE_ENV", "development", "development"),
    ("SESSION_SECRET", "short-secret", "only 12 characters"),
]


@pytest.mark.parametrize(("name", "value", "observed"), WRONG)
def test_a_wrong_variable_is_found(name: str, value: str, observed: str) -> None:
    checks = {check.subject: check for check in judge_environment(RIGHT | {name: value}, REQUIRED, TERMS)}
    assert not checks[name].ok
    assert observed in checks[name].observed


def test_a_missing_variable_is_found() -> None:
    without = {name: value for name, value in RIGHT.items() if name != "EMAIL_FROM"}
    missing = [check for check in judge_environment(without, REQUIRED, TERMS) if not check.ok]
    assert [(check.subject, check.observed) for check in missing] == [("EMAIL_FROM", "missing")]


def test_a_variable_of_ones_own_must_be_set() -> None:
    (check,) = [c for c in judge_environment(RIGHT, [*REQUIRED, "STRIPE_API_KEY"], TERMS) if not c.ok]
    assert check.subject == "STRIPE_API_KEY"


LEAKS = [
    ("NEXT_PUBLIC_KEY", token("service_role", NOW + 1), "is a service-role key"),
    ("NEXT_PUBLIC_KEY", f"Bearer {RIGHT['SESSION_SECRET']}", "holds SESSION_SECRET"),
    ("NEXT_PUBLIC_DATABASE", "postgresql://reader:hunter22@localhost/app", "holds a password"),
    ("NEXT_PUBLIC_KEY", "sb_secret_0123456789", "is a service-role key"),
]


@pytest.mark.parametrize(("name", "value", "leak"), LEAKS)
def test_a_secret_in_a_public_variable_is_found(name: str, value: str, leak: str) -> None:
    public = judge_environment(RIGHT | {name: value}, REQUIRED, TERMS)[-1]
    assert not public.ok
    assert public.observed == f"{name} {leak}"


def test_no_secret_is_ever_quoted() -> None:
    secrets = {name: value for name, value in RIGHT.items() if "KEY" in name or "SECRET" in name} | {"pw": "pass-word"}
    for wrong in ({}, *({name: value} for name, value, _ in WRONG)):
        text = repr(judge_environment(RIGHT | wrong, REQUIRED, TERMS))
        assert [name for name, value in secrets.items() if value in text] == []


@pytest.mark.parametrize("value", ["", "a.b", "a.b.c", "a.e30.c.d", "a.!!!.c", "a.W10.c"])
def test_what_is_no_token_has_no_claims(value: str) -> None:
    assert jwt_payload(value) == {}
