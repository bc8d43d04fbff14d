# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that are secret or personal by the name that stands before them, in records and in texts."""

from __future__ import annotations

import re
from functools import lru_cache

from masking_base import Found, nothing

HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

# What a name ends with, once accessToken and x-access-token are both access_token, and what its value becomes.
ENDINGS = {
    "[secret]": r"\w*(?:password|passwd|passphrase|secret|api_?key)s?"
    r"|(?:\w+_)?(?:pass|pwd|pw|jwt|bearer|otp|totp|[cx]srf)"
    r"|(?:\w+_)?(?:access|auth|refresh|id|csrf|xsrf|session|bearer|api|bot|reset)?token"
    r"|(?:\w+_)?(?:access|api|auth|bearer|refresh|reset|session)_?tokens"
    r"|(?:\w+_)?(?:access|secret|private|encryption|signing|master|auth|service|service_role|session|license)_?keys?"
    r"|\w*authorization|(?:\w+_)?(?:credentials?|auth_header|session_?id|sid)|\w*sess_?id|\w*sessionid"
    r"|(?:\w+_)?(?:mfa|verification|recovery|reset|one_time)_codes?",
    "[cookie]": r"(?:\w+_)?cookies?",
    "[email]": r"(?:\w+_)?e_?mails?(?:_address(?:es)?)?",
    "[card]": r"(?:\w+_)?(?:credit_?cards?|card_?(?:number|no)|cc_?(?:number|num)|cvv2?|cvc2?)|pan",
    "[iban]": r"(?:\w+_)?iban",
    "[personal]": r"(?:\w+_)?(?:phone|phone_?number|msisdn|ssn|date_of_birth|birth_?da(?:te|y)|dob|passport_?number)",
    "[query]": r"query_?string",
}
SUFFIX = r"(?:_(?:hash|digest|value|plain|raw|old|new|header|text|confirm|confirmation))?_?\d*"
KINDS = [(mask, re.compile(f"(?:{ending}){SUFFIX}")) for mask, ending in ENDINGS.items()]

# One of these stands in the name of every such value.
NEEDS = (
    "pass", "pwd", "pw=", "pw:", "secret", "token", "key", "auth", "cookie", "sess", "sid", "credential", "mail",
    "card", "jwt", "bearer", "otp", "srf", "code", "cc_", "ccn", "cvv", "cvc", "pan", "iban", "phone", "msisdn", "ssn",
    "birth", "dob",
)  # fmt: skip
NAME = re.compile(
    r"(?<![\w.-])(?:(?P<option>--[\w-]++)[ ]{1,3}(?=[^\s-])"
    r"|(?P<name>[\w.-]++)(?P<quote>\\{0,3}[\"'])?\s{0,4}(?P<sign>=>|:=|={1,3}|:(?!//|:))(?P<space>\s{0,4}))"
)
OPENING = re.compile(r"\\{0,7}[\"'`]")
QUOTED = {sign: re.compile(rf"(?:[^{sign}\\]++|\\.)*+", re.DOTALL) for sign in "\"'`"}
LIST = re.compile(r"\[\s{0,8}(\\{0,7}[\"'])")
# A quotation mark ends it, unless it goes on right behind it; an escape such as \n does, too.
BARE = re.compile(r"(?:[^\s\"'`&\\]|(?<![,:;{\[(\s=])[\"'`](?=[\w!#$%^*+~@-])|\\(?![\\nrt\"']))+(?<![)\]},;.:!])")
MEMBER = re.compile(r"[^\s,;\"'`\\\]}]+")
# Numbers are written in groups.
GROUPS = re.compile(r"[^\s\"'`&,;\\]+(?:[ ][0-9A-Z()/-]{1,8}(?![\w.:]))*(?<![)\]}.:!])")
COOKIES = re.compile(r"[^\s;\"'\\]+(?:;[ ]?[^\s;\"'\\]+)*")
SHAPES = {"[cookie]": COOKIES, "[card]": GROUPS, "[iban]": GROUPS, "[personal]": GROUPS}
SCHEME = re.compile(
    r"(?:bearer|basic|negotiate|ntlm|token|apikey)[ ]{1,3}|(?P<list>digest|aws4-hmac-sha256)[ ]", re.IGNORECASE
)
REST = re.compile(r"[^\r\n\\]*")
MASKED = re.compile(r"\[(?:[a-z]+|private key)\]")
# No value: a placeholder of a statement, a call, an empty one.
PLACEHOLDER = re.compile(
    r"(?:\$\d{1,4}|\?|%s|\$\{\w{1,64}\}|<\w{1,64}>|null|none|nil|undefined|true|false)(?=[\s,;)\]}\"'&]|$)"
    r"|\{(?=[\s\"'}\\]|\w{1,64}:|$)|(?:lower|upper|trim|coalesce|crypt|md5|encode|digest)\(",
    re.IGNORECASE,
)
# Prose: `token: expired`.
PROSE = """
a an and are as at be been by can cannot can't could denied disabled does doesn't enabled error exceeds expected expired
failed for from has have if in incorrect invalid is it malformed may mismatch missing must no not of on only or rejected
required revoked rotated should str string that the this to too undefined unexpected unknown unsupported updated value
was when will with without wrong you your
"""
WORDS = frozenset(PROSE.split())
DIRECTORY = re.compile(r"[/~][\w./-]*")
POSTGRES_SESSION = re.compile(r"[0-9a-f]{8}\.[0-9a-f]{1,8}")  # %c: when it began, and its process


@lru_cache(maxsize=4096)
def kind(name: str) -> str:
    """The mask for values of that name; empty where it is an ordinary one."""
    plain = re.sub(r"[^a-z0-9]+", "_", HUMPS.sub("_", name[-128:]).lower()).strip("_")
    return next((mask for mask, pattern in KINDS if pattern.fullmatch(plain)), "")


def ordinary(name: str, value: str) -> bool:
    """sudo's PWD is a directory, and Postgres' session_id opens nothing."""
    shape = {"pwd": DIRECTORY, "oldpwd": DIRECTORY, "session_id": POSTGRES_SESSION}.get(name.lower())
    return bool(shape and shape.fullmatch(value))


def named(match: re.Match[str]) -> Found:
    """The value that stands after a name, quoted or not."""
    text, name = match.string, match["option"] or match["name"]
    if match["name"] and text[match.start() - 1 : match.start()] == "\\" and name[0] in "nrt":
        name = name[1:]
    if not (mask := kind(name)):
        return match.end(), match.end(), ""
    start = match.end()
    if within := LIST.match(text, start):
        return of_list(within, mask)
    opened = OPENING.match(text, start)
    start, end = quoted(text, opened.group(), opened.end()) if opened else bare(match, mask)
    value = text[start:end]
    if not value or MASKED.fullmatch(value) or ordinary(name, value):
        return (end, end, "") if end > match.start() else nothing(match)
    number = not opened and match["quote"]
    return start, end, f'{match["quote"]}{mask}{match["quote"]}' if number else mask


def of_list(within: re.Match[str], mask: str) -> Found:
    """All that stands in brackets becomes one value; without an end in sight, the first alone."""
    text, mark = within.string, within[1]
    start, first = quoted(text, mark, within.end())
    ends = [text.find(mark + closing, start, start + 8192) for closing in ("]", " ]", "\n]")]
    return start, min((end for end in ends if end >= 0), default=first), mask


def quoted(text: str, mark: str, start: int) -> tuple[int, int]:
    """To the same quotation mark; where that was cut off, to the end."""
    if len(mark) == 1:
        inside = QUOTED[mark].match(text, start)
        return start, inside.end() if inside else start
    end = text.find(mark, start)
    return start, end if end >= 0 else len(text)


def bare(match: re.Match[str], mask: str) -> tuple[int, int]:
    text, start = match.string, match.end()
    if PLACEHOLDER.match(text, start) or MASKED.match(text, start):
        return start, start
    scheme = SCHEME.match(text, start)
    pattern = MEMBER if match["quote"] else SHAPES.get(mask, BARE)
    if scheme and scheme["list"]:
        pattern = REST
    value = pattern.match(text, scheme.end() if scheme else start)
    if not value:
        return start, start
    word = value.group().lower().strip(".,;:!")
    prose = match["option"] or match["sign"] == ":" or match["space"]
    if mask == "[email]" or (prose and not scheme and word in WORDS):  # addresses have a rule of their own
        return start, start
    return start, value.end()
