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


@pytest.mark.parametrize(
    ("key", "is_sound"),
    [
        ("age1" + "q" * 58, True),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHx you@laptop", True),
        ("ssh-rsa AAAAB3NzaC1yc2EAAAADAQ==", True),
        ("AGE-SECRET-KEY-1QQQ", False),
        ("age1tooshort", False),
        ("ecdsa-sha2-nistp256 AAAA", False),
        ("ssh-ed25519 AAAA\nage1" + "q" * 58, False),
        ("/home/you/.ssh/id_ed25519.pub", False),
        (None, False),
    ],
)
def test_logs_are_encrypted_for_public_keys_alone_and_no_other_is_shown(key: str | None, is_sound: bool) -> None:
    found = list(rules_logs.old_logs_can_be_encrypted({"log_collector_encrypt_to": [key]}))
    assert [error.partition(";")[0] for error in found] == (
        [] if is_sound else ["log_collector_encrypt_to[0] is no public key"]
    )


def test_a_log_that_is_removed_first_is_never_encrypted() -> None:
    days = {"log_collector_readable_days": 7, "log_collector_retention_days": 7}
    (error,) = rules_logs.old_logs_can_be_encrypted({"log_collector_encrypt_to": ["age1" + "q" * 58], **days})
    assert error.startswith("log_collector_readable_days is 7, and after 7 days")
    assert not list(rules_logs.old_logs_can_be_encrypted({"log_collector_encrypt_to": [], **days}))


def test_each_has_a_name_of_its_own() -> None:
    assert errors(SYSLOG, SEARCH, HOOK | {"name": "b"}) == [
        "log_collector_forward_to[1].name is 'a', as of another one; write another name"
    ]
