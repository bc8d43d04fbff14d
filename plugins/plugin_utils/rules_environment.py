# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rules about the application's environment. See rules.py for what a rule is. What may be a secret is never shown."""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from . import shapes

Values = Mapping[str, Any]

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
THE_UNITS_OWN = ("HOST", "PORT", "NODE_OPTIONS")
# What roles/app sets by itself.
GIVEN_BY_THE_ROLE = ("DATABASE_URL", "EMAIL_FROM", "NEXT_PUBLIC_APP_URL", "NODE_ENV", "SESSION_SECRET")
PUBLIC = "NEXT_PUBLIC_"
SECRET = re.compile(r"SECRET|SERVICE_ROLE|PASSWORD|PRIVATE_KEY|API_KEY|ACCESS_TOKEN|DATABASE_URL")
PLACEHOLDER = re.compile(r"change-?me|todo|xxx+|your[-_].*|<.*>|example|.*…", re.IGNORECASE)
WHERE = "app_environment"


def names_are_names(values: Values) -> Iterator[str]:
    """A name that no shell knows, or one that the unit sets for each instance."""
    for name, value in _environment(values).items():
        if not NAME.fullmatch(str(name)):
            yield f"{WHERE} has {name!r}; write letters, digits and _, as in API_URL"
        elif name in THE_UNITS_OWN:
            yield f"{WHERE} has {name}, which belongs to the unit of each instance; remove it"
        elif isinstance(value, list | Mapping):
            yield f"{WHERE}.{name} is a {type(value).__name__}; write a text, as in {{{{ value | to_json }}}}"
        elif "\n" in str(value):
            yield f"{WHERE}.{name} has several lines; write one, and let the application decode it (base64)"


def required_values_are_there(values: Values) -> Iterator[str]:
    """A missing one would be noticed by the first user of the feature that needs it."""
    environment = _environment(values)
    # The example application comes with what it needs.
    required = values.get("app_required_environment") if values.get("app_source") else None
    for name in required or ():
        if name not in environment and name not in GIVEN_BY_THE_ROLE:
            yield f"{WHERE} has no {name}; write it there, or take it out of app_required_environment"
    for name, value in environment.items():
        if value is None or not str(value).strip():
            yield f"{WHERE}.{name} is empty; write its value, or remove it"
        elif PLACEHOLDER.fullmatch(str(value).strip()):
            yield f"{WHERE}.{name} is a placeholder; write the real value"


def values_have_their_shape(values: Values) -> Iterator[str]:
    """The variables that every such application has."""
    environment = _environment(values)
    if environment.get("NODE_ENV", "production") != "production":
        yield f"{WHERE}.NODE_ENV is {environment['NODE_ENV']!r}; write production, or remove it"
    if (url := environment.get("DATABASE_URL")) and not re.match(r"postgres(ql)?://\S+@\S+/\S+", str(url)):
        yield f"{WHERE}.DATABASE_URL is no address of a database; write postgresql://user:password@host:port/database"
    if (url := environment.get("NEXT_PUBLIC_SUPABASE_URL")) and shapes.origin(str(url)):
        yield f"{WHERE}.NEXT_PUBLIC_SUPABASE_URL is {url!r}; write the project's address, as in https://abc.supabase.co"
    sender = str(environment.get("EMAIL_FROM") or "")
    if sender and shapes.email(re.sub(r"^.*<(.*)>$", r"\1", sender)):
        yield f"{WHERE}.EMAIL_FROM is {sender!r}; write an e-mail address, as in notifications@example.org"
    domain = values.get("airworthy_domain")
    if (url := environment.get("NEXT_PUBLIC_APP_URL")) and domain:
        names = (domain, *values.get("airworthy_domain_aliases", ()))
        if shapes.origin(str(url)) or urlsplit(str(url)).hostname not in names or not str(url).startswith("https://"):
            yield f"{WHERE}.NEXT_PUBLIC_APP_URL is {url!r}; write https://{domain}, or remove it"


def secrets_stay_out_of_the_browser(values: Values) -> Iterator[str]:
    """Next.js compiles NEXT_PUBLIC_ variables into the pages that everybody loads."""
    environment = _environment(values)
    private = {str(value): name for name, value in environment.items() if SECRET.search(name) and _private(name)}
    for name, value in environment.items():
        if _private(name) or not value:
            continue
        if str(value) in private:
            yield f"{WHERE}.{name} has the value of {private[str(value)]}, and everybody can read it; remove it"
        elif _role(value) == "service_role" or str(value).startswith("sb_secret_"):
            yield f"{WHERE}.{name} is a service-role key, and everybody can read it; write the anonymous key"
        elif SECRET.search(name.removeprefix(PUBLIC)):
            yield f"{WHERE}.{name} is a secret by its name, and everybody can read it; name it without {PUBLIC}"


def keys_are_of_their_role(values: Values) -> Iterator[str]:
    """Supabase's keys are tokens that say what they are for, and until when."""
    environment = _environment(values)
    if _role(environment.get("SUPABASE_SERVICE_ROLE_KEY")) not in (None, "service_role"):
        yield f"{WHERE}.SUPABASE_SERVICE_ROLE_KEY is a key of another role; write the one of service_role"
    for name, value in environment.items():
        expires = _claims(value).get("exp")
        if isinstance(expires, int) and expires < time.time():
            yield f"{WHERE}.{name} expired on {time.strftime('%Y-%m-%d', time.gmtime(expires))}; write a new one"


def _environment(values: Values) -> Mapping[str, Any]:
    return values.get(WHERE) or {}


def _private(name: str) -> bool:
    return not name.startswith(PUBLIC)


def _role(token: Any) -> Any:
    return _claims(token).get("role")


def _claims(token: Any) -> Mapping[str, Any]:
    """What a JSON web token says of itself; nothing when it is none."""
    parts = str(token).split(".")
    if len(parts) != 3 or not parts[1]:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}


RULES = (
    names_are_names,
    required_values_are_there,
    values_have_their_shape,
    secrets_stay_out_of_the_browser,
    keys_are_of_their_role,
)
