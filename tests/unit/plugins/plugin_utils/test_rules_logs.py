"""Rules about logs."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.plugin_utils import rules_logs

SYSLOG = {"name": "a", "type": "syslog", "address": "siem.example.org"}
SEARCH = {"name": "a", "type": "elasticsearch", "url": "https://example.org:9200", "index": "logs"}
HOOK = {"name": "a", "type": "http", "url": "https://example.org/hunter2"}


def errors(*targets: Any) -> list[str]:
    return list(rules_logs.targets_are_complete({"log_collector_forward_to": list(targets)}))


@pytest.mark.parametrize(
    "target",
    [
        SYSLOG,
        SYSLOG | {"port": 6514, "ca_file": "/ca.crt", "hosts": ["web*"], "programs": ["app"], "level": "err"},
        SYSLOG | {"address": "2001:db8::1", "url": None},
        SEARCH | {"user": "a", "password": "b"},
        HOOK | {"token": "hunter2"},
        HOOK | {"type": "loki", "tenant": "team"},
        "no mapping",
        {"name": "a", "type": "said by the argument specification"},
    ],
)
def test_a_target_that_is_complete_is_taken(target: Any) -> None:
    assert errors(target) == []


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (SYSLOG | {"address": ""}, "is of type syslog and lacks address"),
        (SYSLOG | {"address": "tcp://siem"}, ".address is 'tcp://siem'; write one address or name"),
        (SYSLOG | {"port": 70000}, ".port is 70000; write a number from 1 to 65535"),
        (SYSLOG | {"token": "hunter2"}, "is of type syslog, which has no token; remove it"),
        (SEARCH | {"index": None}, "is of type elasticsearch and lacks index"),
        (SEARCH | {"index": "Logs"}, ".index is 'Logs'; write lower-case letters"),
        (SEARCH | {"user": "a"}, "has only one of user and password"),
        (HOOK | {"url": "http://example.org/hunter2"}, ".url is no whole address with https"),
        (HOOK | {"url": "hunter2"}, ".url is no whole address with https"),
        (HOOK | {"token": "hunter2\nX-Other: 1"}, ".token has characters that no header can have"),
        (HOOK | {"name": "a/b"}, ".name is 'a/b'; write up to 32 letters, digits, - and _"),
        (HOOK | {"name": None}, ".name is ''; write"),
    ],
)
def test_one_that_would_never_get_anything_is_refused(target: dict[str, Any], expected: str) -> None:
    [error] = errors(target)
    assert error.startswith("log_collector_forward_to[0]")
    assert expected in error
    assert "hunter2" not in error


def test_each_has_a_name_of_its_own() -> None:
    assert errors(SYSLOG, SEARCH, HOOK | {"name": "b"}) == [
        "log_collector_forward_to[1].name is 'a', as of another one; write another name"
    ]
