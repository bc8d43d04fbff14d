#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cookie_audit
short_description: Examines from outside whether every cookie that leaves a web server is a safe one
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Proves the control C(edge.sessions), as far as cookies go. It asks like any client, so it belongs on the controller
    or another host (C(delegate_to)), not on the server itself.
  - A canary behind the server, an application that knows nothing of safety, sets cookies without flags and with bad
    ones, many in one answer, on errors as well. All of them have to come out, and each of them C(Secure), C(HttpOnly)
    and C(SameSite=Lax) or C(Strict).
  - What the application itself sets at O(page), O(api) and O(sign_in) is held to the same.
extends_documentation_fragment:
  - airworthy.stack.edge
options:
  canary:
    description:
      - Where the canary is reached. There it fails with status 500; at C(/200) and C(/404) below, it answers so.
    type: str
    required: true
  canary_cookies:
    description: The C(Set-Cookie) headers of each of its answers.
    type: list
    elements: str
    required: true
  readable_cookies:
    description: Names of cookies that scripts may read. They need not be C(HttpOnly), and the canary's must not be.
    type: list
    elements: str
    default: []
  page:
    description: A page that everybody may see.
    type: str
    default: /
  api:
    description: An address of the API, whatever it answers to a stranger. Empty to leave it out.
    type: str
    default: ""
  sign_in:
    description: Where one signs in. C({}), which cannot succeed, is posted there. Empty to leave it out.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Every cookie is a safe one
  airworthy.stack.cookie_audit:
    domain: app.example.org
    address: 203.0.113.10
    canary: /.well-known/airworthy/canary
    canary_cookies: ["bare=1", "cross=1; SameSite=None", "csrf_token=1"]
    readable_cookies: [csrf_token]
  delegate_to: localhost
  register: __nginx_cookie_controls
"""

RETURN = r"""
controls:
  description: The control C(edge.sessions), as described in docs/certificate.md.
  returned: always
  type: list
  elements: dict
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.control import Check, Control, judged, run_probes
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import TARGET_SPEC, Answer, Target, ask

REMEDIATION = "ansible-playbook site.yml --tags nginx"
SCOPE = "of cookies only: the stack has no session store of its own (Redis) yet, of which a proof could speak"


@dataclass(frozen=True)
class Cookie:
    name: str
    attributes: Mapping[str, str]

    @classmethod
    def of(cls, header: str) -> Cookie:
        pair, *rest = header.split(";")
        attributes = (attribute.strip().lower().partition("=") for attribute in rest)
        return cls(pair.partition("=")[0].strip(), {name.strip(): value.strip() for name, _equals, value in attributes})

    def faults(self) -> list[str]:
        """What a browser would do with it that it must not; whether scripts may read it is said apart."""
        found = [] if "secure" in self.attributes else ["not Secure"]
        if (site := self.attributes.get("samesite", "missing")) not in ("lax", "strict"):
            found.append(f"SameSite {site}")
        return found

    @property
    def is_readable(self) -> bool:
        return "httponly" not in self.attributes


def cookies_of(answer: Answer) -> list[Cookie]:
    return [Cookie.of(header) for header in answer.values("Set-Cookie")]


@dataclass(frozen=True)
class Seen:
    """Answers of the canary, with the status that each must have, and of the application."""

    canary: Mapping[int, Answer]
    application: Mapping[str, Answer]


def observe(target: Target, wanted: Mapping[str, Any]) -> Seen:
    canary = {status: ask(target, f"{wanted['canary']}/{status}") for status in (200, 404)}
    canary[500] = ask(target, wanted["canary"])
    application = {f"GET {path}": ask(target, path) for path in (wanted["page"], wanted["api"]) if path}
    if path := wanted["sign_in"]:
        headers = {"Origin": target.url(""), "Content-Type": "application/json", **target.new_client()}
        application[f"POST {path}"] = ask(target, path, method="POST", headers=headers, body=b"{}")
    return Seen(canary, application)


def judge(seen: Seen, wanted: Mapping[str, Any], command: str) -> Control:
    readable = set(wanted["readable_cookies"])
    names = sorted({Cookie.of(header).name for header in wanted["canary_cookies"]} | readable)
    checks = [of_canary(status, answer, names, readable) for status, answer in seen.canary.items()]
    checks += [of_application(what, answer, readable) for what, answer in seen.application.items()]
    control = judged("edge.sessions", "quick", checks, command=command, remediation=REMEDIATION)
    return replace(control, observed=f"{control.observed} ({SCOPE})")


def of_canary(status: int, answer: Answer, names: list[str], readable: Collection[str]) -> Check:
    """What it sets must come out and be safe. In place of its 5xx comes the edge's own answer, without its cookies."""
    cookies = cookies_of(answer)
    faults = [] if answer.status == status else [f"status {answer}"]
    came = sorted(cookie.name for cookie in cookies)
    wanted = [] if status >= 500 else names
    if came != wanted:
        faults.append(f"came: {', '.join(came) or 'none'}")
    for cookie in cookies:
        wrong = cookie.faults()
        if cookie.is_readable != (cookie.name in readable):
            wrong.append("readable by scripts" if cookie.is_readable else "HttpOnly, though scripts need it")
        faults += [f"{cookie.name}: {fault}" for fault in wrong]
    but = f", but for {', '.join(sorted(readable))}" if readable else ""
    expected = f"{len(wanted)} cookies, each Secure, SameSite and HttpOnly{but}" if wanted else "none"
    observed = "; ".join(faults) or f"{len(came)} cookies, as wanted"
    return Check(f"cookies of a careless application, status {status}", expected, observed, not faults)


def of_application(what: str, answer: Answer, readable: Collection[str]) -> Check:
    cookies = cookies_of(answer)
    faults = [] if answer.status else [str(answer)]
    for cookie in cookies:
        wrong = cookie.faults()
        if cookie.is_readable and cookie.name not in readable:
            wrong.append("readable by scripts")
        faults += [f"{cookie.name}: {fault}" for fault in wrong]
    observed = ", ".join(cookie.name for cookie in cookies) or "no cookie"
    return Check(f"cookies at {what}", "none, or safe ones", "; ".join(faults) or observed, not faults)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **TARGET_SPEC,
            "canary": {"type": "str", "required": True},
            "canary_cookies": {"type": "list", "elements": "str", "required": True},
            "readable_cookies": {"type": "list", "elements": "str", "default": []},
            "page": {"type": "str", "default": "/"},
            "api": {"type": "str", "default": ""},
            "sign_in": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    target, wanted = Target.of(module.params), module.params
    command = target.curl(f"{wanted['canary']}/200")
    probes = {"edge.sessions": lambda: judge(observe(target, wanted), wanted, command)}
    module.exit_json(changed=False, controls=run_probes("quick", probes))


if __name__ == "__main__":
    main()
