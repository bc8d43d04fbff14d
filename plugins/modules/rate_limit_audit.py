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
  - C(edge.rate_api) sends more requests at once than are allowed, below each of O(limited). A controller
    that is slow asks on until it is refused, four times as many at most. One that cannot ask a tenth more often than is
    allowed sees no limit, and says how long it took.
  - With O(probe_key), each of its clients is a new one to the server. Without it, or where the server does not know the
    key, the address of the controller uses up its attempts, and is refused until they are forgotten.
extends_documentation_fragment:
  - airworthy.stack.edge
  - airworthy.stack.edge.limits
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
"""

EXAMPLES = r"""
- name: Nobody asks more often than allowed
  airworthy.stack.rate_limit_audit:
    domain: app.example.org
    address: 203.0.113.10
    auth: /api/auth/sign-in
    limited: [{path: /api/, burst: 100}]
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
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.control import (
    Check,
    Control,
    judged,
    not_applicable,
    run_probes,
)
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import (
    LIMITED_SPEC,
    TARGET_SPEC,
    Answer,
    Target,
    ask,
)
from ansible_collections.airworthy.stack.plugins.module_utils.web_probe import exceed

REMEDIATION = "ansible-playbook site.yml --tags nginx"


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
    who = target.new_client()
    answers = [sign_in(target, wanted["auth"], who) for attempt in range(wanted["auth_requests"] + 1)]
    return answers, sign_in(target, wanted["auth"], target.new_client())


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


@dataclass(frozen=True)
class Burst:
    """What came back to a client that asked as often as it could, and then to another one."""

    path: str
    allowed: int
    answers: list[Answer]
    seconds: float
    other: Answer


def observe_api(target: Target, wanted: Mapping[str, Any]) -> list[Burst]:
    return [rush(target, limit["path"], limit["burst"], limit["probe_method"]) for limit in wanted["limited"]]


def rush(target: Target, below: str, allowed: int, method: str) -> Burst:
    """Ask for nothing that exists, so that nothing changes whatever the method."""
    path, who = f"{below}airworthy-{secrets.token_hex(4)}", target.new_client()
    length = {} if method == "GET" else {"Origin": target.url(""), "Content-Length": "0"}
    began = time.monotonic()
    answers = exceed(allowed, lambda: ask(target, path, method=method, headers={**length, **who}))
    seconds = time.monotonic() - began
    other = ask(target, path, method=method, headers={**length, **target.new_client()})
    return Burst(below, allowed, answers, seconds, other)


def judge_api(bursts: list[Burst], command: str) -> Control:
    checks = []
    for burst in bursts:
        served = sum(map(is_served, burst.answers))
        refused = [answer for answer in burst.answers if answer.status == 429]
        silent = [answer for answer in refused if not (answer.first("Retry-After") and tells_why(answer))]
        checks += [
            Check(
                f"{len(burst.answers)} requests at once below {burst.path}",
                f"{burst.allowed} or a few more served, the others refused with 429",
                f"{told(burst.answers)}, in {burst.seconds:.1f} s",
                burst.allowed <= served < len(burst.answers) == served + len(refused),
            ),
            Check(
                f"refusals below {burst.path}",
                "Retry-After, and JSON with a message and the id of the request",
                f"{silent[0].body.strip()[:80]!r}" if silent else f"{len(refused)} times",
                bool(refused) and not silent,
            ),
            Check(f"another client below {burst.path}", "served", str(burst.other), is_served(burst.other)),
        ]
    return judged("edge.rate_api", "deep", checks, command=command, remediation=REMEDIATION)


def probes_of(target: Target, wanted: Mapping[str, Any]) -> dict[str, Callable[[], Control]]:
    """What there is to examine. The loops of the commands count against the address of whoever runs them."""
    attempt = target.curl(wanted["auth"], "-X", "POST", "-H", f"Origin: {target.url('')}", "-d", "{}")
    limit: dict[str, Any] = next(iter(wanted["limited"]), {"path": "/", "burst": 0, "probe_method": "GET"})
    request = target.curl(limit["path"], "-X", limit["probe_method"], "-o", "/dev/null", "-w", "%{http_code}\n")
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
            judge_api(observe_api(target, wanted), f"for n in $(seq {2 * limit['burst']}); do {request}; done")
            if wanted["limited"]
            else not_applicable("edge.rate_api", "deep", "the application has no API (`limited`)")
        ),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **TARGET_SPEC,
            "auth": {"type": "str", "default": ""},
            "auth_requests": {"type": "int", "default": 10},
            "auth_minutes": {"type": "int", "default": 15},
            "limited": LIMITED_SPEC,
        },
        supports_check_mode=True,
    )
    probes = probes_of(Target.of(module.params), module.params)
    module.exit_json(changed=False, controls=run_probes("deep", probes))


if __name__ == "__main__":
    main()
