"""What nginx promises, seen with other eyes than its own: curl and openssl on the server."""

from __future__ import annotations

import json
import re
import secrets
import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from testinfra.host import Host

CA = "/etc/airworthy/tls/ca.crt"
Logged = Callable[[str], dict[str, Any]]


def curl(host: Host, domain: str, path: str, options: str = "") -> str:
    where = f"--resolve {domain}:443:127.0.0.1 --resolve {domain}:80:127.0.0.1"
    return host.check_output(f"curl -sS -i --cacert {CA} {where} {options} {path}").replace("\r", "").lower()


def test_the_application_is_served_over_http2(host: Host, domain: str) -> None:
    answer = curl(host, domain, f"https://{domain}/healthz")
    assert answer.startswith("http/2 200")
    assert "\nserver: nginx\n" in answer
    assert "x-powered-by" not in answer


@pytest.mark.parametrize("path", ["/", "/no-such-page", "/.well-known/airworthy/canary"])
def test_every_answer_has_the_headers_once(host: Host, domain: str, path: str) -> None:
    answer = curl(host, domain, f"https://{domain}{path}")
    for name in ("content-security-policy", "strict-transport-security", "x-content-type-options", "x-request-id"):
        assert answer.count(f"\n{name}: ") == 1, answer


def test_what_the_application_says_in_its_errors_stays_inside(host: Host, domain: str) -> None:
    inside = host.check_output("curl -sS http://127.0.0.2/")
    outside = curl(host, domain, f"https://{domain}/.well-known/airworthy/canary")
    assert "server.js:42" in inside
    assert "server.js" not in outside
    assert "something went wrong here" in outside


def test_plain_http_only_redirects(host: Host, domain: str) -> None:
    answer = curl(host, domain, f"'http://{domain}/a?b=c'")
    assert answer.startswith("http/1.1 308")
    assert f"\nlocation: https://{domain}/a?b=c\n" in answer


@pytest.mark.parametrize(("version", "offered"), [("1", False), ("1_1", False), ("1_2", True), ("1_3", True)])
def test_the_protocols(host: Host, domain: str, version: str, offered: bool) -> None:
    shake = f"openssl s_client -connect 127.0.0.1:443 -servername {domain} -tls{version} -cipher ALL:@SECLEVEL=0"
    assert (host.run(f"{shake} </dev/null").rc == 0) is offered


def test_a_stranger_gets_no_answer(host: Host) -> None:
    assert host.run("openssl s_client -connect 127.0.0.1:443 -servername other.example </dev/null").rc != 0
    plain = host.run("curl -s -i -H 'Host: other.example' http://127.0.0.1/")
    assert plain.stdout == ""
    assert plain.rc in {52, 56}  # an empty reply, or a reset


def test_a_connection_for_one_name_is_not_for_another(host: Host, domain: str) -> None:
    answer = curl(host, domain, f"https://{domain}/", "-H 'Host: other.example'")
    assert answer.startswith("http/2 421")
    assert '"this name is not served here"' in answer


def test_the_log_is_json_and_keeps_no_query(host: Host, domain: str, logged: Logged) -> None:
    marker = host.check_output("cat /proc/sys/kernel/random/uuid")
    options = f"-H 'Cookie: sid={marker}' -H 'Referer: https://{domain}/?token={marker}'"
    answer = curl(host, domain, f"'https://{domain}/healthz?token={marker}'", options)
    assert logged(answer)["path"] == "/healthz"
    assert marker not in host.file("/var/log/nginx/access.log").content_string


def test_a_request_that_fails_leaves_its_end_in_the_log_and_nothing_of_its_query(
    host: Host, domain: str, logged: Logged
) -> None:
    marker = host.check_output("cat /proc/sys/kernel/random/uuid")
    path = f"'https://{domain}/.well-known/airworthy/canary/silent?token={marker}'"
    entry = logged(curl(host, domain, path, f"-e https://a/{marker}"))
    assert (entry["status"], entry["upstream"], entry["upstream_status"]) == (502, "127.0.0.2:80", "502")
    assert host.run(f"grep -rq {marker} /var/log/nginx").rc == 1


def test_a_careless_cookie_becomes_a_safe_one(host: Host, domain: str) -> None:
    inside = host.check_output("curl -sS -i http://127.0.0.2/.well-known/airworthy/canary/200")
    outside = curl(host, domain, f"https://{domain}/.well-known/airworthy/canary/200")
    assert "Set-Cookie: bare=1\r\n" in inside
    assert "\nset-cookie: bare=1; secure; httponly; samesite=lax\n" in outside
    assert "\nset-cookie: csrf_token=1; secure; samesite=lax\n" in outside


@pytest.fixture
def sign_in(host: Host, domain: str) -> Callable[..., Counter[str]]:
    """Try to sign in many times at once, from an address of the loopback interface; returns the statuses, counted."""
    host.check_output("systemctl restart nginx")  # forgets the attempts of earlier runs

    def attempts(times: int, address: str, options: str = "") -> Counter[str]:
        request = (
            f"curl -sS -o /dev/null -w '%{{http_code}}\\n' --cacert {CA} --interface {address} "
            f"--resolve {domain}:443:127.0.0.1 -H 'Origin: https://{domain}' --json '{{}}' {options} "
            f"https://{domain}/api/auth/sign-in"
        )
        return Counter(host.check_output(f"seq {times} | xargs -P 25 -I@ {request}").split())

    return attempts


def test_ten_attempts_to_sign_in_and_no_more(host: Host, sign_in: Callable[..., Counter[str]]) -> None:
    assert sign_in(60, "127.0.0.21") == {"400": 10, "429": 50}
    assert sign_in(1, "127.0.0.22") == {"400": 1}, "another client is not affected"
    host.check_output("reload-nginx nginx")
    assert sign_in(1, "127.0.0.21") == {"429": 1}, "a reload forgets nothing"


def test_a_refusal_says_when_to_come_back(host: Host, domain: str, sign_in: Callable[..., Counter[str]]) -> None:
    sign_in(10, "127.0.0.23")
    options = f"--interface 127.0.0.23 -X POST -H 'Origin: https://{domain}'"
    answer = curl(host, domain, f"https://{domain}/api/auth/sign-in", options)
    assert answer.startswith("http/2 429")
    wait = re.search(r"\nretry-after: (\d+)\n", answer)
    assert wait
    assert 840 < int(wait[1]) <= 900
    assert '"too many requests"' in answer


def test_a_proxy_of_ours_is_believed_and_nobody_else(host: Host, domain: str) -> None:
    def client(through: str) -> str:
        options = f"--interface {through} -H 'X-Forwarded-For: 192.0.2.1, 203.0.113.5'"
        return curl(host, domain, f"https://{domain}/.well-known/airworthy/client", options).split()[-1]

    assert client("127.0.0.9") == "203.0.113.5"
    assert client("127.0.0.24") == "127.0.0.24"


def test_an_ipv6_network_is_one_client(sign_in: Callable[..., Counter[str]]) -> None:
    def attempt(address: str, times: int = 1) -> Counter[str]:
        return sign_in(times, "127.0.0.9", f"-H 'X-Forwarded-For: {address}'")

    assert attempt("2001:db8:1:2::1", times=10) == {"400": 10}
    assert attempt("2001:db8:1:2:ffff::2") == {"429": 1}
    assert attempt("2001:db8:1:3::1") == {"400": 1}


def test_a_form_of_another_site_never_reaches_the_application(host: Host, domain: str, logged: Logged) -> None:
    options = "-X POST -H 'Origin: https://evil.example' -H 'Sec-Fetch-Site: cross-site'"
    answer = curl(host, domain, f"https://{domain}/api/auth/sign-in", options)
    assert answer.startswith("http/2 403")
    assert logged(answer)["upstream"] == ""


@pytest.mark.parametrize(
    ("method", "kind", "size", "status"),
    [
        ("GET", "", 0, 405),
        ("PUT", "application/json", 2, 405),
        ("POST", "text/html", 2, 415),
        ("POST", "application/jsonx", 2, 415),
        ("POST", "", 2, 415),
        ("POST", "Application/JSON; charset=utf-8", 2, 404),
        ("POST", "application/json", 1_048_577, 413),
    ],
)
@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_a_location_serves_what_it_says_and_no_more(
    host: Host, domain: str, version: str, method: str, kind: str, size: int, status: int
) -> None:
    host.check_output(f"printf '{{%{size - 2}s}}' '' >/run/body" if size else "true")
    sent = f"--data-binary @/run/body -H 'Content-Type: {kind}'" if size else ""
    options = f"{version} -X {method} -H 'Origin: https://{domain}' {sent}"
    answer = curl(host, domain, f"https://{domain}/api/reports/csp", options)
    assert answer.partition(" ")[2].startswith(str(status))
    assert ("\nallow: post, options\n" in answer) is (status == 405)
    assert answer.count("\ncontent-security-policy: ") == 1


def test_a_body_of_unannounced_length_has_a_type_too(host: Host, domain: str) -> None:
    options = f"-X POST -H 'Origin: https://{domain}' -H 'Content-Type: text/html' -H 'Transfer-Encoding: chunked' -d x"
    answer = curl(host, domain, f"https://{domain}/api/reports/csp", f"--http1.1 {options}")
    assert answer.startswith("http/1.1 415")


def test_each_location_lets_its_own_origins_call(host: Host, domain: str) -> None:
    def allowed(path: str, origin: str) -> bool:
        answer = curl(host, domain, f"https://{domain}{path}", f"-H 'Origin: {origin}'")
        return f"\naccess-control-allow-origin: {origin}\n" in answer

    partner, preview = "https://shop.partner.example", "https://pr-7.preview.airworthy.test"
    assert allowed("/news/x", partner), "a missing page, too, says who may read it"
    assert not allowed("/", partner)
    assert allowed("/", preview)
    assert not allowed("/news/x", preview)


def test_a_rate_of_its_own_is_counted_apart(host: Host, domain: str) -> None:
    where = f"--cacert {CA} --interface 127.0.0.31 --resolve {domain}:443:127.0.0.1"
    request = f"curl -sS --parallel -o /dev/null -w '%{{http_code}}\\n' {where} https://{domain}"
    assert "429" in host.check_output(f"{request}/api/search/[1-60]").split()
    assert host.check_output(f"{request}/api/x") == "404"


def test_violations_of_the_policy_are_reported_where_it_says(host: Host, domain: str) -> None:
    answer = curl(host, domain, f"https://{domain}/")
    report = f"report-uri https://{domain}/api/reports/csp; report-to edge"
    enforced, trial = (
        re.findall(rf"\n{name}: (.*)\n", answer)[0]
        for name in ("content-security-policy", "content-security-policy-report-only")
    )
    assert "img-src 'self' data:" in enforced
    assert enforced.endswith(report)
    assert trial == enforced.replace("; report-uri", "; style-src 'self'; report-uri")
    assert f'\nreporting-endpoints: edge="https://{domain}/api/reports/csp"\n' in answer


def test_static_files_are_sent_compressed_and_kept(host: Host, domain: str, logged: Logged) -> None:
    path = re.findall(r"/static/[^\"]+\.js", curl(host, domain, f"https://{domain}/"))[0]
    sizes = {}
    for encoding in ("br", "gzip", "identity"):
        options = f"-H 'Accept-Encoding: {encoding}' -H 'Cookie: sid=1' -o /run/file -D -"
        answer = curl(host, domain, f"https://{domain}{path}", options)
        assert (f"\ncontent-encoding: {encoding}" in answer) is (encoding != "identity")
        sizes[encoding] = host.file("/run/file").size
    assert sizes["br"] < sizes["gzip"] < sizes["identity"]
    assert logged(answer)["cache"] == "HIT"


def test_http3_where_there_is_one(host: Host, domain: str) -> None:
    offered = '\nalt-svc: h3=":443"; ma=86400\n' in curl(host, domain, f"https://{domain}/")
    assert offered is (host.system_info.codename == "trixie")
    if offered:
        assert curl(host, domain, f"https://{domain}/", "--http3-only").startswith("http/3 200")


def test_the_log_names_the_client_by_a_name_that_nobody_can_turn_back(host: Host, domain: str, logged: Logged) -> None:
    def name(address: str) -> str:
        return logged(curl(host, domain, f"https://{domain}/healthz", f"--interface {address}"))["client"]

    assert re.fullmatch(r"[A-Za-z0-9+/]{16}", name("127.0.0.32"))
    assert name("127.0.0.32") == name("127.0.0.32") != name("127.0.0.33")


def test_it_runs_in_a_sandbox_and_comes_back_at_boot(host: Host) -> None:
    assert host.service("nginx").is_enabled
    workers = host.process.filter(user="www-data", comm="nginx")
    assert workers
    status = host.file(f"/proc/{workers[0].pid}/status").content_string
    assert "NoNewPrivs:\t1" in status
    assert "CapEff:\t0000000000000000" in status
    mounts = host.file(f"/proc/{workers[0].pid}/mounts").content_string
    assert re.search(r"^\S+ / \S+ ro\b", mounts, re.MULTILINE)


def test_debians_own_site_is_gone(host: Host) -> None:
    assert host.file("/etc/nginx/sites-enabled").listdir() == []


AUDIT_LOG = "/var/log/nginx-waf/audit.log"


def answers_with(host: Host, domain: str, path: str, options: str = "") -> tuple[int, str]:
    """The status of an answer and the id of the request, which is written behind what the log has of it."""
    answer = curl(host, domain, shlex.quote(f"https://{domain}{path}"), f"-H 'Origin: https://{domain}' {options}")
    return int(answer.split()[1]), re.findall(r"\nx-request-id: (\w+)", answer)[0]


def send_json(document: object, method: str = "POST", kind: str = "application/json") -> str:
    return f"-X {method} -H {shlex.quote(f'Content-Type: {kind}')} -d {shlex.quote(json.dumps(document))}"


@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        ("/", "", 200),
        ("/api/me", send_json({"name": "Siobhán O'Neill", "note": "# It's *done*\n- https://a.example/?b=c&d=e"}), 404),
        ("/api/auth/sign-in", send_json({"email": "a@example.invalid", "password": "' OR 1=1; --<b>$(id)|&&"}), 401),
        ("/api/me", send_json({"enrolledOn": "2026-01-31"}, "PATCH", "application/merge-patch+json"), 404),
        ("/api/me", "-X DELETE", 404),
        ("/api/students?after=0&limit=50", "", 401),
    ],
)
def test_the_firewall_says_nothing_of_ordinary_requests(
    host: Host, domain: str, path: str, options: str, status: int
) -> None:
    seen, request = answers_with(host, domain, path, options)
    assert seen == status
    assert request not in host.file(AUDIT_LOG).content_string


def test_json_of_200_kb_reaches_the_application(host: Host, domain: str) -> None:
    host.check_output('printf \'{"a": "%0200000d"}\' 0 >/run/large.json')
    options = "-H 'Content-Type: application/json' --data-binary @/run/large.json"
    assert answers_with(host, domain, "/api/me", options)[0] == 404


def test_a_body_that_cannot_be_read_is_refused_and_logged_by_the_rules_id(host: Host, domain: str) -> None:
    options = "-X POST -H 'Content-Type: application/json' -d '{\"a\": '"
    seen, request = answers_with(host, domain, "/api/me", options)
    assert seen == 400
    log = host.file(AUDIT_LOG).content_string
    assert "10021" in log[log.index(request) :]


@pytest.mark.parametrize("attack", ["1' UNION SELECT usename FROM pg_shadow--", "<script>alert(1)</script>"])
def test_an_attack_is_refused_in_the_applications_form_and_logged_without_its_text(
    host: Host, domain: str, attack: str
) -> None:
    marker = host.check_output("cat /proc/sys/kernel/random/uuid")
    options = f"-G --data-urlencode {shlex.quote(f'q={attack} {marker}')} -H 'Cookie: sid={marker}'"
    answer = curl(host, domain, f"https://{domain}/", options)
    assert answer.startswith("http/2 403")
    request = re.findall(r'"requestid":"(\w+)"', answer)[0]
    log = host.file(AUDIT_LOG).content_string
    assert request in log
    assert marker not in log
    assert marker not in host.check_output("journalctl --no-pager -u nginx-waf.service -n 100")


@pytest.fixture
def detecting(host: Host) -> Iterator[None]:
    """The firewall only looks on."""
    rules = "/etc/nginx-waf/conf.d/modsecurity.conf"

    def switch(mode: str) -> None:
        host.check_output(f"sed -i 's/^SecRuleEngine .*/SecRuleEngine {mode}/' {rules} && reload-nginx nginx-waf")

    switch("DetectionOnly")
    yield
    switch("On")


def test_a_firewall_that_looks_on_logs_what_it_would_refuse_and_not_the_answer(
    host: Host, domain: str, detecting: None
) -> None:
    status, request = answers_with(host, domain, "/api/me", send_json({"text": "<script>alert(1)</script>"}))
    assert status == 404
    log = host.file(AUDIT_LOG).content_string
    record = log[log.index(request) :]
    assert "rules 941100" in record
    assert "Not found" not in record


def test_logs_are_rotated_and_written_on(host: Host, domain: str, logged: Logged) -> None:
    answers_with(host, domain, "/", "-G --data-urlencode 'q=<script>alert(1)</script>'")
    host.check_output("logrotate --force /etc/logrotate.d/nginx && logrotate --force /etc/logrotate.d/nginx-waf")
    assert logged(curl(host, domain, f"https://{domain}/healthz"))["path"] == "/healthz"
    assert host.file(AUDIT_LOG).size == 0
    status, request = answers_with(host, domain, "/", "-G --data-urlencode 'q=<script>alert(1)</script>'")
    assert status == 403
    assert request in host.file(AUDIT_LOG).content_string


def test_modsecurity_is_in_a_process_of_its_own(host: Host) -> None:
    def loads(unit: str) -> bool:
        pid = host.check_output(f"systemctl show -P MainPID {unit}")
        return "modsecurity" in host.file(f"/proc/{pid}/maps").content_string

    assert (loads("nginx"), loads("nginx-waf")) == (False, True)
    status = host.check_output("cat /proc/$(systemctl show -P MainPID nginx-waf)/status")
    assert "NoNewPrivs:\t1" in status
    assert "CapBnd:\t0000000000000000" in status


SLOW_CLIENTS = """
import socket, ssl, sys, threading, time

def dawdle(begin):
    context = ssl.create_default_context(cafile=sys.argv[1])
    plain = socket.create_connection(("127.0.0.1", 443))
    connection = context.wrap_socket(plain, server_hostname=sys.argv[2], suppress_ragged_eofs=True)
    connection.settimeout(60)
    connection.sendall(begin.replace("HOST", sys.argv[2]).encode())
    begun = time.monotonic()
    try:
        while connection.recv(4096):
            pass
    except ConnectionResetError:
        pass
    print(round(time.monotonic() - begun))

head = "POST /healthz HTTP/1.1\\r\\nHost: HOST\\r\\nOrigin: https://HOST\\r\\n"
for begin in (head, head + "Content-Length: 100\\r\\n\\r\\n{"):
    threading.Thread(target=dawdle, args=[begin]).start()
"""


def test_a_client_that_dawdles_is_let_go(host: Host, domain: str) -> None:
    """One that never ends its headers, and one that never ends its body: 15 seconds without a word are enough."""
    seconds = host.check_output(f"timeout 90 python3 -c {shlex.quote(SLOW_CLIENTS)} {CA} {domain}").split()
    assert len(seconds) == 2
    assert all(14 <= int(each) <= 25 for each in seconds)


@pytest.mark.long
def test_fifty_reloads_lose_no_request(host: Host, domain: str) -> None:
    """Visitors on many connections, while certificate, headers and upstream might change again and again.

    A request that reaches a connection that the edge has just closed is the visitor's to send again (RFC 9113, 6.8).
    Browsers do; curl of Debian 12 tells an error. So what counts is that the edge answered each one that it took, and
    that it died on none.
    """
    host.check_output("rm -f /run/answers /run/reloaded")
    died = "grep -c 'exited on signal' /var/log/nginx/error.log"
    before = host.run(died).stdout
    agent = f"reloads-{secrets.token_hex(8)}"
    ask = (
        f"curl -sS --parallel --parallel-max 20 -o /dev/null -w '%{{http_code}} %{{errormsg}}\\n' --cacert {CA} "
        f"-A {agent} --resolve {domain}:443:127.0.0.1 'https://{domain}/healthz?[1-100]'"
    )
    visitor = f"while [ ! -e /run/reloaded ]; do {ask}; done"
    reload = "systemctl reload nginx nginx-waf || { n=failed; break; }"
    reloads = f"for n in $(seq 50); do {reload}; done; echo $n >/run/reloaded"
    host.check_output(f"({visitor}) >/run/answers 2>/dev/null & visitor=$!; {reloads}; wait $visitor")
    assert host.file("/run/reloaded").content_string == "50\n"
    answers = Counter(host.file("/run/answers").content_string.splitlines())
    assert set(answers) <= {"200 ", "000 Error in the HTTP2 framing layer"}
    taken = host.check_output(f"grep --no-filename -c {agent} /var/log/nginx/access.log")
    assert answers["200 "] == int(taken)
    assert host.run(died).stdout == before
    assert answers["200 "] >= 500
