"""What leads from a unit as it is to the unit as it shall be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.airworthy.stack.plugins.modules.systemd_units import (
    Unit,
    Wish,
    newest_change,
    parse_show,
    plan,
)

NOON = 43_200.0
QUIET = {"reload_on": 0.0, "restart_on": 0.0, "definition": 0.0}


def unit(**changes: object) -> Unit:
    as_it_is = {
        "name": "nginx.service",
        "exists": True,
        "running": True,
        "enabled": True,
        "stale_definition": False,
        "loaded_at": NOON,
        "started_at": NOON,
    }
    return Unit(**(as_it_is | changes))  # type: ignore[arg-type]


STOPPED = {"running": False, "loaded_at": 0.0, "started_at": 0.0}


@pytest.mark.parametrize(
    ("story", "wish", "seen", "changed", "verbs"),
    [
        ("nothing to do", {"enabled": True, "state": "started"}, {}, {}, []),
        ("not running yet", {"state": "started"}, STOPPED, {}, ["start"]),
        ("not enabled yet", {"enabled": True}, {"enabled": False}, {}, ["enable"]),
        ("enabled against the wish", {"enabled": False}, {}, {}, ["disable"]),
        ("runs against the wish", {"state": "stopped"}, {}, {}, ["stop"]),
        ("stopped as wished, whatever changed", {"state": "stopped"}, STOPPED, {"reload_on": NOON + 1}, []),
        ("a file changed after the start", {}, {}, {"reload_on": NOON + 1}, ["reload"]),
        ("a file changed before the start", {}, {}, {"reload_on": NOON - 1}, []),
        ("a file changed, then it was reloaded", {}, {"loaded_at": NOON + 2}, {"reload_on": NOON + 1}, []),
        ("a reload does not make up for a restart", {}, {"loaded_at": NOON + 2}, {"restart_on": NOON + 1}, ["restart"]),
        ("the unit's own file changed", {}, {}, {"definition": NOON + 1}, ["restart"]),
        ("a restart reads everything", {}, {}, {"definition": NOON + 1, "reload_on": NOON + 1}, ["restart"]),
        ("files of a stopped unit that nobody wants to run", {}, STOPPED, {"reload_on": NOON}, []),
        ("first start", {"enabled": True, "state": "started"}, {"enabled": False, **STOPPED}, {}, ["enable", "start"]),
    ],
)
def test_plan(story: str, wish: dict, seen: dict, changed: dict, verbs: list[str]) -> None:
    assert plan(Wish("nginx.service", **wish), unit(**seen), QUIET | changed) == verbs, story


def test_the_time_of_the_start_is_counted_from_the_boot() -> None:
    text = "Id=a.service\nActiveEnterTimestampMonotonic=5000000\n\nId=b.service\nActiveEnterTimestampMonotonic=0\n"
    running, never_ran = parse_show(text, now=1000.0, monotonic=15.0)
    assert float(running["started_at"]) == 990.0
    assert float(never_ran["started_at"]) == 0.0


def test_the_newest_change_is_found_below_a_directory(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    before = newest_change([str(tmp_path)])
    (tmp_path / "conf.d" / "site.conf").write_text("server {}")
    assert newest_change([str(tmp_path)]) >= before
    assert newest_change([str(tmp_path)]) == os.stat(tmp_path / "conf.d" / "site.conf").st_ctime


def test_a_removed_file_is_a_change(tmp_path: Path) -> None:
    file = tmp_path / "old.conf"
    file.touch()
    before = newest_change([str(tmp_path)])
    file.unlink()
    assert newest_change([str(tmp_path)]) > before


def test_an_old_modification_time_hides_no_change(tmp_path: Path) -> None:
    file = tmp_path / "site.conf"
    file.touch()
    os.utime(file, (0, 0))
    assert newest_change([str(file)]) > NOON


def test_what_does_not_exist_never_changed() -> None:
    assert newest_change(["/nonexistent"]) == 0.0
