# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rules about a certificate by ACME. See rules.py for what a rule is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

Values = Mapping[str, Any]

DIRECTORY = "airworthy_acme_directory"
ONLY_WITH_DIRECTORY = ("airworthy_acme_ca_file", "acme_eab_key_id", "acme_eab_hmac_key")
LETS_ENCRYPT = "letsencrypt.org"
# Names that no public CA certifies: RFC 2606, 6761, 6762, 8375 and what ICANN keeps free.
NEVER_PUBLIC = re.compile(r"(^|\.)(test|example|invalid|localhost|local|internal|lan|home|corp|home\.arpa)$")
EXAMPLE_EMAIL = re.compile(r"[@.]example\.(com|net|org)$")
BASE64URL = re.compile(r"[A-Za-z0-9_-]{16,}={0,2}")


def one_certificate_is_asked_for(values: Values) -> Iterator[str]:
    """A certificate that is brought, and one that is issued: nobody could tell which one counts."""
    if values.get(DIRECTORY) and values.get("airworthy_edge_certificate_file"):
        yield f"{DIRECTORY} and airworthy_edge_certificate_file are both set; remove one of them"


def settings_have_a_directory(values: Values) -> Iterator[str]:
    """Whoever wrote them wants ACME, and would not get it."""
    if values.get(DIRECTORY) == "":
        for name in ONLY_WITH_DIRECTORY:
            if values.get(name):
                yield f"{name} is set without {DIRECTORY}; write the address of the CA's directory, or remove it"


def binding_is_complete(values: Values) -> Iterator[str]:
    """An account is bound by an identifier and its key. What may be a secret is not shown."""
    key_id, key = values.get("acme_eab_key_id"), values.get("acme_eab_hmac_key")
    if key_id is None or key is None:
        return
    if bool(key_id) != bool(key):
        given, lacking = (
            ("acme_eab_key_id", "acme_eab_hmac_key") if key_id else ("acme_eab_hmac_key", "acme_eab_key_id")
        )
        yield f"{lacking} is missing, while {given} is set; write both, or neither"
    if re.search(r"\s", key_id):
        yield "acme_eab_key_id has blanks; write it as the CA shows it"
    if key and not BASE64URL.fullmatch(key):
        yield "acme_eab_hmac_key is not in base64url; write it as the CA shows it: letters, digits, - and _"


def a_public_ca_knows_the_names(values: Values) -> Iterator[str]:
    """Let's Encrypt refuses names and addresses that are for examples and local networks."""
    host = urlsplit(str(values.get(DIRECTORY) or "")).hostname or ""
    if host != LETS_ENCRYPT and not host.endswith(f".{LETS_ENCRYPT}"):
        return
    for variable in ("airworthy_domain", "airworthy_domain_aliases"):
        value = values.get(variable) or []
        for name in value if isinstance(value, list) else [value]:
            if NEVER_PUBLIC.search(name):
                yield f"{variable} has {name!r}, for which Let's Encrypt issues nothing; write a public name"
    email = str(values.get("airworthy_admin_email") or "")
    if EXAMPLE_EMAIL.search(email):
        yield f"airworthy_admin_email is {email!r}, which Let's Encrypt refuses; write a real address"


def renewal_comes_before_the_complaint(values: Values) -> Iterator[str]:
    """The audit would be red while nothing is due."""
    before, minimum = values.get("acme_renew_before_days"), values.get("nginx_certificate_minimum_days")
    if values.get(DIRECTORY) and before and minimum and before <= minimum:
        yield (
            f"acme_renew_before_days is {before}, and nginx_certificate_minimum_days, below which the audit fails, is "
            f"{minimum}; write more than {minimum}"
        )


RULES = (
    one_certificate_is_asked_for,
    settings_have_a_directory,
    binding_is_complete,
    a_public_ca_knows_the_names,
    renewal_comes_before_the_complaint,
)
