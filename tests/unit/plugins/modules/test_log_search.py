"""Logs are searched from where they were, whatever their names are by now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.modules import log_search

JOURNAL = b"""\
__CURSOR=s=1;i=8
_SYSTEMD_UNIT=app@3000.service
MESSAGE=signed in as jane@example.invalid

__CURSOR=s=1;i=9
_TRANSPORT=kernel
MESSAGE=nothing of interest
"""


class Journal:
    def __init__(self) -> None:
        self.commands: list[list[str]] = []

    def __call__(self, command: list[str], **options: Any) -> tuple[int, Any, Any]:
        self.commands.append(command)
        if "--show-cursor" in command:
            return 0, "-- No entries --\n-- cursor: s=1;i=7\n", ""
        return 0, JOURNAL if options.get("encoding", "utf-8") is None else "", b""


def added(directory: Path, since: dict[str, Any]) -> dict[str, bytes]:
    return {Path(path).name: text for path, text in log_search.added_to_files(str(directory), since["files"])}


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    (tmp_path / "nginx").mkdir()
    (tmp_path / "nginx/access.log").write_text("old\n")
    (tmp_path / "quiet.log").write_text("old\n")
    return tmp_path


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_only_what_was_added_is_searched(logs: Path) -> None:
    since = log_search.positions(str(logs), Journal())
    assert since["cursor"] == "s=1;i=7"
    append(logs / "nginx/access.log", "new\n")
    (logs / "nginx/error.log").write_text("first\n")
    assert added(logs, since) == {"access.log": b"new\n", "error.log": b"first\n"}


def test_a_log_that_was_rotated_meanwhile_is_searched_under_both_names(logs: Path) -> None:
    since = log_search.positions(str(logs), Journal())
    append(logs / "nginx/access.log", "before\n")
    (logs / "nginx/access.log").rename(logs / "nginx/access.log.1")
    (logs / "nginx/access.log").write_text("after\n")
    assert added(logs, since) == {"access.log.1": b"before\n", "access.log": b"after\n"}


def test_a_log_that_was_cut_off_is_searched_from_its_beginning(logs: Path) -> None:
    since = log_search.positions(str(logs), Journal())
    (logs / "quiet.log").write_text("new")
    assert added(logs, since) == {"quiet.log": b"new"}


def test_the_journal_is_searched_unit_by_unit_when_all_has_arrived() -> None:
    journal = Journal()
    texts = {"e-mail address": "jane@example.invalid", "token": "4711"}
    searched, found = log_search.search(texts, log_search.added_to_journal("s=1;i=7", journal))
    assert searched == ["journal of app@3000.service", "journal of the kernel and systemd"]
    assert found == {"e-mail address": ["journal of app@3000.service"], "token": []}
    assert [command[1] for command in journal.commands] == ["--sync", "--quiet"]
    assert "--after-cursor=s=1;i=7" in journal.commands[1]


def test_what_has_to_be_logged_is_waited_for_and_missed(logs: Path) -> None:
    path = logs / "nginx/access.log"
    since = log_search.positions(str(logs), Journal())["files"]
    append(path, '"request_id":"a1"\n')
    append(logs / "quiet.log", '"request_id":"b2"\n')
    assert log_search.wait_for(["a1"], str(path), str(logs), since, patience=30) == []
    assert log_search.wait_for(["a1", "b2"], str(path), str(logs), since, patience=0) == ["b2"]
