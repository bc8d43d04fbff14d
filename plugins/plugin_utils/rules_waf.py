# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rules about the web application firewall. See rules.py for what a rule is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

Values = Mapping[str, Any]

PATH = re.compile(r"/[\w./~%+-]*")
TARGET = re.compile(r"[A-Z_]+(:[\w.-]+)?")
# The Core Rule Set's detecting rules. Those that add up and refuse are no false alarm.
DETECTING = range(911000, 949000)


def exclusions_are_understood(values: Values) -> Iterator[str]:
    """What stands in an exclusion becomes a rule of ModSecurity."""
    for number, exclusion in enumerate(values.get("nginx_waf_exclusions") or []):
        where = f"nginx_waf_exclusions[{number}]"
        path, target = exclusion.get("path"), exclusion.get("target")
        if path is not None and not PATH.fullmatch(path):
            yield f"{where}.path is {path!r}; write how a path begins, as in /api/articles"
        if target is not None and not TARGET.fullmatch(target):
            yield f"{where}.target is {target!r}; write a part of the request, as in ARGS:json.text"
        if exclusion.get("rules") == []:
            yield f"{where}.rules is empty; write the ids that the audit log shows, as in [942100]"
        for rule in exclusion.get("rules") or []:
            if rule not in DETECTING:
                yield f"{where}.rules has {rule}; write the id of a rule that detects, from 911000 to 948999"


def inspected_body_is_accepted(values: Values) -> Iterator[str]:
    """A limit beyond what the edge accepts would promise more than there is."""
    limit, accepted = values.get("nginx_waf_body_limit_kb"), values.get("nginx_client_max_body_mb")
    if limit and accepted and values.get("nginx_waf_mode") != "off" and limit > accepted * 1024:
        yield (
            f"nginx_waf_body_limit_kb is {limit}, over nginx_client_max_body_mb, {accepted}; "
            f"write at most {accepted * 1024}"
        )


RULES = (exclusions_are_understood, inspected_body_is_accepted)
