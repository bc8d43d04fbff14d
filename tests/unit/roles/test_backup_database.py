"""What the program that backs up makes of pgBackRest's output, and the figures that it gives to Prometheus."""

from __future__ import annotations

from typing import Any

from role_programs import load_program

program = load_program("backup/templates/repository/usr/local/lib/airworthy/backup_database.py")

FINE = """2026-11-25 P00   INFO: stanza: app
                         status: ok
stanza: app
status: ok
  archiveId: 17-1, total WAL checked: 3, total valid WAL: 3
"""
DAMAGED = """2026-11-25 P01   INFO: invalid checksum '17-1/0000000100000000/000000010000000000000001-b4c9.zst'
2026-11-25 P01   INFO: invalid checksum '20261125-162838F/bundle/1'
stanza: app
status: error
  archiveId: 17-1, total WAL checked: 3, total valid WAL: 2
"""


def test_a_repository_that_is_sound_has_no_damage() -> None:
    assert program.damage(FINE) is None


def test_damage_is_named_by_file() -> None:
    assert program.damage(DAMAGED) == (
        "invalid checksum '17-1/0000000100000000/000000010000000000000001-b4c9.zst'; "
        "invalid checksum '20261125-162838F/bundle/1'"
    )


def test_silence_is_no_proof() -> None:
    assert program.damage("") == "verify ended without saying that all is well"


def test_the_reason_of_a_failure_is_in_one_line() -> None:
    output = "2026 P00  ERROR: [056]: unable to find primary\n   HINT: are they up?\n"
    assert program.reason(output, 56) == "[056]: unable to find primary HINT: are they up?"
    assert program.reason("", 137) == "pgbackrest ended with 137"


def test_each_cluster_goes_to_each_repository() -> None:
    places = list(program.places({"stanzas": ["app", "reports"], "repositories": [1, 2]}))
    assert [str(place) for place in places] == [
        "app in repository 1",
        "app in repository 2",
        "reports in repository 1",
        "reports in repository 2",
    ]
    assert places[1].command("backup") == ["pgbackrest", "--stanza=app", "--repo=2", "backup"]


def known(*backups: dict[str, Any], code: int = 0) -> dict[str, Any]:
    return {"stanza": "app", "repository": 1, "backup": list(backups), "repo": [{"status": {"code": code}}]}


BACKUP = {"timestamp": {"start": 100, "stop": 160}, "info": {"size": 5000, "repository": {"delta": 700}}}


def test_the_newest_backup_is_measured() -> None:
    text = program.metrics([known(BACKUP, {**BACKUP, "timestamp": {"start": 200, "stop": 207}})], {}, 42)
    assert 'airworthy_backup_last_timestamp_seconds{stanza="app",repository="1"} 207\n' in text
    assert 'airworthy_backup_last_duration_seconds{stanza="app",repository="1"} 7\n' in text
    assert 'airworthy_backup_repository_ok{stanza="app",repository="1"} 1\n' in text
    assert "airworthy_backup_free_bytes 42\n" in text


def test_a_backup_with_errors_does_not_count() -> None:
    text = program.metrics([known({**BACKUP, "error": True})], {}, 42)
    assert 'airworthy_backup_repository_ok{stanza="app",repository="1"} 0\n' in text
    assert "last_timestamp" not in text


def test_a_failed_job_shows() -> None:
    records = {"full": {"started": 10, "finished": 30, "failures": {"app in repository 1": "away"}}}
    text = program.metrics([], records, 42)
    assert 'airworthy_backup_job_success{job="full"} 0\n' in text
    assert 'airworthy_backup_job_duration_seconds{job="full"} 20\n' in text


def test_each_name_is_described_once() -> None:
    records = {job: {"started": 1, "finished": 2, "failures": {}} for job in ("full", "diff")}
    text = program.metrics([known(BACKUP), {**known(BACKUP), "repository": 2}], records, 1)
    described = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert sorted(described) == sorted(program.HELP)
