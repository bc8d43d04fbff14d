"""The audit of headroom, against a Prometheus that knows everything, and against one thing that it does not."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.control import Check
from ansible_collections.airworthy.stack.plugins.modules import headroom_audit as audit
from ansible_collections.airworthy.stack.plugins.modules.headroom_audit import Load, Span, Use
from prometheus_server import prometheus

NOW = 1_800_000_000.0
INTERVAL = 15
LOAD = Load("web1", examined=True, asked=2000, answered=2000, began_ago=100, ended_ago=40)
SPAN = Span.of([LOAD], NOW)
GOOD = Use(processor={"web1": 0.41}, memory={"web1": 0.52}, scrapes={"web1": 4})


def failing(checks: list[Check]) -> list[str]:
    return [check.subject for check in checks if not check.ok]


def test_the_span_reaches_from_the_first_load_to_the_end_of_the_last() -> None:
    span = Span.of([LOAD, replace(LOAD, began_ago=95.5, ended_ago=35.2)], NOW)
    assert (span.seconds, span.ended) == (65, NOW - 35.2)


@pytest.mark.parametrize(("seconds", "scrapes"), [(30, 2), (44, 2), (45, 2), (60, 3), (120, 7)])
def test_one_scrape_may_be_lost_but_two_are_needed(seconds: int, scrapes: int) -> None:
    assert Span(seconds, NOW).scrapes(INTERVAL) == scrapes


@pytest.mark.parametrize(
    ("load", "seen", "ok"),
    [
        (LOAD, "2000 of 2000 answered in 60 s", True),
        (replace(LOAD, answered=1001), "1001 of 2000", True),
        (replace(LOAD, answered=1000), "1000 of 2000", False),
        (replace(LOAD, ended_ago=70), "in 30 s", True),
        (replace(LOAD, ended_ago=71), "too short for two scrapes; write a longer nginx_load_seconds", False),
        (Load("web1", True, 0, 0, 0, 0), "there was none", False),
    ],
)
def test_a_load_that_says_nothing_of_headroom_fails(load: Load, seen: str, ok: bool) -> None:
    (check,) = audit.judge_loads([load], INTERVAL)
    assert check.ok is ok
    assert seen in check.observed


@pytest.mark.parametrize(
    ("seen", "failed"),
    [
        (GOOD, []),
        (replace(GOOD, processor={"web1": 0.7999}), []),
        (replace(GOOD, processor={"web1": 0.8}), ["processors of web1"]),
        (replace(GOOD, memory={"web1": 0.8}), ["memory of web1"]),
        (replace(GOOD, memory={"web1": math.nan}), ["memory of web1"]),
        (replace(GOOD, scrapes={"web1": 2}), ["scrapes of web1 under load"]),
        (Use({"web2": 0.1}, {"web2": 0.1}, {"web2": 4}), [
            "scrapes of web1 under load", "processors of web1", "memory of web1"
        ]),
    ],
)  # fmt: skip
def test_what_is_used_must_be_known_and_less(seen: Use, failed: list[str]) -> None:
    assert failing(audit.judge_use(["web1"], seen, SPAN, 80, INTERVAL)) == failed


def test_checks_say_what_was_seen() -> None:
    _scrapes, processors, memory = audit.judge_use(["web1"], GOOD, SPAN, 80, INTERVAL)
    assert (processors.expected, processors.observed) == ("less than 80 %", "41.0 % on average of 60 s")
    assert memory.observed == "52.0 % at most in 60 s"


def samples(**values: float) -> dict[str, Any]:
    found = [{"metric": {"instance": host}, "value": [0, str(value)]} for host, value in values.items()]
    return {"resultType": "vector", "result": found}


def knowing(scraped_at: float = NOW, **use: Mapping[str, float]) -> Callable[[str, str], dict[str, Any]]:
    """What Prometheus says to each question, all of which but one are about the end of the load."""
    both = {"web1": 0.41, "mon1": 0.2}

    def say(query: str, moment: str) -> dict[str, Any]:
        if query == audit.SCRAPED_AT:
            return samples(web1=scraped_at, mon1=scraped_at)
        assert moment == f"{NOW - 40:.3f}"
        assert "[60s]" in query
        if "up{" in query:
            return samples(**use.get("scrapes", {"web1": 4, "mon1": 4}))
        return samples(**use.get("processor" if "cpu" in query else "memory", both))

    return say


@contextmanager
def service(directory: Path, say: Callable[[str, str], Any], **changed: Any) -> Iterator[dict[str, Any]]:
    """A Prometheus, and the parameters with which to ask it."""
    with prometheus(directory, lambda _path, asked: {"data": say(asked["query"], asked.get("time", ""))}) as params:
        yield {
            **params,
            "targets": [
                {"job": "node", "instance": "web1"},
                {"job": "nginx", "instance": "web1"},
                {"job": "node", "instance": "mon1"},
            ],
            "loads": [vars(LOAD)],
            "maximum_percent": 80.0,
            "interval": INTERVAL,
            **changed,
        }


def never(seconds: float) -> None:
    pytest.fail("it waits for what will not come")


def test_hosts_with_headroom_pass(tmp_path: Path) -> None:
    with service(tmp_path, knowing()) as params:
        control = audit.audit(params, NOW, sleep=never)
    assert (control.id, control.level, control.status) == ("perf.headroom", "deep", "pass")
    assert len(control.checks) == 7
    assert "secret" not in json.dumps(control.to_dict())
    assert f"time={NOW - 40:.3f}" in control.command


def test_one_host_without_headroom_fails(tmp_path: Path) -> None:
    with service(tmp_path, knowing(processor={"web1": 0.41, "mon1": 0.99})) as params:
        control = audit.audit(params, NOW, sleep=never)
    assert control.status == "fail"
    assert control.observed == "1 of 7 not as expected: processors of mon1: 99.0 % on average of 60 s"


@pytest.mark.parametrize("changed", [{"password": "another"}, {"hostname": "mon2"}, {"prometheus_port": 1}])
def test_a_prometheus_that_does_not_answer_fails(tmp_path: Path, changed: dict[str, Any]) -> None:
    with service(tmp_path, knowing(), **changed) as params:
        control = audit.audit(params, NOW, sleep=never)
    assert (control.status, failing(list(control.checks))) == ("fail", ["answer"])


def test_it_waits_for_what_is_on_its_way(tmp_path: Path) -> None:
    slept: list[float] = []

    def say(query: str, moment: str) -> dict[str, Any]:
        return knowing(scraped_at=NOW - 40 if slept else NOW - 41)(query, moment)

    with service(tmp_path, say) as params:
        assert audit.audit(params, NOW, sleep=slept.append).status == "pass"
    assert len(slept) == 1


def test_it_does_not_wait_for_ever(tmp_path: Path) -> None:
    with service(tmp_path, knowing(scraped_at=0, scrapes={}), interval=1, timeout=1) as params:
        control = audit.audit(params, NOW)
    assert failing(list(control.checks)) == ["scrapes of web1 under load", "scrapes of mon1 under load"]


def test_without_a_load_prometheus_is_not_asked() -> None:
    idle = {"host": "web1", "examined": True, "asked": 0, "answered": 0, "began_ago": 0.0, "ended_ago": 0.0}
    control = audit.audit({"loads": [idle], "interval": INTERVAL}, NOW, sleep=never)
    assert (control.status, control.observed) == ("fail", "1 of 1 not as expected: load on web1: there was none")


def test_one_edge_of_two_without_a_load_fails(tmp_path: Path) -> None:
    idle = {"host": "web2", "examined": True, "asked": 0, "answered": 0, "began_ago": 0.0, "ended_ago": 0.0}
    with service(tmp_path, knowing(), loads=[vars(LOAD), idle]) as params:
        assert failing(list(audit.audit(params, NOW, sleep=never).checks)) == ["load on web2"]


def test_what_was_not_asked_for_is_no_failure() -> None:
    absent = {**vars(LOAD), "examined": False, "asked": 0}
    control = audit.audit({"loads": [absent], "interval": INTERVAL}, NOW, sleep=never)
    assert (control.status, control.observed) == ("not_run", "No load was put on web1: not part of this run.")
    control = audit.audit({"loads": [], "interval": INTERVAL}, NOW, sleep=never)
    assert (control.status, control.observed) == ("not_applicable", "No host of tier edge is watched from here.")
