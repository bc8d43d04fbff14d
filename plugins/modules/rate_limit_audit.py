#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rate_limit_audit
short_description: Examines from outside how often a web server lets a client ask
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Proves the controls C(edge.rate_auth) and C(edge.rate_api), at level V(deep). It asks like any client, so it belongs
    on the controller or another host (C(delegate_to)), not on the server itself.
  - C(edge.rate_auth) tries to sign in once more than is allowed, one attempt after the other.
  - C(edge.rate_api) sends more requests at once than are allowed, below each of O(api_prefixes).
  - With O(probe_key), each of its clients is a new one to the server. Without it, or where the server does not know the
    key, the address of the controller uses up its attempts, and is refused until they are forgotten.
extends_documentation_fragment:
  - airworthy.stack.edge
options:
  auth:
    description: An address at which one signs in. C({}) is posted there. Empty when there is none.
    type: str
    default: ""
  auth_requests:
    description: Attempts that a client has in O(auth_minutes).
    type: int
    default: 10
  auth_minutes:
    description: Minutes for which an attempt counts.
    type: int
    default: 15
  api_prefixes:
    description: Paths below which the rate of a client is limited.
    type: list
    elements: str
    default: []
  api_burst:
    description: Requests that a client may send at once.
    type: int
    default: 100
  probe_key:
    description: What lets a request choose the client that it is counted for.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Nobody asks more often than allowed
  airworthy.stack.rate_limit_audit:
    domain: app.example.org
    address: 203.0.113.10
    auth: /api/auth/sign-in
    api_prefixes: [/api/]
    probe_key: "{{ lookup('airworthy.stack.secret', 'edge_probe') }}"
  delegate_to: localhost
  register: __nginx_rate_controls
"""

RETURN = r"""
controls:
  description: The controls C(edge.rate_auth) and C(edge.rate_api), as described in docs/certificate.md.
  returned: always
  type: list
  elements: dict
"""

import json
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.control import (
    Check,
    Control,
    judged,
    not_applicable,
    run_probes,
)
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import TARGET_SPEC, Answer, Target, ask
from ansible_collections.airworthy.stack.plugins.module_utils.web_probe import new_client

REMEDIATION = "ansible-playbook site.yml --tags nginx"

# Connections at a time: enough to be faster than the limit over a long line.
AT_ONCE = 32


def is_served(answer: Answer) -> bool:
    """Whether the application has seen the request, whatever it thought of it."""
    return 0 < answer.status < 500 and answer.status != 429


def told(answers: Iterable[Answer]) -> str:
    """What came back, counted."""
    return ", ".join(f"{count} times {answer}" for answer, count in Counter(map(str, answers)).most_common())


# --- edge.rate_auth


def sign_in(target: Target, path: str, who: Mapping[str, str]) -> Answer:
    """An attempt that cannot succeed. Without its body it would not be answered by the application's own rules."""
    headers = {"Origin": target.url(""), "Content-Type": "application/json", **who}
    return ask(target, path, method="POST", headers=headers, body=b"{}")


def observe_auth(target: Target, wanted: Mapping[str, Any]) -> tuple[list[Answer], Answer]:
    """The attempts of one client, of which the last is one too many, and then one of another client."""
    who = new_client(wanted["probe_key"])
    answers = [sign_in(target, wanted["auth"], who) for attempt in range(wanted["auth_requests"] + 1)]
    return answers, sign_in(target, wanted["auth"], new_client(wanted["probe_key"]))


def judge_auth(seen: tuple[list[Answer], Answer], wanted: Mapping[str, Any], command: str) -> Control:
    (*allowed, last), other = seen
    longest = wanted["auth_minutes"] * 60
    wait = last.first("Retry-After")
    checks = [
        Check(f"attempts 1 to {len(allowed)}", "served", told(allowed), all(map(is_served, allowed))),
        Check(f"attempt {len(allowed) + 1}", "429", str(last), last.status == 429),
        Check(
            "Retry-After",
            f"1 to {longest} seconds",
            wait or "missing",
            wait.isdecimal() and 1 <= int(wait) <= longest,
        ),
        Check("refusal", "JSON with a message and the id of the request", last.body.strip(), tells_why(last)),
        Check("another client", "served", str(other), is_served(other)),
    ]
    return judged("edge.rate_auth", "deep", checks, command=command, remediation=REMEDIATION)


def tells_why(answer: Answer) -> bool:
    try:
        problem = json.loads(answer.body)["error"]
        return bool(problem["message"] and problem["requestId"])
    except (ValueError, KeyError, TypeError):
        return False


# --- edge.rate_api


def observe_api(target: Target, wanted: Mapping[str, Any]) -> dict[str, tuple[list[Answer], Answer]]:
    """Below each prefix: the answers to a client that asks as often as it can, and then one to another client."""
    seen = {}
    for prefix in wanted["api_prefixes"]:
        who = new_client(wanted["probe_key"])
        path = f"{prefix}airworthy-{secrets.token_hex(4)}"
        with ThreadPoolExecutor(AT_ONCE) as pool:
            asked = [pool.submit(ask, target, path, headers=who) for number in range(2 * wanted["api_burst"] + AT_ONCE)]
        seen[prefix] = [each.result() for each in asked], ask(target, path, headers=new_client(wanted["probe_key"]))
    return seen


def judge_api(seen: Mapping[str, tuple[list[Answer], Answer]], wanted: Mapping[str, Any], command: str) -> Control:
    checks = []
    for prefix, (answers, other) in seen.items():
        served = sum(map(is_served, answers))
        refused = sum(answer.status == 429 for answer in answers)
        checks += [
            Check(
                f"{len(answers)} requests at once below {prefix}",
                f"{wanted['api_burst']} or a few more served, the others refused with 429",
                told(answers),
                wanted["api_burst"] <= served < len(answers) == served + refused,
            ),
            Check(f"another client below {prefix}", "served", str(other), is_served(other)),
        ]
    return judged("edge.rate_api", "deep", checks, command=command, remediation=REMEDIATION)


def probes_of(target: Target, wanted: Mapping[str, Any]) -> dict[str, Callable[[], Control]]:
    """What there is to examine. The loops of the commands count against the address of whoever runs them."""
    attempt = target.curl(wanted["auth"], "-X", "POST", "-H", f"Origin: {target.url('')}", "-d", "{}")
    request = target.curl(next(iter(wanted["api_prefixes"]), "/"), "-o", "/dev/null", "-w", "%{http_code}\n")
    return {
        "edge.rate_auth": lambda: (
            judge_auth(
                observe_auth(target, wanted),
                wanted,
                f"for n in $(seq {wanted['auth_requests'] + 1}); do {attempt}; done",
            )
            if wanted["auth"]
            else not_applicable("edge.rate_auth", "deep", "nothing to sign in to is named (`auth`)")
        ),
        "edge.rate_api": lambda: (
            judge_api(
                observe_api(target, wanted), wanted, f"for n in $(seq {2 * wanted['api_burst']}); do {request}; done"
            )
            if wanted["api_prefixes"]
            else not_applicable("edge.rate_api", "deep", "the application has no API (`api_prefixes`)")
        ),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **TARGET_SPEC,
            "auth": {"type": "str", "default": ""},
            "auth_requests": {"type": "int", "default": 10},
            "auth_minutes": {"type": "int", "default": 15},
            "api_prefixes": {"type": "list", "elements": "str", "default": []},
            "api_burst": {"type": "int", "default": 100},
            "probe_key": {"type": "str", "default": "", "no_log": True},
        },
        supports_check_mode=True,
    )
    probes = probes_of(Target.of(module.params), module.params)
    module.exit_json(changed=False, controls=run_probes("deep", probes))


if __name__ == "__main__":
    main()
