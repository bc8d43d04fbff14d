"""The load test counts what a user would complain about, and nothing else."""

from __future__ import annotations

import itertools
import socket
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import Target
from ansible_collections.airworthy.stack.plugins.module_utils.web_load import Outcome
from ansible_collections.airworthy.stack.plugins.modules import load_audit
from ansible_collections.airworthy.stack.plugins.modules.load_audit import Figures
from tls_server import DOMAIN, Page, accepting, answering, make_certificate, server_context, serving

WANTED = {"users": 100, "maximum_average_ms": 1000, "maximum_error_percent": 5.0, "minimum_throughput": 10.0}
GOOD = Figures(1000, 1000, 0, 80.0, 200.0, 500.0, 2.0, {})


def test_figures_are_those_of_the_answers() -> None:
    outcomes = [Outcome(number / 1000) for number in range(1, 101)] + [Outcome(9.0, "status 502")] * 2
    figures = load_audit.summarise(outcomes, 110, 2.0)
    assert figures.answered == 100
    assert figures.average_ms == pytest.approx(50.5)
    assert figures.p95_ms == pytest.approx(95)
    assert figures.throughput == 50
    assert figures.failures == {"not asked within the time limit": 8, "status 502": 2}
    assert figures.error_percent == pytest.approx(100 * 10 / 110)


def test_nothing_answered_is_no_time_at_all() -> None:
    figures = load_audit.summarise([Outcome(0.001, "refused")], 1, 1.0)
    controls = load_audit.judge(figures, WANTED, "")
    assert [control.status for control in controls] == ["fail", "fail", "fail"]
    assert "none was answered" in controls[0].observed


@pytest.mark.parametrize(
    ("figures", "failing"),
    [
        (GOOD, []),
        (Figures(1000, 1000, 0, 1000.0, 2000.0, 100.0, 10.0, {}), ["perf.response"]),
        (Figures(1000, 950, 50, 80.0, 200.0, 500.0, 2.0, {"status 502": 50}), ["perf.errors"]),
        (Figures(1000, 1000, 0, 80.0, 200.0, 10.0, 100.0, {}), ["perf.throughput"]),
    ],
)
def test_each_threshold_is_the_first_value_that_fails(figures: Figures, failing: list[str]) -> None:
    controls = load_audit.judge(figures, WANTED, "")
    assert [control.id for control in controls] == ["perf.response", "perf.errors", "perf.throughput"]
    assert [control.id for control in controls if control.status == "fail"] == failing


def test_users_keep_their_connections_and_ask_for_all_paths_in_turn(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    asked: list[str] = []
    connections = itertools.count()

    class Counted(answering(lambda request: asked.append(request.path) or Page(body=b"ok"))):  # type: ignore[misc]
        def setup(self) -> None:
            next(connections)
            super().setup()

    with serving(Counted, server_context(certificate)) as port:
        target = Target(DOMAIN, "127.0.0.1", port, ca_file=str(certificate.ca))
        figures = load_audit.observe(target, ["/a", "/b"], users=5, requests=100, time_limit=30)
    assert (figures.answered, figures.errors) == (100, 0)
    assert (asked.count("/a"), asked.count("/b")) == (50, 50)
    assert next(connections) == 5


def test_a_server_that_dies_half_way_shows_as_errors() -> None:
    served = itertools.count()

    def answer(_request: BaseHTTPRequestHandler) -> Page:
        return Page(200 if next(served) < 30 else 502)

    with serving(answering(answer)) as port:
        figures = load_audit.observe(_plain(port), ["/"], users=4, requests=100, time_limit=30)
    assert (figures.answered, figures.errors, figures.failures) == (30, 70, {"status 502": 70})


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, ""),
        ({"seconds": 0}, ""),
        ({"seconds": 119}, ""),
        ({"seconds": 120}, "seconds is 120 and time_limit is 120"),
        ({"seconds": -1}, "write 0 seconds or more"),
        ({"paths": []}, "needs a path"),
        ({"requests": 99}, "at least one request of each user"),
    ],
)
def test_a_load_that_cannot_be_is_refused(changed: dict[str, object], words: str) -> None:
    good = {"paths": ["/"], "users": 100, "requests": 2000, "seconds": 60, "time_limit": 120}
    wrong = load_audit.mistake({**good, **changed})
    assert words in wrong
    assert bool(wrong) == bool(words)


def test_requests_are_spread_over_the_seconds() -> None:
    arrived: list[float] = []

    def answer(_request: BaseHTTPRequestHandler) -> Page:
        arrived.append(time.monotonic())
        return Page()

    before = time.time()
    with serving(answering(answer)) as port:
        figures = load_audit.observe(_plain(port), ["/"], users=4, requests=20, time_limit=30, seconds=1)
    assert (figures.answered, figures.errors) == (20, 0)
    assert 0.9 < figures.seconds < 2
    assert figures.ended - figures.began == pytest.approx(figures.seconds)
    assert before <= figures.began <= figures.ended <= time.time()
    halves = [moment - arrived[0] < 0.5 for moment in arrived]
    assert 5 <= halves.count(True) <= 14, "the users take turns"


def test_who_is_answered_late_goes_on_at_once() -> None:
    def answer(_request: BaseHTTPRequestHandler) -> Page:
        time.sleep(0.1)
        return Page()

    with serving(answering(answer)) as port:
        figures = load_audit.observe(_plain(port), ["/"], users=1, requests=10, time_limit=30, seconds=0.2)
    assert figures.answered == 10
    assert figures.seconds >= 1


def test_the_time_limit_ends_a_test_that_is_late() -> None:
    def answer(_request: BaseHTTPRequestHandler) -> Page:
        time.sleep(0.1)
        return Page()

    with serving(answering(answer)) as port:
        figures = load_audit.observe(_plain(port), ["/"], users=1, requests=100, time_limit=0.5, seconds=0.2)
    assert 0 < figures.answered < 20
    assert figures.failures == {"not asked within the time limit": 100 - figures.answered}


def half(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")


def nothing(connection: socket.socket) -> None:
    connection.recv(4096)


@pytest.mark.parametrize(("converse", "words"), [(half, "IncompleteRead"), (nothing, "closed connection")])
def test_an_answer_that_breaks_off_is_an_error(converse, words: str) -> None:  # type: ignore[no-untyped-def]
    with accepting(converse) as port:
        figures = load_audit.observe(_plain(port), ["/"], users=2, requests=10, time_limit=30)
    assert figures.errors == 10
    assert all(words in failure for failure in figures.failures)


def test_the_time_limit_ends_the_test() -> None:
    with accepting(lambda connection: connection.settimeout(None)) as port:
        figures = load_audit.observe(_plain(port), ["/"], users=2, requests=1000, time_limit=0.2)
    assert figures.answered == 0
    assert figures.errors == 1000
    assert figures.seconds < 5


class _Plain(Target):
    """Without TLS, which these tests are not about."""

    def open(self, secure: bool = False) -> socket.socket:
        return super().open(secure)


def _plain(port: int) -> Target:
    return _Plain(DOMAIN, "127.0.0.1", http_port=port, timeout=5)
