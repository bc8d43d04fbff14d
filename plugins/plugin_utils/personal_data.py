# Copyright (c) the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Requests full of personal data, and whether any of it stayed in the logs."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ansible_collections.airworthy.stack.plugins.module_utils.control import Check, Control, judged
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import Answer, Target, ask
from ansible_collections.airworthy.stack.plugins.module_utils.web_probe import exceed

REMEDIATION = "ansible-playbook site.yml --tags nginx; what a log of the application holds is mended there"
COMMAND = "grep -rE 'token=|password|@' /var/log/nginx /var/log/nginx-waf; journalctl --since -5min"
KINDS = ("e-mail address", "password", "token", "cookie", "Authorization", "Referer")


def new_markers() -> dict[str, str]:
    """A text for each kind of personal data that is nowhere else in the world."""
    return {kind: secrets.token_hex(12) for kind in KINDS}


@dataclass(frozen=True)
class Sample:
    """A request that carried personal data, and the answers that it may have."""

    name: str
    statuses: Sequence[int]
    answer: Answer

    @property
    def request_id(self) -> str:
        return self.answer.first("X-Request-Id")


class Person:
    """Somebody whose every request carries all that is marked."""

    def __init__(self, target: Target, markers: Mapping[str, str]) -> None:
        self.target, self.markers = target, markers
        self.email = f"{markers['e-mail address']}@example.invalid"

    def ask(self, path: str, *, method: str = "GET", query: str = "", filler: int = 0, **headers: str) -> Answer:
        """A value of "" leaves a header out. A POST sends JSON, and behind it as many spaces as are wanted."""
        marked = {
            "Origin": self.target.url(""),
            "Cookie": f"session={self.markers['cookie']}",
            "Authorization": f"Bearer {self.markers['Authorization']}",
            "Referer": self.target.url(f"/reset?token={self.markers['Referer']}"),
            **self.target.new_client(),
        }
        body = b""
        if method == "POST":
            marked["Content-Type"] = "application/json"
            body = json.dumps({"email": self.email, "password": self.markers["password"]}).encode() + b" " * filler
        marked |= {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in marked.items() if value}
        where = f"{path}{'&' if '?' in path else '?'}email={self.email}&token={self.markers['token']}{query}"
        return ask(self.target, where, method=method, headers=sent, body=b"" if "Content-Length" in sent else body)


def samples(person: Person, wanted: Mapping[str, Any]) -> Iterator[Sample]:
    """Each way in which a request may end, and of which a web server may have something to say."""
    page, api, sign_in, canary = (wanted[name] for name in ("page", "api", "sign_in", "canary"))
    attack = f"&q=1'%20UNION%20SELECT%20usename%20FROM%20pg_shadow--%20{person.markers['token']}"
    too_large = str(wanted["max_body_mb"] * 1024 * 1024 + 1)
    yield Sample("a page", range(200, 400), person.ask(page))
    yield Sample("a missing page", (404,), person.ask(f"/airworthy-{secrets.token_hex(4)}"))
    yield Sample("a malformed request", (400,), person.ask("/%00"))
    yield Sample("a header that is too large", (400,), person.ask(page, X_Filler="x" * 70_000))
    yield Sample("a body that is too large", (413,), person.ask(page, method="POST", Content_Length=too_large))
    forged = person.ask(page, method="POST", Origin="https://evil.example", Authorization="")
    yield Sample("a forged request", (403, 405), forged)  # a page may refuse POST from anybody
    yield Sample("an application that fails", (500,), person.ask(canary))
    yield Sample("an application that hangs up", (502,), person.ask(f"{canary}/silent"))
    if wanted["waf_mode"] == "block":
        yield Sample("an attack", (403,), person.ask(page, query=attack))
    if api:
        yield Sample("the API", range(200, 500), person.ask(api))
        yield Sample("a body that goes to the disk", range(200, 500), person.ask(api, method="POST", filler=100_000))
    if sign_in:
        client = person.target.new_client().get("X-Airworthy-Probe", "")
        times = range(wanted["auth_requests"] + 1)
        first, *_others, last = [person.ask(sign_in, method="POST", X_Airworthy_Probe=client) for number in times]
        yield Sample("a sign-in", range(400, 500), first)
        yield Sample("a sign-in too many", (429,), last)
    for limit in [limit for limit in wanted["limited"] if limit["probe_method"] == "GET"][:1]:
        client = person.target.new_client().get("X-Airworthy-Probe", "")
        path = f"{limit['path']}airworthy-{secrets.token_hex(4)}"
        answers = exceed(limit["burst"], partial(person.ask, path, X_Airworthy_Probe=client))
        answers.sort(key=lambda answer: answer.status == 429)
        yield Sample("a request to the API too many", (429,), answers[-1])


def judge(requests: Sequence[Sample], seen: Mapping[str, Any], access_log: str) -> Control:
    """Nothing marked may be found, and each of the requests has to be, or finding nothing proves nothing."""
    checks = [is_logged(sample, seen["missing"]) for sample in requests]
    searched = seen["searched"]
    is_among = access_log in searched
    checks.append(Check("logs searched", f"{access_log} among them", ", ".join(searched) or "none", is_among))
    for kind in KINDS:
        places = seen["found"][kind]
        observed = f"in {', '.join(places)}" if places else f"in none of {len(searched)} logs"
        checks.append(Check(kind, "in no log", observed, not places))
    wanted = f"{', '.join(KINDS)} of {len(requests)} kinds of requests in no log, the requests themselves in nginx's"
    return judged("data.pii", "deep", checks, command=COMMAND, remediation=REMEDIATION, expected=wanted)


def is_logged(sample: Sample, missing: Sequence[str]) -> Check:
    statuses, answer = sample.statuses, sample.answer
    span = f"{statuses[0]} to {statuses[-1]}" if len(statuses) > 1 else str(statuses[0])
    where = "without an id" if not sample.request_id else "not logged" if sample.request_id in missing else "logged"
    ok = answer.status in statuses and where == "logged"
    return Check(sample.name, f"{span}, logged", f"{answer}, {where}", ok)
