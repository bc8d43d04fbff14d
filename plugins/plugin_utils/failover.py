# Copyright (c) the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether the users of a site noticed that one of its instances died: judged from what they and its host saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.airworthy.stack.plugins.module_utils.control import Check, Control, judged
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import Answer
from ansible_collections.airworthy.stack.plugins.module_utils.web_load import Request

REMEDIATION = "ansible-playbook site.yml --tags nginx,app; airworthy_app_instances says how many instances there are"


@dataclass(frozen=True)
class Fall:
    """What became of the instance, and when: between two moments of the controller's monotonic clock."""

    ordered: float
    over: float
    before: Sequence[Mapping[str, Any]]  # all instances of the host, the killed one first
    after: Mapping[str, Any]  # the killed one
    seconds: float  # from its death until it carried a part of the load again


def enough_instances(total: int) -> Check:
    return Check("instances", "2 or more", str(total), total >= 2)


def site_is_well(answers: Mapping[str, Answer]) -> list[Check]:
    return [
        Check(f"GET {path} before", "an answer below 500", str(answer), 0 < answer.status < 500)
        for path, answer in answers.items()
    ]


def judge(
    total: int,
    answers: Mapping[str, Answer],
    fall: Fall | None,
    requests: Sequence[Request],
    sticky: bool = False,
) -> Control:
    """Without a fall, what stood against it is what fails. Of instances with sticky clients, one carries the load."""
    checks = [enough_instances(total)]
    if fall is None:
        checks += site_is_well(answers)
    else:
        checks += [carries(instance) for instance in fall.before[: 1 if sticky else None]]
        checks.append(came_back(fall))
        checks += [unnoticed(path, answer.status, fall, requests) for path, answer in answers.items()]
    command = "systemctl kill --signal=KILL app@3000.service; tail -f /var/log/nginx/access.log"
    return judged("edge.lb", "deep", checks, command=command, remediation=REMEDIATION)


def carries(instance: Mapping[str, Any]) -> Check:
    count = instance["connections"]
    return Check(f"{instance['unit']} under load", "carries a part of it", f"{count} connections", count > 0)


def came_back(fall: Fall) -> Check:
    before, after = fall.before[0], fall.after
    died = before["pid"] != after["pid"] and before["invocation"] != after["invocation"]
    back = after["state"] == "active" and after["restarts"] > before["restarts"] and after["connections"] > 0
    then = ", ".join(f"{name} {before[name]} then {after[name]}" for name in ("pid", "invocation", "restarts"))
    observed = f"{then}; {after['state']} with {after['connections']} connections {fall.seconds:.1f} s after its death"
    wanted = "another process, started by systemd, that carries a part of the load again"
    return Check(f"{before['unit']} killed", wanted, observed, died and back)


def unnoticed(path: str, status: int, fall: Fall, requests: Sequence[Request]) -> Check:
    """No request for this path had another answer than before, and there were some at each time."""
    mine = [request for request in requests if request.path == path]
    failures = Counter(
        request.outcome.failure or f"status {request.outcome.status}"
        for request in mine
        if request.outcome.status != status
    )
    when = Counter(
        "before" if request.begun < fall.ordered else "while" if request.begun < fall.over else "after"
        for request in mine
    )
    counts = f"{when['before']} before, {when['while']} while it was gone, {when['after']} afterwards"
    failed = "; ".join(f"{count} times {failure}" for failure, count in failures.most_common())
    observed = f"{sum(failures.values())} of {len(mine)} failed: {failed} ({counts})" if failures else counts
    ok = not failures and min(when["before"], when["while"], when["after"]) > 0
    return Check(f"GET {path}", f"{status}, each time", observed, ok)
