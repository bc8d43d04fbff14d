# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers that say themselves whether they are what they look like: payment cards and IBANs."""

from __future__ import annotations

import re

from masking_base import Found, nothing

# Issuers' prefixes, each with the lengths that it gives out. Today's timestamps begin with 1 or 20.
ISSUERS = [
    (re.compile(r"4"), (13, 16, 19)),  # Visa
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),  # Mastercard
    (re.compile(r"3[47]"), (15,)),  # American Express
    (re.compile(r"3(?:0[0-5]|095|[689])"), (14, 15, 16, 17, 18, 19)),  # Diners Club
    (re.compile(r"6011|64[4-9]|65|62|35(?:2[89]|[3-8])"), (16, 17, 18, 19)),  # Discover, UnionPay, JCB
    (re.compile(r"50|5[6-8]|6304|67"), (13, 14, 15, 16, 17, 18, 19)),  # Maestro
]
# In one piece, or in the groups that are printed on cards.
CARD = re.compile(
    r"[2-6](?=[0-9]{3}[0-9 -][0-9]{4})(?:(?<![\w.].)|(?<=\\[nrt].))(?:\d{12,18}"
    r"|\d{3}([ -])\d{4}\1\d{4}\1\d{4}(?:\1\d{3}(?!\d))?|\d{3}([ -])\d{6}\2\d{4,5})(?![^\W_]|\.\d)"
)

LENGTHS = {
    country: int(length)
    for length, countries in {
        "15": "NO", "16": "BE BI", "18": "DK FI FO GL NL SD FK", "19": "MK SI",
        "20": "AT BA EE KZ LT LU MN XK", "21": "CH HR LI LV", "22": "BG BH CR DE GB GE IE ME RS VA",
        "23": "AE GI IL IQ OM SO TL", "24": "AD CZ ES MD PK RO SA SE SK TN VG", "25": "LY PT ST",
        "26": "IS TR", "27": "DJ FR GR IT MC MR SM", "28": "AL AZ BY CY DO GT HU LB NI PL SV",
        "29": "BR EG PS QA UA", "30": "JO KW MU YE", "31": "MT SC", "32": "LC", "33": "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip
# Digits are rarer than letters, so the search begins at those that check the others.
IBAN = re.compile(r"[0-9](?<=[A-Za-z]{2}[0-9])[0-9](?: ?[A-Za-z0-9]){11,29}")


def luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def is_card(digits: str) -> bool:
    issued = any(len(digits) in lengths and prefix.match(digits) for prefix, lengths in ISSUERS)
    return issued and luhn(digits)


def card(match: re.Match[str]) -> Found:
    """Of groups, a security code that follows may look like one more."""
    groups = re.split("[ -]", match.group())
    for count in range(len(groups), 0, -1):
        digits = "".join(groups[:count])
        if digits.isascii() and is_card(digits):
            return match.start(), match.start() + len(digits) + count - 1, "[card]"
    return nothing(match)


def iban(match: re.Match[str]) -> Found:
    """The country says where it ends; what follows may be a word of the text."""
    text, start, end, taken = match.string, match.start() - 2, match.start() - 2, ""
    before = text[max(0, start - 2) : start]
    if before and (before[-1].isalnum() or before[-1] in "_.-") and before not in (r"\n", r"\r", r"\t"):
        return nothing(match)
    length = LENGTHS.get(text[start : start + 2].upper(), 0)
    while end < match.end() and len(taken) < length:
        taken += text[end].strip()
        end += 1
    ends = not text[end : end + 1].isalnum()
    return (start, end, "[iban]") if length and len(taken) == length and ends and valid(taken) else nothing(match)


def valid(account: str) -> bool:
    moved = account[4:] + account[:4]
    return account.isascii() and int("".join(str(int(sign, 36)) for sign in moved)) % 97 == 1
