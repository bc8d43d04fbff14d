"""Files of a store of logs, and the program that keeps them, which may be killed at any step."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from role_programs import ROLES, program_directory

PROGRAM = "log_collector/templates/usr/local/lib/airworthy/log_store"
with program_directory(PROGRAM):
    import keeping
    import reading
    import store
    import zstd_command

COMMAND = [sys.executable, "-I", str(ROLES / PROGRAM)]
NOW = datetime(2026, 11, 27, 19, 0, tzinfo=UTC)
TODAY, YESTERDAY = date(2026, 11, 27), date(2026, 11, 26)
LONG_AGO = NOW.timestamp() - 7200


def record(number: int, day: date = YESTERDAY, **changed: Any) -> dict[str, Any]:
    """One a minute, as the collector writes it."""
    moment = f"{day}T{number // 60 % 24:02}:{number % 60:02}:00.000000Z"
    return {
        "time": moment, "program": "app", "id": f"{day}-{number}", "level": "info", "message": f"said {number}",
        **{name: value for name, value in changed.items() if name != "host"}, "host": changed.get("host", "web1"),
        "received": moment,
    }  # fmt: skip


def line(found: dict[str, Any]) -> bytes:
    return json.dumps(found, separators=(",", ":")).encode() + b"\n"


def lines(numbers: Sequence[int], day: date = YESTERDAY, **changed: Any) -> bytes:
    return b"".join(line(record(number, day, **changed)) for number in numbers)


def put(root: Path, text: bytes, day: date = YESTERDAY, host: str = "web1", program: str = "app") -> store.Log:
    """The plain file of a log, last written to two hours ago."""
    log = store.Log(day, host, program, root / host / program)
    log.directory.mkdir(parents=True, exist_ok=True)
    log.plain.write_bytes(text)
    log.plain.chmod(0o640)
    os.utime(log.plain, (LONG_AGO, LONG_AGO))
    return log


def numbers(log: store.Log, identity: bytes | None = None) -> list[int]:
    """Those of all records that a reader finds, in the order of the files."""
    found = reading.records(log, reading.Counts(), identity=identity)
    return [int(each.record["id"].rpartition("-")[2]) for each in found]


def names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def unpacked(path: Path) -> bytes:
    return subprocess.run([zstd_command.ZSTD, "-dcq", path], check=True, capture_output=True).stdout


def kept(root: Path, days: int = 90, max_mb: int = 100, figures: Path | None = None, **options: Any) -> int:
    return keeping.keep(root, days, max_mb, figures, NOW.timestamp(), **options)


def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=60, **options)


class Killed(BaseException):
    """No program can do anything about it."""


class Killer:
    """Lets the program die before or after its n-th step on the disk; a dead one takes no further step."""

    STEPS = ("open", "fsync", "utime", "fchmod", "rename", "unlink")

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, is_before: bool) -> None:
        self._at, self._is_before, self.count, self._is_dead = at, is_before, 0, False
        for name in self.STEPS:
            monkeypatch.setattr(os, name, self._fatal(getattr(os, name)))

    def _fatal(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def taken(*arguments: Any, **options: Any) -> Any:
            self.count += not self._is_dead
            is_last = self.count == self._at
            if self._is_dead or (is_last and self._is_before):
                self._is_dead = True
                raise Killed
            try:
                return step(*arguments, **options)
            finally:
                if is_last:
                    self._is_dead = True
                    raise Killed

        return taken
