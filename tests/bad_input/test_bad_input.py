"""Every mistake in inventory/hosts.yml is refused, with the words that help, before any server is contacted."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.constants import DEFAULT_VAULT_ID_MATCH
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.airworthy.stack.plugins.plugin_utils import pki

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


class Inventory(yaml.SafeLoader):
    """YAML with !vault, whose content does not matter here."""


Inventory.add_constructor("!vault", lambda loader, node: node.value)
GROUPS = yaml.load((HERE / "inventory" / "hosts.yml").read_text(), Inventory)["all"]["children"]  # noqa: S506
MISTAKES = {
    name: host
    for group in GROUPS.values()
    for name, host in group.get("hosts", {}).items()
    if host and "expect" in host
}
ACCEPTED = sorted(GROUPS["accepted"]["hosts"])


def bring(directory: Path, name: str, domain: str, begin_in_days: int, days: int = 90) -> None:
    """A certificate that begins on another day, with its key."""
    today = pki.now()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pki, "now", lambda: today + timedelta(days=begin_in_days))
        pair = pki.issue(pki.create_authority("a public CA"), pki.Subject((domain, "www.example.org")), days)
    (directory / f"{name}.crt").write_bytes(pki.certificate_pem(pair))
    write(directory / f"{name}.key", pki.key_pem(pair))


def write(path: Path, content: bytes, mode: int = 0o600) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def fill(directory: Path) -> None:
    bring(directory, "good", "app.example.org", begin_in_days=0)
    bring(directory, "expired", "app.example.org", begin_in_days=-100)
    bring(directory, "tomorrow", "app.example.org", begin_in_days=1)
    bring(directory, "other", "other.example.net", begin_in_days=0)
    write(directory / "garbage.crt", b"garbage")
    write(directory / "garbage.key", b"garbage")
    write(directory / "loose.key", (directory / "good.key").read_bytes(), 0o644)
    write(directory / "good_secrets" / "database_app", b"a-secret-of-the-users-own\n")
    write(directory / "empty_secret" / "database_app", b"")
    write(directory / "loose_secret" / "database_app", b"a-secret-for-everybody\n", 0o644)
    vault = VaultLib([(DEFAULT_VAULT_ID_MATCH, VaultSecret(b"lost"))])
    write(directory / "vault_secret" / "database_app", vault.encrypt(b"a secret"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("files")
    fill(directory)
    return directory


@pytest.fixture(scope="module")
def outcome(files: Path) -> Mapping[str, Mapping[str, Any]]:
    """What one run says of each host."""
    ssh = files / "ssh"
    write(ssh, f'#!/bin/sh\necho "$*" >> {files}/contacted\n'.encode(), 0o700)
    run = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "-i", HERE / "inventory", HERE / "preflight.yml"],
        cwd=ROOT,
        env=os.environ
        | {
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
            "ANSIBLE_FORKS": str(len(os.sched_getaffinity(0))),
            "ANSIBLE_SSH_EXECUTABLE": str(ssh),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(files),
            "FILES": str(files),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return json.loads(run.stdout)["plays"][0]["tasks"][0]["hosts"]
    except json.JSONDecodeError:
        pytest.fail(f"ansible-playbook ended with {run.returncode}:\n{run.stdout}\n{run.stderr}")


def test_there_are_enough_mistakes() -> None:
    assert len(MISTAKES) >= 60


def test_every_host_is_judged(outcome: Mapping[str, Any]) -> None:
    assert set(outcome) == {*MISTAKES, *ACCEPTED}


@pytest.mark.parametrize("host", ACCEPTED)
def test_sound_input_is_accepted(outcome: Mapping[str, Any], host: str) -> None:
    assert not outcome[host].get("failed"), outcome[host]["msg"]
    assert re.fullmatch(r"\d\d+ variables of \d+ roles are valid", outcome[host]["msg"])


@pytest.mark.parametrize("host", MISTAKES)
def test_a_mistake_is_refused_with_words_that_help(outcome: Mapping[str, Any], host: str) -> None:
    count = MISTAKES[host].get("mistakes", 1)
    message = outcome[host]["msg"]
    assert outcome[host].get("failed"), message
    assert f"The input for {host} has {count} mistake" in message
    assert re.search(MISTAKES[host]["expect"], message, re.MULTILINE), message
    assert len(re.findall(r"^- ", message, re.MULTILINE)) == count, message


def test_no_secret_is_shown(outcome: Mapping[str, Any], files: Path) -> None:
    key = (files / "good.key").read_text().splitlines()[1]
    for secret in ("hunter2", "mlsn.", "eyJ", "a-secret", key):
        assert secret not in json.dumps(outcome)


@pytest.mark.usefixtures("outcome")
def test_no_server_was_contacted_and_nothing_was_written(files: Path) -> None:
    contacted = (files / "contacted").read_text()
    assert "sound" in contacted  # by the second play: the test would see it
    assert not [host for host in {*MISTAKES, *ACCEPTED} - {"sound"} if re.search(rf"\b{host}\b", contacted)]
    assert not (files / "no_secrets_yet").exists()
    assert sorted(path.name for path in (files / "good_secrets").iterdir()) == ["database_app"]
