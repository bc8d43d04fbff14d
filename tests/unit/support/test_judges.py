"""Each judge can be content, and each can be not."""

from __future__ import annotations

import json

import judges
import pytest

GOOD = """\
# configuration file /etc/nginx/nginx.conf:
http {
    server_tokens off;
    include conf.d/*.conf;
}
# configuration file /etc/nginx/conf.d/site.conf:
server {
    listen 80;
}
"""


def scanned(*entries: tuple[str, str, str]) -> str:
    section = [{"id": name, "severity": severity, "finding": finding} for name, severity, finding in entries]
    return json.dumps({"scanResult": [{"targetHost": "a.example", "protocols": section}]})


TLS1 = ("TLS1", "LOW", "offered (deprecated)")
GRADE = (("overall_grade", "OK", "A+"), ("final_score", "INFO", "96"))
HUNG_UP = ("sessionresumption_ticket", "WARN", "check failed because of connect problem")
NO_REVOCATION = ("cert_revocation", "HIGH", "Neither CRL nor OCSP URI provided")


@pytest.mark.parametrize(
    ("output", "internal_ca", "verdict"),
    [
        (scanned(*GRADE, HUNG_UP), False, judges.Verdict((), "A+", 96)),
        (scanned(TLS1), False, judges.Verdict(("LOW TLS1: offered (deprecated)",), "")),
        (scanned(*GRADE, NO_REVOCATION), True, judges.Verdict((), "A+", 96)),
        (
            scanned(*GRADE, NO_REVOCATION),
            False,
            judges.Verdict(("HIGH cert_revocation: Neither CRL nor OCSP URI provided",), "A+", 96),
        ),
    ],
)
def test_testssl(output: str, internal_ca: bool, verdict: judges.Verdict) -> None:
    assert judges.read_testssl(output, internal_ca) == verdict


@pytest.mark.parametrize(("passed", "findings"), [(True, ()), (False, ("redirection: redirection-missing",))])
def test_the_observatory(passed: bool, findings: tuple[str, ...]) -> None:
    tests = {"redirection": {"pass": passed, "result": "redirection-missing"}}
    output = json.dumps({"scan": {"grade": "A", "score": 105}, "tests": tests})
    assert judges.read_observatory(output) == judges.Verdict(findings, "A", 105)


def test_gixy() -> None:
    assert judges.gixy(GOOD) == judges.Verdict(())
    [finding] = judges.gixy(GOOD.replace("listen 80;", "location /i { alias /srv/i/; }")).findings
    assert finding.startswith("HIGH alias_traversal: ")
    assert finding.endswith("(/etc/nginx/conf.d/site.conf)")


@pytest.mark.parametrize("unreadable", ["", "nginx: command not found", GOOD.replace("listen 80;", "listen {{")])
def test_gixy_that_could_not_read_is_not_content(unreadable: str) -> None:
    with pytest.raises(ValueError, match="could not read"):
        judges.gixy(unreadable)


@pytest.mark.parametrize(
    ("verdict", "content"),
    [
        (judges.Verdict(()), True),
        (judges.Verdict((), "A+", 125), True),
        (judges.Verdict((), "A", 105), False),
        (judges.Verdict((), ""), False),
        (judges.Verdict(("LOW anything",), "A+", 96), False),
    ],
)
def test_only_the_best_is_good_enough(verdict: judges.Verdict, content: bool) -> None:
    assert verdict.content is content
