"""The way between a client and the application, with an application that does what each test needs (upstream.mjs)."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

CA = "/etc/airworthy/tls/ca.crt"
Logged = Callable[[str], dict[str, Any]]
SCRIPT = (Path(__file__).parent / "upstream.mjs").read_text()


@pytest.fixture(scope="module")
def upstream(host: Host) -> Iterator[None]:
    """In place of the example application, until the tests of this file are over."""
    host.check_output("systemctl stop app@3000 app@3001")
    try:
        run = f"systemd-run --quiet --unit=upstream node --input-type=module -e {shlex.quote(SCRIPT)}"
        wait = "until curl -s -o /dev/null http://127.0.0.1:3001/; do sleep 0.1; done"
        host.check_output(f"{run} && timeout 20 sh -c {shlex.quote(wait)}")
        yield
    finally:
        host.check_output("systemctl stop upstream; systemctl start app@3000 app@3001")


@pytest.fixture
def ask(host: Host, domain: str, upstream: None) -> Callable[..., str]:
    def curl(path: str, options: str = "") -> str:
        where = f"--cacert {CA} --resolve {domain}:443:127.0.0.1"
        url = shlex.quote(f"https://{domain}{path}")
        return host.run(f"curl -sS -i {where} {options} {url}").stdout.replace("\r", "")

    return curl


def body(answer: str) -> str:
    return answer.partition("\n\n")[2]


def headers_seen(answer: str) -> dict[str, str]:
    return json.loads(body(answer))["headers"]


def test_the_application_learns_who_asks_and_not_who_claims_to(ask: Callable[..., str]) -> None:
    seen = headers_seen(ask("/echo", "-H 'X-Forwarded-For: 192.0.2.1' -H 'X-CSP-Nonce: mine' -H 'X-Request-Id: mine'"))
    assert seen["x-forwarded-for"] == seen["x-real-ip"] == "127.0.0.1"
    assert seen["x-forwarded-proto"] == "https"
    assert "x-csp-nonce" not in seen
    assert re.fullmatch("[0-9a-f]{32}", seen["x-request-id"])


def test_a_proxy_of_ours_names_the_request(ask: Callable[..., str]) -> None:
    answer = ask("/echo", "--interface 127.0.0.9 -H 'X-Request-Id: request-of-the-proxy.1'")
    assert headers_seen(answer)["x-request-id"] == "request-of-the-proxy.1"
    assert "\nx-request-id: request-of-the-proxy.1\n" in answer
    assert "x-request-id: too short" not in ask("/echo", "--interface 127.0.0.9 -H 'X-Request-Id: too short'")


def test_what_is_for_everybody_is_asked_for_once(ask: Callable[..., str], host: Host, logged: Logged) -> None:
    path = f"/news/{host.check_output('cat /proc/sys/kernel/random/uuid')}"
    first, second = ask(path), ask(path)
    assert body(first).startswith("news ")
    assert body(second) == body(first)
    assert (logged(first)["cache"], logged(second)["cache"]) == ("MISS", "HIT")
    assert (logged(first)["upstream"][:10], logged(second)["upstream"]) == ("127.0.0.1:", "")


@pytest.mark.parametrize("options", ["-H 'Cookie: sid=1'", "-H 'Authorization: Bearer x'"])
def test_who_is_known_gets_an_answer_of_his_own_and_nobody_else_does(
    ask: Callable[..., str], host: Host, options: str
) -> None:
    path = f"/news/{host.check_output('cat /proc/sys/kernel/random/uuid')}"
    his = body(ask(path, options))
    ours = body(ask(path))
    assert his != ours
    assert body(ask(path, options)) not in {his, ours}


@pytest.mark.parametrize("kind", ["cookie", "private"])
def test_an_answer_for_one_is_never_kept(ask: Callable[..., str], kind: str) -> None:
    assert body(ask(f"/news/?{kind}")) != body(ask(f"/news/?{kind}"))


def test_an_event_arrives_before_the_answer_ends(ask: Callable[..., str]) -> None:
    assert body(ask("/events/", "-N --max-time 3")) == "data: first\n\n"


@pytest.mark.parametrize("path", ["/.git/config", "/.env", "/static/.htaccess", "/a/%2egit/HEAD"])
def test_a_hidden_file_is_not_asked_for(ask: Callable[..., str], logged: Logged, path: str) -> None:
    answer = ask(path)
    assert answer.startswith("HTTP/2 404")
    assert logged(answer)["upstream"] == ""


@pytest.mark.parametrize(
    "path",
    [
        *("/metrics", "/metrics/", "/metrics/3000?a=b", "/METRICS", "/%6detrics", "//metrics"),
        *("/a/../metrics", "/metrics;"),
        *("/diagnostics/error", "/diagnostics/error/", "/Diagnostics/Error?a=b", "//diagnostics/./error"),
    ],
)
def test_what_the_application_tells_of_itself_is_not_for_everybody(
    ask: Callable[..., str], logged: Logged, path: str
) -> None:
    answer = ask(path, "--path-as-is")
    assert answer.startswith("HTTP/2 404")
    assert logged(answer)["upstream"] == ""


@pytest.mark.parametrize("path", ["/metrics-explained", "/about/metrics", "/diagnostics", "/diagnostics/errors"])
def test_what_is_only_named_alike_is_served(ask: Callable[..., str], path: str) -> None:
    assert ask(path).startswith("HTTP/2 200")


@pytest.mark.parametrize("path", ["/.well-known/security.txt", "/a.b/c.d", "/a..b"])
def test_a_dot_alone_hides_nothing(ask: Callable[..., str], path: str) -> None:
    assert ask(path).startswith("HTTP/2 200")


def test_a_cookie_is_as_strict_as_the_edge_says(ask: Callable[..., str]) -> None:
    cookies = re.findall(r"\nset-cookie: (.*)", ask("/cookies").lower())
    assert [set(cookie.split("; ")) for cookie in cookies] == [
        {"session=1", "secure", "httponly", "samesite=lax"},
        {"admin_session=1", "secure", "httponly", "samesite=strict"},
    ]


SECURITY = (
    "content-security-policy",
    "content-security-policy-report-only",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "permissions-policy",
    "referrer-policy",
    "reporting-endpoints",
    "strict-transport-security",
    "x-content-type-options",
    "x-frame-options",
)


def security_headers(head: str) -> list[str]:
    lines = head.partition("\n\n")[0].splitlines()[1:]
    return sorted(line for line in lines if line.partition(":")[0] in SECURITY)


@pytest.mark.parametrize(
    ("status", "path", "options"),
    [
        (304, "/unchanged", ""),
        (404, "/.env", ""),
        (405, "/echo", "-X PROPFIND"),
        (403, "/echo", "-X POST"),
        (413, "/api/reports/x", "--http1.1 -X POST -H 'Content-Length: 2000000'"),
        (415, "/api/reports/x", "-X POST -H 'Origin: https://{domain}' -H 'Content-Type: text/html' -d x"),
        (429, "/api/search/[1-60]", "--parallel"),
        (502, "/.well-known/airworthy/canary/silent", ""),
        (200, "/static/packed.0123456789.js", ""),
    ],
)
def test_the_security_headers_are_the_same_on_every_answer(
    ask: Callable[..., str], domain: str, status: int, path: str, options: str
) -> None:
    page = security_headers(ask("/echo", "-o /dev/null -D -").lower())
    assert len(page) == len(SECURITY)
    heads = ask(path, f"-o /dev/null -D - {options.format(domain=domain)}").split("HTTP/")[1:]
    found = [head for head in heads if head.partition(" ")[2].startswith(str(status))]
    assert found
    assert security_headers(found[0].lower()) == page


def test_another_protocol_goes_through(host: Host, domain: str, upstream: None) -> None:
    request = f"GET /socket HTTP/1.1\\r\\nHost: {domain}\\r\\nConnection: Upgrade\\r\\nUpgrade: echo\\r\\n\\r\\n"
    tunnel = f"openssl s_client -quiet -connect 127.0.0.1:443 -servername {domain} -CAfile {CA}"
    said = host.run(f"(printf '{request}'; sleep 1; echo over the tunnel; sleep 1) | timeout 20 {tunnel}").stdout
    assert said.startswith("HTTP/1.1 101 ")
    assert said.endswith("over the tunnel\n")


def test_what_the_application_has_packed_stays_as_it_is(ask: Callable[..., str]) -> None:
    answer = ask("/static/packed.0123456789.js", "--compressed -H 'Accept-Encoding: gzip, deflate, br'")
    assert "\ncontent-encoding: br\n" in answer
    assert body(answer) == "// packed by the application"
    assert "\ncache-control: public, max-age=31536000, immutable\n" in answer


def test_both_instances_are_asked_and_the_log_knows_which(ask: Callable[..., str], logged: Logged) -> None:
    ports = []
    for _attempt in range(12):
        answer = ask("/echo")
        ports.append(json.loads(body(answer))["port"])
        assert logged(answer)["upstream"] == f"127.0.0.1:{ports[-1]}"
        assert "x-airworthy-instance" not in answer
    assert set(ports) == {3000, 3001}


def test_a_request_is_repeated_where_that_does_no_harm(ask: Callable[..., str]) -> None:
    answers = [ask("/broken/3000") for attempt in range(6)]
    assert {answer.splitlines()[0] for answer in answers} == {"HTTP/2 200 "}
    assert json.loads(body(answers[-1]))["broken"] >= 1, "an instance took a request and broke off"


def test_a_request_that_may_have_changed_something_is_not_repeated(ask: Callable[..., str], domain: str) -> None:
    posted = [ask("/broken/3001", f"-X POST -H 'Origin: https://{domain}'").splitlines()[0] for attempt in range(6)]
    assert "HTTP/2 502 " in posted
