# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Brings one target what is logged, and keeps how far it has acknowledged it."""

from __future__ import annotations

import random
import ssl
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from entries import Entry
from following import Batch, Follower, say
from forward_figures import Figures
from places import Places
from sinks import Misconfigured, Outcome, Rejected, Sink

PAUSE = 0.5  # seconds between two looks at the store
SAVE = 15.0  # seconds after which also places are saved at which nothing was sent
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds until the next attempt
NAMED = 5  # refused records of a batch that are named; what is said here is logged and forwarded, too


class Forwarder:
    def __init__(self, name: str, follower: Follower, sink: Sink, places: Places, stopped: threading.Event) -> None:
        self._name, self._follower, self._sink, self._places, self._stopped = name, follower, sink, places, stopped
        self.figures = Figures()
        self._wait = FIRST_WAIT
        self._saved = time.monotonic()

    def run(self, begun: object) -> None:
        """`begun` says what is wanted; a change of it begins with what is logged from then on."""
        try:
            self._run(begun)
        finally:
            self._sink.close()

    def _run(self, begun: object) -> None:
        is_begun = False
        while not self._stopped.is_set():
            try:
                if not is_begun:
                    self._follower.begin(begun)
                    is_begun = True
                batch = self._follower.read()
            except OSError as error:
                self._fail(f"<3>the store or the places cannot be read: {error}")
                continue
            self.figures.lost = self._follower.lost
            if batch.entries and not self._has_brought(batch.entries):
                return
            self._keep(batch)
            if not batch.is_full:
                self.figures.waits_since = 0
                self._stopped.wait(PAUSE)

    def _has_brought(self, entries: Sequence[Entry]) -> bool:
        """In their order. A part that is rejected is halved until the record is found that is to blame."""
        self.figures.waits_since = min(entry.received for entry in entries)
        parts, refused = deque([list(entries)]), list[tuple[Entry, str]]()
        while parts and not self._stopped.is_set():
            part = parts.popleft()
            try:
                outcome = self._sink.deliver(part)
            except Rejected as error:
                if len(part) > 1:
                    parts.extendleft([part[len(part) // 2 :], part[: len(part) // 2]])
                    continue
                outcome = Outcome(refused=[(part[0], str(error))])
            except OSError as error:
                parts.appendleft(part)
                level = 3 if isinstance(error, Misconfigured | ssl.SSLCertVerificationError) else 4
                self._fail(f"<{level}>{self._name} takes nothing: {error}")
                self._look()
                continue
            refused += outcome.refused
            self._count(len(part) - len(outcome.again) - len(outcome.refused))
            if outcome.again:
                parts.appendleft(outcome.again)
                self._fail(f"<4>{self._name} is too busy for {len(outcome.again)} of {len(part)} records")
            else:
                self._wait = FIRST_WAIT
        self._refuse(refused)
        return not parts

    def _look(self) -> None:
        """What the keeper removes while the target is away counts."""
        with suppress(OSError):  # which the next batch tells
            self._follower.look()
        self.figures.lost = self._follower.lost

    def _count(self, taken: int) -> None:
        self.figures.records += taken
        if taken:
            self.figures.delivered = time.time()

    def _refuse(self, refused: Sequence[tuple[Entry, str]]) -> None:
        if refused:
            self.figures.refused += len(refused)
            some = "; ".join(f"{entry.identity} ({why})" for entry, why in refused[:NAMED])
            more = f" and {len(refused) - NAMED} more" if len(refused) > NAMED else ""
            say(f"<3>{self._name} refused for good: {some}{more}")

    def _keep(self, batch: Batch) -> None:
        """On a full disk nothing more is sent, since it would be sent again and again."""
        self._follower.done_with(batch)
        while batch.entries or time.monotonic() - self._saved >= SAVE:
            try:
                self._places.save()
            except OSError as error:
                self._fail(f"<3>{self._name}: what it has taken cannot be kept: {error}")
                if not self._stopped.is_set():
                    continue
            self._saved = time.monotonic()
            return

    def _fail(self, said: str) -> None:
        """And wait, for longer each time."""
        say(said)
        self.figures.failures += 1
        if not self._stopped.wait(self._wait * random.uniform(0.5, 1.5)):  # noqa: S311 - no secret
            self._wait = min(2 * self._wait, LONGEST_WAIT)
