#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: http_audit
short_description: Examines from outside what a web server answers, and what it keeps to itself
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Proves the controls C(edge.headers), C(edge.cors) and C(edge.errors). It asks like any client, so it belongs on the
    controller or another host (C(delegate_to)), not on the server itself.
  - C(edge.headers) compares the security headers of a page, a static file, an API answer, a missing page, a failing
    application and the redirect of plain HTTP.
  - C(edge.cors) asks with and without preflight, as the allowed origins and as origins that only look like them.
  - C(edge.errors) provokes errors and looks for traces of the inside in the answers.
extends_documentation_fragment:
  - airworthy.stack.edge
  - airworthy.stack.edge.pages
options:
  security_headers:
    description:
      - The headers that every answer must carry exactly once, with their values. C($request_id) in a value stands for a
        nonce, 32 hexadecimal digits that are never the same.
    type: dict
    required: true
  headers_from_app:
    description: Headers of O(security_headers) whose value the application chooses.
    type: list
    elements: str
    default: []
  hsts:
    description: The exact C(Strict-Transport-Security) of every answer over HTTPS. Over plain HTTP there must be none.
    type: str
    required: true
  api:
    description: An address of the API, whatever it answers to a stranger. Empty to leave it out.
    type: str
    default: ""
  failing:
    description: An address at which an application behind the server fails, and says too much. Empty to leave it out.
    type: str
    default: ""
  private:
    description: Paths of the application that nobody outside may see, such as that of its figures.
    type: list
    elements: str
    default: []
  revision:
    description: The fingerprint of the configuration that O(revision_path) must show. Empty to leave it out.
    type: str
    default: ""
  revision_path:
    description: Where the server shows the fingerprint of the configuration that it has loaded.
    type: str
    default: /.well-known/airworthy/revision
  cors:
    description: Who may call what.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where to ask.
        type: str
        required: true
      allowed_origins:
        description: Origins whose pages may call the application. C(*) stands for one label of a host, or a part of it.
        type: list
        elements: str
        default: []
      allowed_methods:
        description: What they may do.
        type: list
        elements: str
        default: []
      allowed_headers:
        description: Request headers that they may send.
        type: list
        elements: str
        default: []
      exposed_headers:
        description: Headers of an answer that they may read.
        type: list
        elements: str
        default: []
      allow_credentials:
        description: Whether they may send cookies.
        type: bool
        default: false
      max_age:
        description: Seconds for which they may remember the answer to a preflight.
        type: int
        default: 600
  max_body_mb:
    description: The largest request body that is accepted, in MiB. A larger one is announced, but not sent.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: The edge's answers carry what they must, and nothing that they must not
  airworthy.stack.http_audit:
    domain: app.example.org
    address: 203.0.113.10
    security_headers:
      X-Content-Type-Options: nosniff
      Content-Security-Policy: default-src 'self'
    hsts: max-age=63072000
    cors:
      - path: /
        allowed_origins: ["https://admin.example.org", "https://pr-*.preview.example.org"]
        allowed_methods: [GET, POST]
  delegate_to: localhost
  register: __nginx_http_controls
"""

RETURN = r"""
controls:
  description: The controls C(edge.headers), C(edge.cors) and C(edge.errors), as described in docs/certificate.md.
  returned: always
  type: list
  elements: dict
"""

import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.control import Check, Control, judged, run_probes
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import (
    PAGES_SPEC,
    TARGET_SPEC,
    Answer,
    Target,
    ask,
    ask_raw,
)
from ansible_collections.airworthy.stack.plugins.module_utils.web_probe import (
    foreign_origins,
    sample_origin,
    stands_for,
    static_file,
)

REMEDIATION = "ansible-playbook site.yml --tags nginx"

# These headers tell an attacker which weaknesses to look up.
TELLTALES = ("X-Powered-By", "X-AspNet-Version", "X-AspNetMvc-Version", "X-Generator", "X-Runtime")

# In the value of a header, what is another one each time.
NONCE = "$request_id"

LEAKS = {
    "a stack trace": re.compile(r"(?m)^\s+at .+[:(]|Traceback \(most recent|\.(?:[jt]sx?|py|rb|php|java|go):\d+"),
    "a path of the server": re.compile(r"/(?:opt|usr|srv|var|etc|root)/[\w.-]+/?|node_modules|node:internal"),
    "a software version": re.compile(r"(?i)\b(?:nginx|apache|express|node(?:\.js)?|next(?:\.js)?|openssl|php)[/ ]v?\d"),
    "a database error": re.compile(r"SQLSTATE|syntax error at or near|relation \"[^\"]+\" does not|\bpg_\w+|ECONNREF"),
}


# --- edge.headers


@dataclass(frozen=True)
class Sample:
    """One kind of answer: how it is asked for, and with which status it has to come."""

    name: str
    path: str
    statuses: range | tuple[int, ...]
    secure: bool = True


def samples(wanted: Mapping[str, Any], page: Answer) -> list[Sample]:
    """One of each kind of answer that there is. An answer of another kind would prove nothing about this one."""
    missing = f"/airworthy-{secrets.token_hex(4)}"
    found = [
        Sample("page", wanted["page"], range(200, 400)),
        Sample("missing page", missing, (404,)),
        Sample("redirect", wanted["page"], (301, 308), secure=False),
    ]
    if wanted["failing"]:
        found.append(Sample("failing application", wanted["failing"], range(500, 600)))
    if wanted["api"]:
        found.append(Sample("API", wanted["api"], range(200, 500)))
    if wanted["static"] or wanted["static_prefixes"]:
        static = wanted["static"] or static_file(page.body, wanted["static_prefixes"])
        found.append(Sample("static file", static, (200,)))
    return found


def is_value(seen: str, wanted: str) -> bool:
    return bool(re.fullmatch(re.escape(wanted).replace(re.escape(NONCE), "[0-9a-f]{32}"), seen))


def deviations(answer: Answer, secure: bool, wanted: Mapping[str, Any]) -> list[str]:
    """What is wrong with the headers of an answer."""
    found = []
    for name, value in wanted["security_headers"].items():
        seen = answer.values(name)
        if len(seen) != 1:
            found.append(f"{name} {len(seen)} times" if seen else f"{name} missing")
        elif not is_value(seen[0], value) and (name not in wanted["headers_from_app"] or not seen[0]):
            found.append(f"{name}: {seen[0]}")
    hsts = [wanted["hsts"]] if secure else []
    if answer.values("Strict-Transport-Security") != hsts:
        found.append(f"Strict-Transport-Security: {', '.join(answer.values('Strict-Transport-Security')) or 'missing'}")
    if re.search(r"\d", answer.first("Server")):
        found.append(f"Server: {answer.first('Server')}")
    found += [f"{name}: {answer.first(name)}" for name in TELLTALES if answer.values(name)]
    return found


def take(target: Target, sample: Sample) -> Answer:
    if not sample.path:  # it must not vanish from the proof
        return Answer(failure="the page refers to none: name one with `static`, or set `static_prefixes` to none")
    return ask(target, sample.path, secure=sample.secure)


def observe_headers(target: Target, wanted: Mapping[str, Any]) -> tuple[list[tuple[Sample, Answer]], Answer | None]:
    page = ask(target, wanted["page"])
    answers = [(sample, take(target, sample)) for sample in samples(wanted, page)]
    return answers, ask(target, wanted["revision_path"]) if wanted["revision"] else None


def judge_headers(
    seen: tuple[list[tuple[Sample, Answer]], Answer | None], wanted: Mapping[str, Any], command: str
) -> Control:
    answers, revision = seen
    checks = []
    count = len(wanted["security_headers"]) + 1
    for sample, answer in answers:
        wrong = [] if answer.status in sample.statuses else [f"status {answer}"]
        wrong += deviations(answer, sample.secure, wanted) if answer.status else []
        statuses = sample.statuses
        span = f"{statuses[0]} to {statuses[-1]}" if isinstance(statuses, range) else " or ".join(map(str, statuses))
        checks.append(
            Check(
                f"{sample.name} {sample.path}",
                f"{span}, {count if sample.secure else count - 1} security headers, no software named",
                "; ".join(wrong) or f"{answer}, as wanted",
                not wrong,
            )
        )
    for name, value in wanted["security_headers"].items():
        if NONCE in value and name not in wanted["headers_from_app"]:
            seen_values = [answer.first(name) for sample, answer in answers]
            fresh = len(set(seen_values)) == len(seen_values)
            checks.append(Check(f"nonce of {name}", "never the same", "as wanted" if fresh else "repeated", fresh))
    if revision is not None:
        checks.append(Check.equal("configuration loaded", wanted["revision"], revision.body.strip() or str(revision)))
    return judged("edge.headers", "quick", checks, command=command, remediation=REMEDIATION)


# --- edge.cors


@dataclass(frozen=True)
class Exchange:
    """An origin that asks, with or without preflight, and what it was told."""

    origin: str
    preflight: bool
    allowed: bool
    answer: Answer
    policy: Mapping[str, Any]


def observe_cors(target: Target, policy: Mapping[str, Any], policies: Iterable[Mapping[str, Any]]) -> list[Exchange]:
    path, allowed = policy["path"], policy["allowed_origins"]
    # without an allow-list, whoever imitates the application's own origin is as foreign
    foreign = foreign_origins(allowed or [target.url("")])
    elsewhere = [sample_origin(origin) for other in policies for origin in other["allowed_origins"]]
    foreign += [origin for origin in elsewhere if not any(stands_for(pattern, origin) for pattern in allowed)]
    exchanges = []
    for origin, may in [*((sample_origin(origin), True) for origin in allowed), *((each, False) for each in foreign)]:
        preflight = {
            "Origin": origin,
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": "content-type",
        }
        plain = ask(target, path, headers={"Origin": origin})
        asked = ask(target, path, method="OPTIONS", headers=preflight)
        exchanges += [Exchange(origin, False, may, plain, policy), Exchange(origin, True, may, asked, policy)]
    return [*exchanges, Exchange("", False, False, ask(target, path), policy)]


def listed(answer: Answer, name: str) -> set[str]:
    """The elements of a header that is a list, in lower case."""
    return {part.strip().lower() for value in answer.values(name) for part in value.split(",")} - {""}


def cors_faults(exchange: Exchange) -> list[str]:
    answer, wanted = exchange.answer, exchange.policy
    if not answer.status:
        return [str(answer)]
    faults = []
    origins = answer.values("Access-Control-Allow-Origin")
    if origins != ([exchange.origin] if exchange.allowed else []):
        faults.append(f"Access-Control-Allow-Origin: {', '.join(origins) or 'missing'}")
    credentials = answer.values("Access-Control-Allow-Credentials")
    if credentials != (["true"] if exchange.allowed and wanted["allow_credentials"] else []):
        faults.append(f"Access-Control-Allow-Credentials: {', '.join(credentials) or 'missing'}")
    if "origin" not in listed(answer, "Vary"):
        faults.append("Vary without Origin")
    if exchange.preflight and exchange.allowed:
        if not 200 <= answer.status < 300:
            faults.append(f"status {answer}")
        for name in ("methods", "headers"):
            seen = listed(answer, f"Access-Control-Allow-{name}")
            if seen != {value.lower() for value in wanted[f"allowed_{name}"]}:
                faults.append(f"Access-Control-Allow-{name.capitalize()}: {', '.join(sorted(seen)) or 'missing'}")
        if answer.first("Access-Control-Max-Age") != str(wanted["max_age"]):
            faults.append(f"Access-Control-Max-Age: {answer.first('Access-Control-Max-Age') or 'missing'}")
    if not exchange.preflight:
        seen = listed(answer, "Access-Control-Expose-Headers")
        if seen != ({value.lower() for value in wanted["exposed_headers"]} if exchange.allowed else set()):
            faults.append(f"Access-Control-Expose-Headers: {', '.join(sorted(seen)) or 'missing'}")
    return faults


def judge_cors(exchanges: list[Exchange], command: str) -> Control:
    checks = []
    for exchange in exchanges:
        faults = cors_faults(exchange)
        asked = "preflight" if exchange.preflight else "GET"
        who = f"{asked} {exchange.policy['path']} from {exchange.origin or 'no origin'}"
        told = "that it may" if exchange.allowed else "nothing"
        checks.append(Check(who, f"told {told}, Vary: Origin", "; ".join(faults) or f"told {told}", not faults))
    return judged("edge.cors", "quick", checks, command=command, remediation=REMEDIATION)


# --- edge.errors


@dataclass(frozen=True)
class Mishap:
    """A request that has to fail, and with what."""

    name: str
    status: int
    answer: Answer


def observe_errors(target: Target, wanted: Mapping[str, Any]) -> list[Mishap]:
    host = target.url("").partition("://")[2]
    too_large = {"Content-Length": str(wanted["max_body_mb"] * 1024 * 1024 + 1), "Content-Type": "application/json"}
    found = [
        Mishap("unknown path", 404, ask(target, f"/airworthy-{secrets.token_hex(4)}")),
        Mishap("path out of the root", 400, ask(target, "/../../etc/passwd")),
        Mishap("encoded zero byte", 400, ask(target, "/%00")),
        Mishap("malformed request", 400, ask_raw(target, f"G<T / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())),
        Mishap("unknown version of HTTP", 505, ask_raw(target, f"GET / HTTP/9.9\r\nHost: {host}\r\n\r\n".encode())),
        Mishap("method TRACE", 405, ask(target, method="TRACE")),
        Mishap("oversized header", 400, ask(target, headers={"X-Filler": "x" * 70_000})),
        Mishap("oversized body", 413, ask(target, method="POST", headers=too_large)),
    ]
    if wanted["failing"]:
        found.append(Mishap("failing application", 500, ask(target, wanted["failing"])))
    outside = replace(target, probe_key="")
    for path in wanted["private"]:
        # Applications may take the second for the first.
        found += [Mishap(f"private path {each}", 404, ask(outside, each)) for each in (path, f"{path.upper()}/")]
    return found


def error_faults(mishap: Mishap) -> list[str]:
    answer = mishap.answer
    faults = [] if answer.status == mishap.status else [f"status {answer}"]
    if not answer.status:
        return faults
    if not answer.first("X-Request-Id"):
        faults.append("no X-Request-Id")
    if answer.body and not re.match(r"application/(?:[\w.]+\+)?json|text/(?:html|plain)", answer.first("Content-Type")):
        faults.append(f"Content-Type: {answer.first('Content-Type') or 'missing'}")
    text = "\n".join([answer.body, *(f"{name}: {value}" for name, value in answer.headers if name.lower() != "server")])
    for name, pattern in LEAKS.items():
        if found := pattern.search(text):
            faults.append(f"{name}: {found[0].strip()!r}")
    return faults


def judge_errors(mishaps: list[Mishap], command: str) -> Control:
    checks = []
    for mishap in mishaps:
        faults = error_faults(mishap)
        expected = f"{mishap.status}, the id of the request, nothing of the inside"
        checks.append(Check(mishap.name, expected, "; ".join(faults) or f"{mishap.answer}, as wanted", not faults))
    return judged("edge.errors", "quick", checks, command=command, remediation=REMEDIATION)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **TARGET_SPEC,
            **PAGES_SPEC,
            "security_headers": {"type": "dict", "required": True},
            "headers_from_app": {"type": "list", "elements": "str", "default": []},
            "hsts": {"type": "str", "required": True},
            "api": {"type": "str", "default": ""},
            "failing": {"type": "str", "default": ""},
            "private": {"type": "list", "elements": "str", "default": []},
            "revision": {"type": "str", "default": ""},
            "revision_path": {"type": "str", "default": "/.well-known/airworthy/revision"},
            "cors": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "str", "required": True},
                    "allowed_origins": {"type": "list", "elements": "str", "default": []},
                    "allowed_methods": {"type": "list", "elements": "str", "default": []},
                    "allowed_headers": {"type": "list", "elements": "str", "default": []},
                    "exposed_headers": {"type": "list", "elements": "str", "default": []},
                    "allow_credentials": {"type": "bool", "default": False},
                    "max_age": {"type": "int", "default": 600},
                },
            },
            "max_body_mb": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    target, wanted = Target.of(module.params), module.params
    foreign = foreign_origins([target.url("")])[2]
    probes: dict[str, Callable[[], Control]] = {
        "edge.headers": lambda: judge_headers(observe_headers(target, wanted), wanted, target.curl(wanted["page"])),
        "edge.cors": lambda: judge_cors(
            [exchange for policy in wanted["cors"] for exchange in observe_cors(target, policy, wanted["cors"])],
            target.curl(wanted["page"], "-H", f"Origin: {foreign}"),
        ),
        "edge.errors": lambda: judge_errors(
            observe_errors(target, wanted), target.curl(wanted["failing"] or "/airworthy-missing")
        ),
    }
    module.exit_json(changed=False, controls=run_probes("quick", probes))


if __name__ == "__main__":
    main()
