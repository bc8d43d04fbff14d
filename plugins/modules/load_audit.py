#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: load_audit
short_description: Puts a bounded load on a web server and measures how it bears it
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Proves the controls C(perf.response), C(perf.errors) and C(perf.throughput), at level V(deep).
  - Each simulated user has a connection of its own over TLS, kept alive.
  - The requests are spread evenly over O(seconds), and the users take turns. A user whose answer comes late asks for
    what is due meanwhile as soon as it was answered.
  - An error is whatever a user would call one, namely no connection, no answer, an answer that breaks off, one that is
    late, or a status of 400 and above. What was not asked when O(time_limit) is over counts as an error as well.
extends_documentation_fragment:
  - airworthy.stack.edge
options:
  paths:
    description: What the users ask for, in turn.
    type: list
    elements: str
    default: [/]
  users:
    description: Users at the same time.
    type: int
    default: 100
  requests:
    description: Requests in all.
    type: int
    default: 2000
  seconds:
    description: Seconds over which the requests are spread. With V(0), each user asks again as soon as it was answered.
    type: int
    default: 60
  time_limit:
    description: Seconds after which no further request is sent; more than O(seconds).
    type: int
    default: 120
  maximum_average_ms:
    description: The average response time must be shorter.
    type: int
    default: 1000
  maximum_error_percent:
    description: The share of errors must be smaller.
    type: float
    default: 5.0
  minimum_throughput:
    description: More requests than this have to be answered in a second.
    type: float
    default: 10.0
"""

EXAMPLES = r"""
- name: The whole stack carries the load of the checklist
  airworthy.stack.load_audit:
    domain: app.example.org
    address: 203.0.113.10
    paths: [/, /api/statistics]
  delegate_to: localhost
  register: __nginx_load_controls
"""

RETURN = r"""
controls:
  description: The controls C(perf.response), C(perf.errors), C(perf.throughput), as described in docs/certificate.md.
  returned: always
  type: list
  elements: dict
figures:
  description: What was measured.
  returned: when the test ran
  type: dict
  sample:
    asked: 2000
    answered: 2000
    errors: 0
    average_ms: 8.1
    p95_ms: 16.2
    throughput: 33.3
    seconds: 60.0
    began: 1800000000.0
    ended: 1800000060.0
    failures: {}
"""

import math
import threading
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.control import Check, Control, judged, stopwatch
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import TARGET_SPEC, Target
from ansible_collections.airworthy.stack.plugins.module_utils.web_load import Outcome, User

REMEDIATION = "Read what was slow or failed in /var/log/nginx/access.log and in pg_stat_statements."


@dataclass(frozen=True)
class Figures:
    asked: int
    answered: int
    errors: int
    average_ms: float | None
    p95_ms: float | None
    throughput: float
    seconds: float
    failures: dict[str, int]
    began: float = 0.0  # by the controller's clock
    ended: float = 0.0

    @property
    def error_percent(self) -> float:
        return 100 * self.errors / self.asked


def summarise(outcomes: list[Outcome], asked: int, seconds: float) -> Figures:
    """The figures of a run. Times are those of the answers; what was never asked is an error."""
    failures = Counter(outcome.failure for outcome in outcomes if outcome.failure)
    if len(outcomes) < asked:
        failures["not asked within the time limit"] = asked - len(outcomes)
    times = sorted(outcome.seconds for outcome in outcomes if not outcome.failure)
    return Figures(
        asked=asked,
        answered=len(times),
        errors=sum(failures.values()),
        average_ms=1000 * sum(times) / len(times) if times else None,
        p95_ms=1000 * times[math.ceil(0.95 * len(times)) - 1] if times else None,
        throughput=len(times) / seconds if seconds else 0.0,
        seconds=seconds,
        failures=dict(failures.most_common()),
    )


def mistake(wanted: Mapping[str, Any]) -> str:
    """Why there can be no such load, if there cannot."""
    if not wanted["paths"] or wanted["users"] < 1 or wanted["requests"] < wanted["users"]:
        return "a load test needs a path, a user and at least one request of each user"
    seconds, limit = wanted["seconds"], wanted["time_limit"]
    if not 0 <= seconds < limit:
        return f"seconds is {seconds} and time_limit is {limit}; write 0 seconds or more, and a longer time_limit"
    return ""


def observe(
    target: Target, paths: list[str], users: int, requests: int, time_limit: float, seconds: float = 0
) -> Figures:
    """Let the users ask, each request at its moment, until each has asked its share or the time is over."""
    planned = [(seconds * number / requests, paths[number % len(paths)]) for number in range(requests)]
    start = threading.Barrier(users + 1)

    def act(share: list[tuple[float, str]]) -> list[Outcome]:
        user, done = User(target), []
        start.wait()
        begun = time.monotonic()
        for moment, path in share:
            time.sleep(max(0.0, begun + moment - time.monotonic()))
            if time.monotonic() >= begun + time_limit:
                break
            done.append(user.ask(path))
        user.close()
        return done

    with ThreadPoolExecutor(users) as pool:
        acts = [pool.submit(act, planned[number::users]) for number in range(users)]
        start.wait()
        began = time.time()
        with stopwatch() as watch:
            outcomes = [outcome for finished in acts for outcome in finished.result()]
    figures = summarise(outcomes, requests, watch.seconds)
    return replace(figures, began=began, ended=began + watch.seconds)


def judge(figures: Figures, wanted: dict[str, Any], command: str) -> list[Control]:
    """The three lines of the checklist, all from the same run."""
    load = f"{figures.asked} requests of {wanted['users']} users in {figures.seconds:.1f} s"
    failed = "".join(f"; {count} times {failure}" for failure, count in figures.failures.items())
    average, p95 = figures.average_ms, figures.p95_ms
    times = "none was answered" if average is None else f"{average:.0f} ms, p95 {p95:.0f} ms"
    checks = {
        "perf.response": Check(
            "average response time",
            f"less than {wanted['maximum_average_ms']} ms",
            f"{times} ({load})",
            average is not None and average < wanted["maximum_average_ms"],
        ),
        "perf.errors": Check(
            "errors",
            f"less than {wanted['maximum_error_percent']:g} %",
            f"{figures.error_percent:.2f} % ({load}{failed})",
            figures.error_percent < wanted["maximum_error_percent"],
        ),
        "perf.throughput": Check(
            "requests answered",
            f"more than {wanted['minimum_throughput']:g} a second",
            f"{figures.throughput:.0f} a second ({load})",
            figures.throughput > wanted["minimum_throughput"],
        ),
    }
    controls = [
        judged(control_id, "deep", [check], command=command, remediation=REMEDIATION)
        for control_id, check in checks.items()
    ]
    return [replace(control, duration=figures.seconds) for control in controls]


def command(target: Target, wanted: dict[str, Any]) -> str:
    """ApacheBench from Debian's apache2-utils asks the same, as fast as it can; it does not verify the certificate."""
    where = f"https://{target.address}:{target.port}{wanted['paths'][0]}"
    return f"ab -k -c {wanted['users']} -n {wanted['requests']} -H 'Host: {target.domain}' {where}"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **TARGET_SPEC,
            "paths": {"type": "list", "elements": "str", "default": ["/"]},
            "users": {"type": "int", "default": 100},
            "requests": {"type": "int", "default": 2000},
            "seconds": {"type": "int", "default": 60},
            "time_limit": {"type": "int", "default": 120},
            "maximum_average_ms": {"type": "int", "default": 1000},
            "maximum_error_percent": {"type": "float", "default": 5.0},
            "minimum_throughput": {"type": "float", "default": 10.0},
        },
        supports_check_mode=True,
    )
    target, wanted = Target.of(module.params), module.params
    if wrong := mistake(wanted):
        module.fail_json(msg=wrong)
    asked = (wanted["paths"], wanted["users"], wanted["requests"], wanted["time_limit"], wanted["seconds"])
    figures = observe(target, *asked)
    controls = [control.to_dict() for control in judge(figures, wanted, command(target, wanted))]
    module.exit_json(changed=False, controls=controls, figures=asdict(figures))


if __name__ == "__main__":
    main()
