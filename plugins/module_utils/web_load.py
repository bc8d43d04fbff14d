# Copyright (c) the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Users of a web server: each has a connection of its own over TLS, kept alive."""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from ansible_collections.airworthy.stack.plugins.module_utils.web_client import Target, describe

# Seconds that a user waits who got no answer at all, lest it does nothing but knock.
BREATH = 0.1


@dataclass(frozen=True)
class Outcome:
    """One request: how long it took, the status of its answer if there was one and, when it failed, how."""

    seconds: float
    failure: str = ""
    status: int = 0


class User:
    """A user with one connection, which is made anew after it was lost."""

    def __init__(self, target: Target) -> None:
        self.target = target
        host = target.url("").partition("://")[2]
        self.headers = {"Host": host, "User-Agent": "airworthy", **target.new_client()}
        self.connection: http.client.HTTPConnection | None = None

    def ask(self, path: str) -> Outcome:
        begun, status = time.monotonic(), 0
        try:
            status = self._ask(path)
            failure = f"status {status}" if status >= 400 else ""
        except (OSError, http.client.HTTPException) as exception:
            failure = describe(exception)
            self.close()
        return Outcome(time.monotonic() - begun, failure, status)

    def _ask(self, path: str) -> int:
        kept_alive = self.connection is not None
        try:
            response = self._send(path)
        except (ConnectionResetError, BrokenPipeError):
            if not kept_alive:
                raise
            # a server may close an idle connection just when it is used again, which shows as its end (also a reset to
            # Python), as a reset or as a broken pipe, whichever comes first; any client asks once more
            self.close()
            response = self._send(path)
        response.read()
        if response.will_close:
            self.close()
        return response.status

    def _send(self, path: str) -> http.client.HTTPResponse:
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.target.domain)
            self.connection.sock = self.target.open()
            self.connection.auto_open = 0  # it would open the next one without TLS
        self.connection.request("GET", path, headers=self.headers)
        return self.connection.getresponse()

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self.connection = None


@dataclass(frozen=True)
class Request:
    """A request of a load, when it was made (on the monotonic clock), and what became of it."""

    path: str
    begun: float
    outcome: Outcome


class Load:
    """What was asked so far of a load that goes on."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.over = threading.Event()
        self._grown = threading.Condition()

    def add(self, request: Request) -> None:
        with self._grown:
            self.requests.append(request)
            self._grown.notify_all()

    def wait_for_more(self, count: int, timeout: float) -> None:
        """Until so many more requests were answered, or have failed."""
        with self._grown:
            wanted = len(self.requests) + count
            if not self._grown.wait_for(lambda: len(self.requests) >= wanted, timeout):
                missing = wanted - len(self.requests)
                raise TimeoutError(f"{missing} of {count} requests had no outcome after {timeout:g} s")


@contextmanager
def under_load(target: Target, paths: Sequence[str], users: int) -> Iterator[Load]:
    """While the block runs, users ask for the paths in turn. With the target's key, each request is a new client's."""
    load = Load()

    def act(number: int) -> None:
        user = User(target)
        first = number % len(paths)
        for path in itertools.cycle([*paths[first:], *paths[:first]]):
            if load.over.is_set():
                break
            user.headers |= {**target.new_client(), "Cookie": "airworthy=1"}  # who has a cookie gets nothing kept
            begun = time.monotonic()
            outcome = user.ask(path)
            load.add(Request(path, begun, outcome))
            if not outcome.status:
                load.over.wait(BREATH)
        user.close()

    with ThreadPoolExecutor(users) as pool:
        acts = [pool.submit(act, number) for number in range(users)]
        try:
            yield load
        finally:
            load.over.set()
    for finished in acts:
        finished.result()
