"""Days that the collector itself cannot read any more, and who can."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from log_files import LONG_AGO, PROGRAM, TODAY, Killed, Killer, kept, lines, names, numbers, put, run
from role_programs import program_directory

with program_directory(PROGRAM):
    import age_command
    import reading
    import store
    from encrypting import Encryption

pytestmark = pytest.mark.skipif(not shutil.which(age_command.AGE), reason="the command age is not installed")

OLD = TODAY - timedelta(days=8)
MARKER = b"said 2"


class Keys(NamedTuple):
    recipient: str
    identity: bytes


@pytest.fixture(scope="module", params=["age", "ssh"])
def keys(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """What people have: a key of age, or the one that they use for SSH."""
    path = tmp_path_factory.mktemp("keys") / "key"
    if request.param == "age":
        subprocess.run(["age-keygen", "-o", path], check=True, capture_output=True)
        recipient = subprocess.run(["age-keygen", "-y", path], check=True, capture_output=True, text=True).stdout
    else:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
        recipient = path.with_suffix(".pub").read_text()
    return Keys(recipient.strip(), path.read_bytes())


@pytest.fixture
def encryption(keys: Keys, tmp_path: Path) -> Encryption:
    recipients = tmp_path / "recipients"
    recipients.write_text(f"# the administrator\n{keys.recipient}\n")
    return Encryption(recipients, 7)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "airworthy"
    directory.mkdir()
    return directory


def test_days_that_are_old_enough_are_for_whoever_has_the_identity(
    root: Path, keys: Keys, encryption: Encryption
) -> None:
    old, young = put(root, lines([1, 2, 2], OLD), OLD), OLD + timedelta(days=1)
    put(root, lines([3], young), young)
    assert kept(root, encryption=encryption) == 0
    assert names(root) == [f"web1/app/{OLD}.jsonl.zst.age", f"web1/app/{young}.jsonl.zst"]
    assert MARKER not in b"".join(path.read_bytes() for path in root.rglob("*.age"))
    status = old.encrypted[0].stat()
    assert (status.st_mode & 0o777, status.st_mtime) == (0o640, LONG_AGO)
    assert numbers(old, keys.identity) == [1, 2]
    with pytest.raises(age_command.NoIdentity):
        numbers(old)
    before = old.encrypted[0].read_bytes()
    assert kept(root, encryption=encryption) == 0
    assert old.encrypted[0].read_bytes() == before


def test_what_comes_later_is_encrypted_beside_and_read_once(root: Path, keys: Keys, encryption: Encryption) -> None:
    log = put(root, lines([1, 2], OLD), OLD)
    for part, late in enumerate(([2, 3], [4]), start=1):
        assert kept(root, encryption=encryption) == 0
        put(root, lines(late, OLD), OLD)
        os.utime(log.plain, (LONG_AGO + 60 * part,) * 2)
    assert numbers(log, keys.identity) == [1, 2, 3, 4]
    assert kept(root, encryption=encryption) == 0
    assert names(root) == [f"web1/app/{OLD}{part}.jsonl.zst.age" for part in (".2", ".3", "")]
    assert numbers(log, keys.identity) == [1, 2, 3, 4]
    assert kept(root, days=7) == 0
    assert names(root) == []


@pytest.mark.parametrize("is_before", [True, False], ids=["before", "after"])
def test_whenever_it_is_killed_nothing_is_lost_and_the_next_run_puts_it_right(
    root: Path, keys: Keys, encryption: Encryption, monkeypatch: pytest.MonkeyPatch, is_before: bool
) -> None:
    """Lines that come late meanwhile are there, too, and none is there twice. Fewer ids than lines are remembered."""
    monkeypatch.setattr(reading.records, "__defaults__", (None, 10))
    deaths = 0
    for at in range(1, 100):
        shutil.rmtree(root)
        root.mkdir()
        log = put(root, lines(range(100), OLD), OLD)
        kept(root)
        with monkeypatch.context() as patched:
            killer = Killer(patched, at, is_before)
            try:
                kept(root, encryption=encryption)
                break
            except Killed:
                deaths += 1
        assert killer.count == at
        assert numbers(log, keys.identity) == list(range(100)), at
        put(root, lines([100], OLD), OLD)
        os.utime(log.plain, (LONG_AGO + 60,) * 2)
        assert numbers(log, keys.identity) == list(range(101)), at
        assert kept(root, encryption=encryption) == 0
        assert numbers(log, keys.identity) == list(range(101)), at
        assert [name for name in names(root) if not name.endswith(".age")] == [], at
    assert deaths >= 6


@pytest.mark.parametrize(
    ("fails", "told"),
    [("no space left on device", "no space left on device"), ("", "malformed recipient")],
    ids=["full disk", "no recipient"],
)
def test_what_cannot_be_encrypted_stays_readable_and_is_told(
    root: Path, encryption: Encryption, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str, told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    log = put(root, lines([1, 2], OLD), OLD)
    if fails:
        full = tmp_path / "age"
        full.write_text(f'#!/bin/sh\nexec {shutil.which("age")} "$@" >/dev/full\n')
        full.chmod(0o755)
        monkeypatch.setattr(age_command, "AGE", str(full))
    else:
        encryption.recipients.write_text("age1notakey\n")
    assert kept(root, encryption=encryption) == 1
    assert f"<3>{log.packed} is not encrypted: " in (said := capsys.readouterr().err)
    assert told in said
    assert names(root) == [f"web1/app/{OLD}.jsonl.zst"]
    assert numbers(log) == [1, 2]


def search(root: Path, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return run("search", "--store", root, "--since", OLD, "--short", *arguments, **options)


def test_a_search_tells_once_what_it_cannot_read_and_finds_all_with_the_identity(
    root: Path, keys: Keys, encryption: Encryption
) -> None:
    for program in ("app", "other"):
        put(root, lines([1], OLD), OLD, program=program)
    put(root, lines([9], TODAY), TODAY)
    kept(root, encryption=encryption)

    without = search(root)
    assert without.returncode == 1
    assert without.stderr == f"{OLD} and perhaps other days are encrypted: --identity FILE reads them\n"
    assert "said 9" in without.stdout
    assert "said 1" not in without.stdout

    found = search(root, "--identity", "/dev/stdin", input=keys.identity.decode())
    assert (found.returncode, found.stderr) == (0, "")
    assert [text in found.stdout for text in ("said 1", "said 9")] == [True, True]
    errors = run("errors", "--store", root, "--since", OLD, "--identity", "/dev/stdin", input=keys.identity.decode())
    assert (errors.returncode, errors.stderr) == (0, "")


def test_a_wrong_identity_and_damage_are_told_apart(
    root: Path, keys: Keys, encryption: Encryption, tmp_path: Path
) -> None:
    log = put(root, lines(range(20_000), OLD), OLD)
    kept(root, encryption=encryption)
    other = tmp_path / "other"
    subprocess.run(["age-keygen", "-o", other], check=True, capture_output=True)
    answer = search(root, "--identity", other)
    assert answer.returncode == 1
    assert "no identity matched any of the recipients" in answer.stderr

    assert "No such file" in search(root, "--identity", tmp_path / "nowhere").stderr
    assert "cannot be decrypted" in search(root, "--identity", "/dev/stdin", input="no key").stderr

    (encrypted,) = log.encrypted
    whole = encrypted.read_bytes()
    assert len(whole) > 100_000
    encrypted.write_bytes(whole[:80_000] + bytes([whole[80_000] ^ 1]) + whole[80_001:])
    answer = search(root, "--identity", "/dev/stdin", input=keys.identity.decode())
    assert answer.returncode == 1
    assert f"{encrypted} cannot be decrypted: " in answer.stderr
    assert "said 1\n" in answer.stdout  # what comes before the damage is good


def test_whoever_has_read_enough_leaves(root: Path, keys: Keys, encryption: Encryption) -> None:
    log = put(root, lines(range(50_000), OLD), OLD)
    kept(root, encryption=encryption)
    found = reading.records(log, reading.Counts(), identity=keys.identity)
    assert next(found).record["message"] == "said 0"
    found.close()


def test_files_of_others_are_none_of_ours(root: Path) -> None:
    log = put(root, lines([1], OLD), OLD)
    for name in (f"{OLD}.0.jsonl.zst.age", f"{OLD}.x.jsonl.zst.age", f"{OLD}.jsonl.age"):
        (log.directory / name).write_text("mine")
    assert [file.path for file in store.files(root)] == [log.plain]
