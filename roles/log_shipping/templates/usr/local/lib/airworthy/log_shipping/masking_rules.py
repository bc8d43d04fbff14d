# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is masked in every log, wherever it stands. The order matters: what is quoted goes before what it quotes."""

from __future__ import annotations

import re

import masking_names as names
import masking_numbers as numbers
import masking_sql as sql
from masking_base import WORD, Found, Rule, nothing, without_escape

# Query strings. With a slash before the question mark it is the address of something; without, a name and `=` follow.
STOP, TRAILING = r"\s\"<>`\\", r"'()\[\]{}.,;:!|?"
TAIL = rf"(?!\[query\][{TRAILING}]*(?:[{STOP}]|$))([^{STOP}]*[^{STOP}{TRAILING}])"
QUERY = re.compile(
    rf"(?<![^\s\"'<>`(=\\])[^\s\"'<>`(=\\?/]*+/[^\s\"'<>`(=\\?]*+\?{TAIL}|\?(?=[\w.\[\]%-]{{1,64}}=){TAIL}"
)

# postgres://user:password@host, also where the password has signs that it should not have. git@ is everybody's.
CREDENTIALS = re.compile(
    r"(?<=://)(?!\[credentials\]@|git@)"
    r"(?:[^\s/\"'<>\\]{1,512}|[^\s/\"'<>\\@:]{0,256}:(?!\d{1,5}(?:[/\s]|$))[^\s\"'<>\\@]{0,256})@(?=[\w\[%./-])"
)

# curl -u user:password, as sudo notes it; not docker run -u 1000:1000.
USER_OPTION = re.compile(r"((?<=\s)(?:-u|--user|--proxy-user)[ =])(?!\d+:\d+(?!\S))[^\s:\"'\\]{1,128}:[^\s\"'\\]+")

SCHEME = re.compile(r"\b(?:Bearer|Basic|Negotiate|NTLM|ApiKey)[ ]{1,8}([A-Za-z0-9._~+/=-]{6,}+)(?!\")", re.IGNORECASE)

PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:(?!-----END)[\w+/=\s\\:,.()-])*+"
    r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?"
)

# Tokens that are known by how they begin.
TOKENS = re.compile(
    WORD + r"(?:(?:AKIA|ASIA)[A-Z0-9]{16}(?!\w)"  # AWS
    r"|gh[pousr]_[A-Za-z0-9]{20,}+|github_pat_\w{20,}+|glpat-[\w-]{16,}+"  # GitHub, GitLab
    r"|xox[abeprs]-[\w-]{10,}+|[sr]k_(?:live|test)_\w{10,}+|whsec_[\w+/=]{16,}+"  # Slack, Stripe
    r"|AIza[\w-]{30,}+|sbp_[a-f0-9]{20,}+|npm_[A-Za-z0-9]{20,}+|sk-[\w-]{20,}+"  # Google, Supabase, npm, OpenAI
    r"|SG\.[\w-]{16,}+\.[\w-]{16,}+|AGE-SECRET-KEY-1[A-Z0-9]{20,}+)"  # SendGrid, age
)
TOKENS_NEED = (
    "akia", "asia", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "k_live_", "k_test_",
    "whsec_", "aiza", "sbp_", "npm_", "sk-", "sg.", "age-secret-key-",
)  # fmt: skip
JWT = re.compile(r"eyJ(?:(?<![\w-]...)|(?<=\\[nrt]...))[\w-]{5,}+\.[\w-]{5,}+(?:\.[\w-]*+){0,3}")

EMAIL = re.compile(
    r"(?:(?<![\w.+~%-])|(?<=\\[nrt]))(?:(?<!\w)[OoDd]')?(?:%(?!40))?[\w.+~-]++(?:%(?!40)[\w.+~-]*+)*+"
    r"(?:@|%40|\\u0040)(?P<domain>[\w-]++(?:\.[\w-]++)+)"
)
LABEL = re.compile(r"(?:xn--[a-z0-9]|[^\W\d_]{2,})", re.IGNORECASE)
NO_DOMAIN = re.compile(
    r"v?\d+\.\d+|\d+x\.\w+$"  # a version of a package, a picture for a dense screen
    r"|.*\.(?:service|socket|timer|target|mount|automount|swap|slice|scope|path|device|m?js|cjs|[jt]sx?|css|json)(?![^\W_])",
    re.IGNORECASE,
)


def query(match: re.Match[str]) -> Found:
    return *match.span(match.lastindex or 0), "[query]"


def scheme(match: re.Match[str]) -> Found:
    """Not `Basic authentication` and `bearer tokens`."""
    value = match[1]
    mixed = value != value.lower() and value[1:] != value[1:].upper() and len(value) >= 12
    random = mixed or len(value) >= 24 or any(sign.isdigit() or sign == "=" for sign in value)
    return (*match.span(1), "[secret]") if random else (match.end(), match.end(), "")


def email(match: re.Match[str]) -> Found:
    """Not units of systemd, versions of packages, pictures; nor git@, which is everybody's."""
    text, start = match.string, without_escape(match.string, match.start())
    domain = match["domain"]
    labels = domain.split(".")[1:]
    if NO_DOMAIN.match(domain) or not any(LABEL.match(label) for label in labels):
        return nothing(match)
    if text.startswith(("git@", "@"), start):
        return nothing(match)
    return start, match.end(), "[email]"


BUILT_IN = (
    Rule("private_key", PRIVATE_KEY, "[private key]", ("-----begin ",)),
    # A row or a key in an error of Postgres.
    Rule("row", sql.ROW, needs=("failing row contains (",), find=sql.row),
    Rule("key", sql.DETAIL, needs=("key (",), find=sql.detail),
    Rule("input", sql.INPUT, needs=("copy ", "invalid input ", "date/time field"), find=sql.unreadable),
    # Parameters and literals of statements.
    Rule("audit_parameters", sql.AUDITED, needs=("audit: ",), find=sql.to_the_end),
    Rule("query_parameters", sql.DRIZZLE, needs=("params: ",), find=sql.to_the_end),
    Rule("literal", sql.STATEMENT, needs=sql.STATEMENT_NEEDS, find=sql.statement),
    # Addresses of pages and of services.
    Rule("query", QUERY, needs=("?",), find=query),
    Rule("credentials", CREDENTIALS, "[credentials]@", ("://",)),
    Rule("user_option", USER_OPTION, r"\1[credentials]", (" -u", " --user", "-user")),
    # Numbers that check themselves.
    Rule("iban", numbers.IBAN, find=numbers.iban, needs=tuple("0123456789")),
    Rule("card", numbers.CARD, find=numbers.card, needs=tuple("0123456789")),
    # Values by their names, in headers, settings and objects.
    Rule("named", names.NAME, needs=names.NEEDS, find=names.named),
    Rule("authorization", SCHEME, needs=("bearer ", "basic ", "negotiate ", "ntlm ", "apikey "), find=scheme),
    # Values by their shapes.
    Rule("jwt", JWT, "[token]", ("eyj",)),
    Rule("token", TOKENS, "[token]", TOKENS_NEED),
    Rule("email", EMAIL, needs=("@", "%40", "\\u0040"), find=email),
)
