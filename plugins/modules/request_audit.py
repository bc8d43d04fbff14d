#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: request_audit
short_description: Examines from outside what a web server believes of a request
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Proves the controls C(edge.csrf) and C(edge.cdn). It asks like any client, so it belongs on the controller or
    another host (C(delegate_to)), not on the server itself.
  - C(edge.csrf) sends requests that change something, or would if there were anything at their address, as pages of the
    application, of allowed origins and of others would send them.
  - C(edge.cdn) names other addresses than its own in the headers in which proxies tell the client's, and looks at how
    long a static file may be kept, and, with O(closed), whether the way around the proxies is shut.
extends_documentation_fragment:
  - airworthy.stack.edge
  - airworthy.stack.edge.pages
options:
  allowed_origins:
    description:
      - Other origins than the application's own whose pages may call it. C(*) stands for one label of a host, or a
        part of it.
    type: list
    elements: str
    default: []
  exempt_prefixes:
    description: Paths below which requests need not say where they come from.
    type: list
    elements: str
    default: []
  closed:
    description: Whether nobody is served but the server's own proxies, and who knows O(probe_key).
    type: bool
    default: false
  hashed_assets:
    description: Regular expression of the paths whose name changes with their content.
    type: str
    required: true
  client_path:
    description: Where the server shows the address that it takes for the client's.
    type: str
    default: /.well-known/airworthy/client
"""

EXAMPLES = r"""
- name: The edge believes no claim that anybody could make
  airworthy.stack.request_audit:
    domain: app.example.org
    address: 203.0.113.10
    hashed_assets: '^/static/.+\.[0-9a-f]{8,}\.[a-z0-9]+$'
  delegate_to: localhost
  register: __nginx_request_controls
"""

RETURN = r"""
controls:
  description: The controls C(edge.csrf) and C(edge.cdn), as described in docs/certificate.md.
  returned: always
  type: list
  elements: dict
"""

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.control import (
    Check,
    Control,
    judged,
    run_probes,
)
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import (
    PAGES_SPEC,
    TARGET_SPEC,
    Answer,
    Target,
    ask,
)
from ansible_collections.airworthy.stack.plugins.module_utils.web_probe import (
    foreign_origins,
    sample_origin,
    static_file,
)

REMEDIATION = "ansible-playbook site.yml --tags nginx"

UNSAFE = ("POST", "PUT", "PATCH", "DELETE")

# An address of documentation (RFC 5737), in the headers in which proxies and CDNs name their client.
FORGED_ADDRESS = "203.0.113.77"
CLIENT_HEADERS = {
    "X-Forwarded-For": FORGED_ADDRESS,
    "X-Real-IP": FORGED_ADDRESS,
    "Forwarded": f"for={FORGED_ADDRESS}",
    "True-Client-IP": FORGED_ADDRESS,
    "CF-Connecting-IP": FORGED_ADDRESS,
}

# For a year, as far as RFC 9111 caches look ahead.
LONGEST_AGE = 31_536_000


# --- edge.csrf


@dataclass(frozen=True)
class Attempt:
    """A request that says where it comes from, or does not, and whether it has to be served."""

    name: str
    served: bool
    headers: Mapping[str, str]
    method: str = "POST"
    below: str = "/"


def attempts(own: str, wanted: Mapping[str, Any]) -> list[Attempt]:
    """Pages of the application, of allowed origins and of others, as browsers send them, and who imitates them."""
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    allowed = wanted["allowed_origins"]
    found = [
        *(Attempt(f"{method} from another site", False, foreign, method) for method in UNSAFE),
        Attempt("POST that does not say where from", False, {}),
        Attempt("POST with a forged pair of words", False, {"Sec-Fetch-Site": "same-origin:own"}),
        Attempt("POST of another site in the name of the own", False, {"Origin": own, "Sec-Fetch-Site": "cross-site"}),
        *(Attempt(f"POST from {origin}", False, {"Origin": origin}) for origin in foreign_origins([own, *allowed])),
        *(Attempt(f"{method} from the own page", True, {"Origin": own}, method) for method in UNSAFE),
        Attempt("POST that the browser calls same-origin", True, {"Sec-Fetch-Site": "same-origin"}),
        Attempt("POST with a bearer token", True, {"Authorization": "Bearer airworthy"}),
        Attempt("GET from another site", True, {"Sec-Fetch-Site": "cross-site"}, "GET"),
    ]
    found += [Attempt(f"POST from {origin}", True, {"Origin": origin}) for origin in map(sample_origin, allowed)]
    found += [Attempt(f"POST below {prefix}", True, {}, below=prefix) for prefix in wanted["exempt_prefixes"]]
    return found


def make(target: Target, attempt: Attempt) -> Answer:
    """Send it to an address at which there is nothing, so that nothing changes whatever the server thinks of it."""
    nowhere = f"{attempt.below}airworthy-{secrets.token_hex(4)}"
    return ask(target, nowhere, method=attempt.method, headers={**attempt.headers, "Content-Length": "0"})


def judge_csrf(seen: list[tuple[Attempt, Answer]], command: str) -> Control:
    checks = []
    for attempt, answer in seen:
        served = answer.status not in (0, 403) and answer.status < 500
        right = served if attempt.served else answer.status in (403, 405)
        expected = "served, so 404: nothing is there" if attempt.served else "refused with 403"
        checks.append(Check(attempt.name, expected, str(answer), right))
    return judged("edge.csrf", "quick", checks, command=command, remediation=REMEDIATION)


# --- edge.cdn


@dataclass(frozen=True)
class Cdn:
    """A static file, whom the server takes the client for under each header, and what it answers a stranger."""

    path: str
    asset: Answer | None
    clients: dict[str, Answer]  # that without any header is named ""
    stranger: Answer | None


def observe_cdn(target: Target, wanted: Mapping[str, Any]) -> Cdn:
    path = wanted["static"] or static_file(ask(target, wanted["page"]).body, wanted["static_prefixes"])
    clients = {"": ask(target, wanted["client_path"])}
    for name, value in CLIENT_HEADERS.items():
        clients[name] = ask(target, wanted["client_path"], headers={name: value})
    stranger = ask(replace(target, probe_key=""), wanted["page"]) if wanted["closed"] else None
    return Cdn(path, ask(target, path) if path else None, clients, stranger)


def asset_faults(path: str, answer: Answer, hashed: str) -> list[str]:
    """Why a cache would not keep a file for ever, or should not."""
    if answer.status != 200:
        return [f"status {answer}"]
    faults = [] if re.search(hashed, path) else ["its name does not change with its content (nginx_hashed_assets)"]
    told = {part.strip().lower() for value in answer.values("Cache-Control") for part in value.split(",")}
    age = next((int(part[8:]) for part in told if re.fullmatch(r"max-age=\d+", part)), 0)
    if not {"public", "immutable"} <= told or age < LONGEST_AGE:
        faults.append(f"Cache-Control: {answer.first('Cache-Control') or 'missing'}")
    if answer.values("Set-Cookie"):
        faults.append("sets a cookie, which a cache would hand to everybody")
    return faults


def judge_cdn(seen: Cdn, wanted: Mapping[str, Any], command: str) -> Control:
    checks = []
    if seen.asset is not None:
        faults = asset_faults(seen.path, seen.asset, wanted["hashed_assets"])
        kept = f"200, public, immutable, for {LONGEST_AGE} s at least, without a cookie"
        checks.append(Check(f"static file {seen.path}", kept, "; ".join(faults) or "as wanted", not faults))
    elif wanted["static_prefixes"]:
        checks.append(Check("static file", "one that the page refers to", "none: name one with `static`", False))
    honest = seen.clients[""]
    known = honest.body.strip() if honest.status == 200 else ""
    checks.append(Check("address of the client", "known to the server", known or str(honest), bool(known)))
    for name, answer in seen.clients.items():
        if name:
            believed = answer.body.strip() if answer.status == 200 else str(answer)
            checks.append(
                Check(f"{name}: {FORGED_ADDRESS}", f"not believed: {known}", believed, believed == known != "")
            )
    if seen.stranger is not None:
        refused = seen.stranger.status == 403
        checks.append(Check("who comes around the proxies", "refused with 403", str(seen.stranger), refused))
    return judged("edge.cdn", "quick", checks, command=command, remediation=REMEDIATION)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **TARGET_SPEC,
            **PAGES_SPEC,
            "allowed_origins": {"type": "list", "elements": "str", "default": []},
            "exempt_prefixes": {"type": "list", "elements": "str", "default": []},
            "closed": {"type": "bool", "default": False},
            "hashed_assets": {"type": "str", "required": True},
            "client_path": {"type": "str", "default": "/.well-known/airworthy/client"},
        },
        supports_check_mode=True,
    )
    target, wanted = Target.of(module.params), module.params
    probes: dict[str, Callable[[], Control]] = {
        "edge.csrf": lambda: judge_csrf(
            [(attempt, make(target, attempt)) for attempt in attempts(target.url(""), wanted)],
            target.curl("/airworthy-missing", "-X", "POST", "-H", "Origin: https://evil.example"),
        ),
        "edge.cdn": lambda: judge_cdn(
            observe_cdn(target, wanted),
            wanted,
            target.curl(wanted["client_path"], "-H", f"X-Forwarded-For: {FORGED_ADDRESS}"),
        ),
    }
    module.exit_json(changed=False, controls=run_probes("quick", probes))


if __name__ == "__main__":
    main()
