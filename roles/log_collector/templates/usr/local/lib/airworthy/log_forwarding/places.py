# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How far a target has acknowledged each log, on disk: a file for each day, written as a whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from store import Log

BEGUN = "begun"


@dataclass(frozen=True)
class Place:
    offset: int = 0  # in the plain file, behind the last line that is done with
    check: str = ""  # of the bytes before that
    last: str = ""  # id of the last record; the place in a compressed file, in which offsets are others
    plain: int = 0  # when the plain file was last written to, if all of it is done with
    packed: int = 0  # the same of the compressed one


class Places:
    def __init__(self, directory: Path, root: Path) -> None:
        self._directory = directory
        self._kept: dict[date, dict[Log, Place]] = {}
        self._changed: set[date] = set()
        for path in directory.glob("*.json"):
            if path.stem != BEGUN:
                told, day = json.loads(path.read_text(encoding="utf-8")), date.fromisoformat(path.stem)
                logs = {name: Log(day, *name.split("/"), root / name) for name in told}
                self._kept[day] = {logs[name]: Place(**place) for name, place in told.items()}

    @property
    def begun(self) -> Any:
        """What has begun; None of a target that is new."""
        path = self._directory / f"{BEGUN}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def begin(self, what: Any) -> None:
        self.save()
        self._write(BEGUN, what)

    def logs(self) -> list[Log]:
        return [log for several in self._kept.values() for log in several]

    def get(self, log: Log) -> Place | None:
        return self._kept.get(log.day, {}).get(log)

    def put(self, places: Mapping[Log, Place]) -> None:
        """They reach the disk with `save`."""
        for log, place in places.items():
            self._kept.setdefault(log.day, {})[log] = place
            self._changed.add(log.day)

    def forget(self, log: Log) -> Place | None:
        self._changed.add(log.day)
        return self._kept.get(log.day, {}).pop(log, None)

    def save(self) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for day in sorted(self._changed):
            if several := self._kept.get(day):
                self._write(str(day), {f"{log.host}/{log.program}": asdict(place) for log, place in several.items()})
            else:
                (self._directory / f"{day}.json").unlink(missing_ok=True)
            self._changed.discard(day)

    def _write(self, name: str, what: Any) -> None:
        staged = self._directory / f"{name}.new"
        with staged.open("w", encoding="utf-8") as file:
            json.dump(what, file)
            file.flush()
            os.fsync(file.fileno())
        staged.rename(staged.with_suffix(".json"))
