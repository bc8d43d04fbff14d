# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Follows the files of the store, and says how far a target is once it has what was read.

The collector appends to a plain file. When its day is over the keeper makes a compressed one of it, without duplicates,
so that offsets do not hold any more: what was not sent by then is read from the compressed file, from behind the record
that was sent last, or from the beginning where that is not found. A plain file that appears beside it later holds late
lines, and is read from its beginning.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace

import wanted
import zstd_command
from entries import Entry
from listing import Files, Listing, State, is_gone
from pieces import Packed, Piece, check, end_of, identity, pieces
from places import Place, Places
from store import Log

MOST = 500  # records of a batch
LARGEST = 1 << 20  # bytes, but for the last record
MOST_READ = 1 << 24  # bytes that are looked at for that; a target may want few of them


@dataclass
class Batch:
    entries: list[Entry] = field(default_factory=list)
    places: dict[Log, Place] = field(default_factory=dict)
    size: int = 0
    read: int = 0

    @property
    def is_full(self) -> bool:
        return len(self.entries) >= MOST or self.size >= LARGEST or self.read >= MOST_READ


class Follower:
    def __init__(self, listing: Listing, places: Places, level: str = "") -> None:
        self._listing, self._places, self._level = listing, places, level
        self._unsent: dict[Log, Files] = {}
        self._ended: dict[Log, Files] = {}  # read to their end, but perhaps written to in the same instant
        self._packed: Packed | None = None
        self._turn: Log | None = None
        self._problems: dict[Log, str] = {}
        self._removed: set[Log] = set()  # since the last batch was read
        self._is_first = True
        self.lost = 0  # logs that were removed before all of them was sent

    def begin(self, what: object) -> None:
        """A target that is new, or that wants others than before, gets what is logged from now on."""
        if self._places.begun != what:
            for log, files in self._listing.look().logs.items():
                if self._places.get(log) is None:
                    self._places.put({log: end_of(log, files)})
            self._places.begin(what)
            self._listing.forget()

    def look(self) -> None:
        """Also while a target is away. OSError if the store cannot be read."""
        look = self._listing.look()
        for log in [log for log in self._places.logs() if is_gone(log)] if self._is_first else look.gone:
            self._remove(log)
        self._is_first = False
        for log, files in look.logs.items():
            self._judge(log, files, self._places.get(log) or Place())

    def read(self) -> Batch:
        """What comes next, of each log in its order. The next batch is read when this one is done with."""
        self._removed.clear()
        self.look()
        if self._packed and self._packed.log not in self._unsent:
            self._leave_packed()
        batch = Batch()
        for log in self._in_turn():
            self._turn = log
            try:
                self._read(log, self._unsent[log], batch)
                self._problems.pop(log, None)
            except FileNotFoundError:
                continue  # it has just been compressed or removed, which the next look tells
            except OSError as error:
                self._tell(log, str(error))
            if batch.is_full:
                break
        return batch

    def done_with(self, batch: Batch) -> None:
        self._places.put({log: place for log, place in batch.places.items() if log not in self._removed})

    def _judge(self, log: Log, files: Files, place: Place) -> None:
        """Whether there is something to send. A plain file that is sent keeps its time when it is compressed."""
        has_ended = self._ended.get(log) == files
        if has_ended and files.plain and files.plain.is_settled and place.offset == files.plain.size:
            place = replace(place, plain=files.plain.modified)
            self._places.put({log: place})
        if is_sent(place, files):
            self._ended.pop(log, None)
        if has_ended or is_sent(place, files):
            self._unsent.pop(log, None)
        else:
            self._unsent[log] = files

    def _remove(self, log: Log) -> None:
        self._removed.add(log)
        is_unsent = log in self._unsent
        self._unsent.pop(log, None)
        place = self._places.forget(log)
        self._ended.pop(log, None)
        if is_unsent or (self._is_first and place and not (place.plain or place.packed)):
            self.lost += 1
            say(f"<3>{named(log)} was removed or encrypted before all of it was sent")

    def _in_turn(self) -> list[Log]:
        """Programs in turn, the days of each in order. Of compressed files, only one is read at a time."""
        reading = self._packed.log if self._packed else None
        logs = [log for log in self._unsent if reading in (None, log) or not self._is_packed_unsent(log)]
        last = self._turn.directory if self._turn else None
        return sorted(logs, key=lambda log: (last is not None and log.directory <= last, log.directory, log.day))

    def _is_packed_unsent(self, log: Log) -> bool:
        return not is_sent(self._places.get(log) or Place(), self._unsent[log]._replace(plain=None))

    def _read(self, log: Log, files: Files, batch: Batch) -> None:
        place = self._places.get(log) or Place()
        if files.packed and not is_sent(place, files._replace(plain=None)):
            place = self._read_packed(log, files.packed, place, batch)
            if place.packed != files.packed.modified:
                return
        elif files.packed:
            place = replace(place, packed=files.packed.modified)  # it was sent when it was plain
        batch.places[log] = place
        if files.plain is None or self._has_read_plain(log, files.plain, place, batch):
            self._ended[log] = files
            del self._unsent[log]

    def _read_packed(self, log: Log, state: State, place: Place, batch: Batch) -> Place:
        """Behind what was read; that is all of it where `packed` says so."""
        if self._packed and (self._packed.log, self._packed.state) != (log, state):
            self._leave_packed()
        self._packed = self._packed or Packed(log, state, place.last)
        for piece in self._packed.pieces:
            place = replace(place, last=self._taken(log, piece, batch) or place.last)
            batch.places[log] = place
            if batch.is_full:
                return place
        try:
            self._packed.end()
        except zstd_command.Failed as error:
            self.lost += 1
            self._tell(log, str(error))  # what came before that is good, and sent
        self._packed = None
        return replace(place, packed=state.modified)

    def _has_read_plain(self, log: Log, state: State, place: Place, batch: Batch) -> bool:
        with open(log.plain, "rb") as file:
            if check(file, place.offset) != place.check:
                place = replace(place, offset=0)
            file.seek(place.offset)
            for piece in pieces(file):
                last = self._taken(log, piece, batch) or place.last
                place = replace(place, offset=place.offset + piece.size, last=last, plain=0)
                if batch.is_full:
                    break
            batch.places[log] = replace(place, check=check(file, place.offset))
        return place.offset >= state.size or not batch.is_full

    def _taken(self, log: Log, piece: Piece, batch: Batch) -> str:
        """The id of the last record in it."""
        batch.read += piece.size
        for found in piece.records:
            if not self._level or wanted.is_as_bad_as(found.record, self._level):
                batch.entries.append(Entry(log, found.record, found.text))
                batch.size += len(found.text)
        return identity(piece.records[-1]) if piece.records else ""

    def _leave_packed(self) -> None:
        if self._packed:
            self._packed.leave()
            self._packed = None

    def _tell(self, log: Log, problem: str) -> None:
        if self._problems.get(log) != problem:
            self._problems[log] = problem
            say(f"<3>{named(log)} cannot be read: {problem}")


def is_sent(place: Place, files: Files) -> bool:
    packed, plain = files
    is_packed_sent = packed is None or packed.modified in (place.packed, place.plain)
    is_plain_sent = plain is None or (place.plain, place.offset) == (plain.modified, plain.size)
    return is_packed_sent and is_plain_sent


def named(log: Log) -> str:
    return f"{log.host}/{log.program} of {log.day}"


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)
