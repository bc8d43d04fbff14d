#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tls_audit
short_description: Examines from outside whether a web server speaks nothing but good HTTPS
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Proves the control C(edge.https). It connects like any client, so it belongs on the controller or another host
    (C(delegate_to)), not on the server itself.
  - The certificate is verified with its chain and name. HTTP/2 and the protocols of O(profile) must be offered. Older
    protocols and weak cipher suites are really offered to the server, in handshakes made by hand, and must be refused.
  - Plain HTTP must redirect to HTTPS on the same host, and the answer over HTTPS must carry
    C(Strict-Transport-Security).
extends_documentation_fragment:
  - airworthy.stack.edge
options:
  profile:
    description: Mozilla's profile of TLS. With V(modern), TLS 1.2 must be refused, too.
    type: str
    choices: [intermediate, modern]
    default: intermediate
  minimum_days:
    description: The fewest days for which the certificate must still be valid.
    type: int
    default: 14
  minimum_hsts_age:
    description: The least C(max-age) of C(Strict-Transport-Security), in seconds.
    type: int
    default: 31536000
  certificate_file:
    description:
      - The certificate that the server is meant to present, where the module runs. A server that was not reloaded after
        a renewal presents another one.
    type: path
  remediation:
    description: What to do when the control fails.
    type: str
    default: ansible-playbook site.yml --tags tls,nginx
"""

EXAMPLES = r"""
- name: The edge speaks nothing but good HTTPS
  airworthy.stack.tls_audit:
    domain: app.example.org
    address: 203.0.113.10
  delegate_to: localhost
  register: __nginx_tls_controls
"""

RETURN = r"""
controls:
  description: The control C(edge.https), as described in docs/certificate.md.
  returned: always
  type: list
  elements: dict
"""

import hashlib
import re
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils import client_hello
from ansible_collections.airworthy.stack.plugins.module_utils.client_hello import Reply
from ansible_collections.airworthy.stack.plugins.module_utils.control import Check, Control, judged, run_probes
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import (
    TARGET_SPEC,
    Answer,
    Target,
    ask,
    describe,
)

PROBE_PATH = "/airworthy-redirect?kept=1"
STRANGER = "unknown.invalid"
MODERN_VERSIONS = {"TLS 1.2": ssl.TLSVersion.TLSv1_2, "TLS 1.3": ssl.TLSVersion.TLSv1_3}
REMEDIATION = "ansible-playbook site.yml --tags tls,nginx"


@dataclass(frozen=True)
class Handshake:
    """A verified handshake, or why there was none."""

    protocol: str = ""
    cipher: str = ""
    alpn: str = ""
    not_after: float = 0.0
    fingerprint: str = ""
    failure: str = ""

    def __str__(self) -> str:
        return self.failure or f"{self.protocol}, {self.cipher}"


@dataclass(frozen=True)
class Observation:
    at: float
    best: Handshake
    modern: dict[str, Handshake]
    handmade: Reply  # to an offer of TLS 1.2 with good cipher suites
    old: dict[str, Reply]
    weak: dict[str, Reply]
    stranger: Reply
    redirect: Answer
    page: Answer
    wanted_fingerprint: str = ""


def shake_hands(target: Target, version: ssl.TLSVersion | None = None) -> Handshake:
    context = ssl.create_default_context(cafile=target.ca_file)
    context.set_alpn_protocols(["h2", "http/1.1"])
    if version is not None:
        context.minimum_version = context.maximum_version = version
    try:
        with target.connect() as plain, context.wrap_socket(plain, server_hostname=target.domain) as connection:
            certificate = connection.getpeercert() or {}
            cipher = connection.cipher()
            return Handshake(
                protocol=connection.version() or "",
                cipher=cipher[0] if cipher else "",
                alpn=connection.selected_alpn_protocol() or "none",
                not_after=ssl.cert_time_to_seconds(str(certificate["notAfter"])),
                fingerprint=hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest(),
            )
    except OSError as failure:
        return Handshake(failure=describe(failure))


def greet(target: Target, version: int, suites: tuple[int, ...], name: str = "") -> Reply:
    try:
        with target.connect() as connection:
            return client_hello.greet(connection, name or target.domain, version, suites)
    except OSError as failure:
        return Reply(failure=describe(failure))


def fingerprint(certificate_file: str | None) -> str:
    """Of the first certificate in a file, which is the server's own."""
    if not certificate_file:
        return ""
    end = "-----END CERTIFICATE-----"
    first = Path(certificate_file).read_text(encoding="ascii").partition(end)[0] + end
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first[first.index("-----BEGIN") :])).hexdigest()


def observe(target: Target, certificate_file: str | None = None) -> Observation:
    modern = {name: shake_hands(target, version) for name, version in MODERN_VERSIONS.items()}
    handmade = greet(target, client_hello.TLS1_2, client_hello.MODERN)
    if not modern["TLS 1.2"].failure and not handmade.accepted:
        # refusals of such messages would then prove nothing
        raise RuntimeError(f"the server speaks TLS 1.2, but to a handmade handshake it says: {handmade}")
    return Observation(
        at=time.time(),
        best=shake_hands(target),
        modern=modern,
        handmade=handmade,
        old={
            client_hello.VERSIONS[version]: greet(target, version, client_hello.LEGACY)
            for version in (client_hello.SSL3, client_hello.TLS1_0, client_hello.TLS1_1)
        },
        weak={name: greet(target, client_hello.TLS1_2, suites) for name, suites in client_hello.WEAK.items()},
        stranger=greet(target, client_hello.TLS1_2, client_hello.MODERN, STRANGER),
        redirect=ask(target, PROBE_PATH, secure=False),
        page=ask(target),
        wanted_fingerprint=fingerprint(certificate_file),
    )


def max_age(header: str) -> int:
    """That of a Strict-Transport-Security header; 0 when there is none."""
    found = re.search(r"(?:^|;)\s*max-age=\"?(\d+)", header, re.IGNORECASE)
    return int(found[1]) if found else 0


def judge_certificate(seen: Observation, domain: str, minimum_days: int) -> list[Check]:
    best = seen.best
    checks = [Check("certificate", f"verified, for {domain}", best.failure or "verified", not best.failure)]
    if best.failure:
        return checks
    days = int((best.not_after - seen.at) // 86400)
    checks.append(Check("expiry", f"in {minimum_days} days or later", f"in {days} days", days >= minimum_days))
    if seen.wanted_fingerprint:
        checks.append(
            Check(
                "certificate presented",
                f"the one on file, {seen.wanted_fingerprint[:16]}",
                best.fingerprint[:16],
                best.fingerprint == seen.wanted_fingerprint,
            )
        )
    return checks


def judge_protocols(seen: Observation, profile: str) -> list[Check]:
    refused = seen.old | seen.weak | ({"TLS 1.2": seen.handmade} if profile == "modern" else {})
    offered = {name: shake for name, shake in seen.modern.items() if name not in refused}
    checks = [Check(name, "offered", str(shake), not shake.failure) for name, shake in offered.items()]
    checks.append(Check("HTTP/2", "h2", seen.best.alpn or seen.best.failure, seen.best.alpn == "h2"))
    checks += [Check(name, "refused", str(reply), reply.refused) for name, reply in refused.items()]
    stranger_refused = seen.stranger.refused or seen.stranger.alert == 112
    checks.append(Check(f"TLS for {STRANGER}", "refused", str(seen.stranger), stranger_refused))
    return checks


def judge_http(seen: Observation, target: Target, minimum_hsts_age: int) -> list[Check]:
    location, wanted = seen.redirect.first("Location"), target.url(PROBE_PATH)
    age = max_age(seen.page.first("Strict-Transport-Security"))
    return [
        Check(
            "plain HTTP",
            f"301 or 308 to {wanted}",
            f"{seen.redirect} to {location}" if location else str(seen.redirect),
            seen.redirect.status in {301, 308} and location == wanted,
        ),
        Check(
            "Strict-Transport-Security",
            f"max-age of {minimum_hsts_age} or more",
            seen.page.first("Strict-Transport-Security") or f"none, answer {seen.page}",
            age >= minimum_hsts_age,
        ),
    ]


def command(target: Target) -> str:
    trust = f" -CAfile {target.ca_file}" if target.ca_file else ""
    shake = f"openssl s_client -connect {target.address}:{target.port} -servername {target.domain}"
    return "\n".join(
        [
            f"{shake}{trust} -verify_hostname {target.domain} -verify_return_error -alpn h2 </dev/null",
            f"{shake} -tls1_1 -cipher ALL:@SECLEVEL=0 </dev/null   # must fail",
            target.curl(PROBE_PATH, secure=False),
        ]
    )


def judge(seen: Observation, target: Target, wanted: dict[str, Any]) -> Control:
    checks = [
        *judge_certificate(seen, target.domain, wanted["minimum_days"]),
        *judge_protocols(seen, wanted["profile"]),
        *judge_http(seen, target, wanted["minimum_hsts_age"]),
    ]
    return judged("edge.https", "quick", checks, command=command(target), remediation=wanted["remediation"])


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **TARGET_SPEC,
            "profile": {"type": "str", "choices": ["intermediate", "modern"], "default": "intermediate"},
            "minimum_days": {"type": "int", "default": 14},
            "minimum_hsts_age": {"type": "int", "default": 31536000},
            "certificate_file": {"type": "path"},
            "remediation": {"type": "str", "default": REMEDIATION},
        },
        supports_check_mode=True,
    )
    target = Target.of(module.params)
    probe = {"edge.https": lambda: judge(observe(target, module.params["certificate_file"]), target, module.params)}
    module.exit_json(changed=False, controls=run_probes("quick", probe))


if __name__ == "__main__":
    main()
