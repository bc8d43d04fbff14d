"""The audit of HTTPS, against a server that does everything right, and against one fault at a time."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.client_hello import Reply
from ansible_collections.airworthy.stack.plugins.module_utils.control import Control
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import Answer, Target
from ansible_collections.airworthy.stack.plugins.modules import tls_audit
from ansible_collections.airworthy.stack.plugins.modules.tls_audit import Handshake, Observation
from tls_server import DOMAIN, Certificate, Page, answering, make_certificate, server_context, serving

pytestmark = pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")  # they are offered on purpose

WANTED = {"profile": "intermediate", "minimum_days": 14, "minimum_hsts_age": 31536000, "remediation": "do this"}
GOOD = Handshake("TLSv1.3", "TLS_AES_256_GCM_SHA384", "h2", 90 * 86400, "f" * 64)
REFUSED = Reply(alert=40)
SOUND = Observation(
    at=0,
    best=GOOD,
    modern={"TLS 1.2": GOOD, "TLS 1.3": GOOD},
    handmade=Reply(suite=0xC02F),
    old={"TLS 1.0": Reply(alert=70)},
    weak={"3DES": REFUSED},
    stranger=Reply(alert=112),
    redirect=Answer(308, (("Location", f"https://{DOMAIN}{tls_audit.PROBE_PATH}"),)),
    page=Answer(200, (("Strict-Transport-Security", "max-age=63072000"),)),
    wanted_fingerprint="f" * 64,
)


def redirected(status: int, location: str) -> Answer:
    return Answer(status, (("Location", location),))


def with_hsts(value: str) -> Answer:
    return Answer(200, (("Strict-Transport-Security", value),))


def failing(control: Control) -> list[str]:
    return [check.subject for check in control.checks if not check.ok]


def test_a_sound_observation_passes() -> None:
    control = tls_audit.judge(SOUND, Target(DOMAIN, "192.0.2.1"), WANTED)
    assert (control.status, failing(control)) == ("pass", [])
    assert "openssl s_client -connect 192.0.2.1:443 -servername app.example.org" in control.command


@pytest.mark.parametrize(
    ("reply", "found"),
    [(Reply(alert=70), []), (Reply(suite=0xC02F), ["TLS 1.2"]), (Reply(failure="timed out"), ["TLS 1.2"])],
)
def test_the_modern_profile_is_tls_1_3_alone(reply: Reply, found: list[str]) -> None:
    wanted = {**WANTED, "profile": "modern"}
    assert failing(tls_audit.judge(replace(SOUND, handmade=reply), Target(DOMAIN, DOMAIN), wanted)) == found


@pytest.mark.parametrize(
    ("fault", "subject"),
    [
        ({"best": Handshake(failure="the certificate cannot be verified: has expired")}, "certificate"),
        ({"best": replace(GOOD, not_after=13 * 86400)}, "expiry"),
        ({"best": replace(GOOD, alpn="http/1.1")}, "HTTP/2"),
        ({"wanted_fingerprint": "a" * 64}, "certificate presented"),
        ({"modern": {"TLS 1.3": Handshake(failure="alert protocol version")}}, "TLS 1.3"),
        ({"old": {"TLS 1.0": Reply(suite=0xC013)}}, "TLS 1.0"),
        ({"old": {"TLS 1.0": Reply(failure="timed out")}}, "TLS 1.0"),
        ({"old": {"TLS 1.0": Reply(alert=80)}}, "TLS 1.0"),
        ({"weak": {"3DES": Reply(suite=0x000A)}}, "3DES"),
        ({"stranger": Reply(suite=0xC02F)}, "TLS for unknown.invalid"),
        ({"redirect": Answer(200)}, "plain HTTP"),
        ({"redirect": Answer(failure="refused")}, "plain HTTP"),
        ({"redirect": redirected(302, f"https://{DOMAIN}{tls_audit.PROBE_PATH}")}, "plain HTTP"),
        ({"redirect": redirected(308, f"https://www.{DOMAIN}{tls_audit.PROBE_PATH}")}, "plain HTTP"),
        ({"redirect": redirected(308, f"https://{DOMAIN}/")}, "plain HTTP"),
        ({"page": Answer(200)}, "Strict-Transport-Security"),
        ({"page": with_hsts("max-age=31535999")}, "Strict-Transport-Security"),
        ({"page": with_hsts("includeSubDomains")}, "Strict-Transport-Security"),
    ],
)
def test_a_fault_fails(fault: dict[str, Any], subject: str) -> None:
    control = tls_audit.judge(replace(SOUND, **fault), Target(DOMAIN, DOMAIN), WANTED)
    assert control.status == "fail"
    assert subject in failing(control)


@pytest.mark.parametrize(
    ("header", "age"),
    [("max-age=5", 5), ('includeSubDomains; Max-Age="7"', 7), ("x-max-age=9", 0), ("", 0)],
)
def test_the_age_of_hsts_is_read(header: str, age: int) -> None:
    assert tls_audit.max_age(header) == age


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@contextmanager
def edge(certificate: Certificate, *, to: str = "", **offered: Any) -> Iterator[Target]:
    """A web server with both ports; plain HTTP redirects to where HTTPS is, or `to` another place."""
    with ExitStack() as stack:
        page = answering(lambda _: Page(headers=(("Strict-Transport-Security", "max-age=63072000"),)))
        port = stack.enter_context(serving(page, server_context(certificate, **offered)))

        def redirect(request: BaseHTTPRequestHandler) -> Page:
            return Page(308, (("Location", to or f"https://{DOMAIN}:{port}{request.path}"),))

        http_port = stack.enter_context(serving(answering(redirect)))
        yield Target(DOMAIN, "127.0.0.1", port, http_port, str(certificate.ca), 5)


def audit(target: Target, certificate: Certificate) -> list[str]:
    seen = tls_audit.observe(target, str(certificate.certificate))
    return failing(tls_audit.judge(seen, target, WANTED))


def test_a_good_server_passes(certificate: Certificate) -> None:
    with edge(certificate) as target:
        assert audit(target, certificate) == []


@pytest.mark.parametrize(
    ("offered", "subjects"),
    [
        ({"minimum": ssl.TLSVersion.TLSv1, "ciphers": "ALL:@SECLEVEL=0"}, {"TLS 1.0", "TLS 1.1", "CBC mode"}),
        ({"ciphers": "ECDHE+AESGCM:AES128-GCM-SHA256"}, {"key exchange without forward secrecy"}),
        ({"maximum": ssl.TLSVersion.TLSv1_2}, {"TLS 1.3"}),
        ({"minimum": ssl.TLSVersion.TLSv1_3}, {"TLS 1.2"}),
        ({"alpn": ("http/1.1",)}, {"HTTP/2"}),
        ({"only": ""}, {"TLS for unknown.invalid"}),
        ({"to": "https://elsewhere.example/"}, {"plain HTTP"}),
    ],
)
def test_a_careless_server_fails(certificate: Certificate, offered: dict[str, Any], subjects: set[str]) -> None:
    with edge(certificate, **offered) as target:
        assert subjects <= set(audit(target, certificate))


def test_a_renewed_certificate_that_was_not_loaded_fails(certificate: Certificate, tmp_path: Path) -> None:
    renewed = make_certificate(tmp_path)
    with edge(certificate) as target:
        assert audit(target, renewed) == ["certificate presented"]


def test_a_certificate_without_its_chain_fails(tmp_path: Path) -> None:
    forgotten = make_certificate(tmp_path, intermediate=True)
    with edge(forgotten) as target:
        assert "certificate" in audit(target, forgotten)
