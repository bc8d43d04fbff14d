"""What is in the store goes to a target that may be away, busy or picky: at least once, and in order."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from role_programs import program_directory

LIBRARY = "log_collector/templates/usr/local/lib/airworthy"
with program_directory(f"{LIBRARY}/log_store"), program_directory(f"{LIBRARY}/log_forwarding"):
    import following
    import forwarder
    import keeping
    import listing
    import sinks
    import zstd_command
    from places import Places

pytestmark = pytest.mark.skipif(not shutil.which(zstd_command.ZSTD), reason="the command zstd is not installed")

NOW = time.time()
TODAY = datetime.fromtimestamp(NOW, UTC).date()
YESTERDAY = TODAY - timedelta(days=1)
LONG_AGO = NOW - 7200


def line(number: int, **more: Any) -> str:
    record = {"time": f"{YESTERDAY}T10:00:00.{number:06}Z", "id": f"s-{number}", "level": "info"}
    return json.dumps(record | {"message": f"line {number}"} | more | {"host": "web1", "received": "x"}) + "\n"


class Target:
    """Takes what it is told to take."""

    def __init__(self) -> None:
        self.came: list[dict[str, Any]] = []
        self.says: list[Callable[[Sequence[Any]], Any]] = []  # one after the other, before it takes everything
        self.asked = 0

    def deliver(self, entries: Sequence[Any]) -> Any:
        self.asked += 1
        if self.says:
            told = self.says.pop(0)(entries)
            if told is not None:
                return told
        self.came += [entry.record for entry in entries]
        return sinks.Outcome()

    def close(self) -> None:
        pass

    @property
    def ids(self) -> list[str]:
        return [record["id"] for record in self.came]


def away(_entries: Sequence[Any]) -> None:
    raise ConnectionRefusedError(111, "Connection refused")


def misconfigured(_entries: Sequence[Any]) -> None:
    raise sinks.Misconfigured("it answers 403: ")


class Site:
    """A store, and a forwarder of which each run begins as a new process would."""

    def __init__(self, directory: Path) -> None:
        self.root, self.state = directory / "store", directory / "state"
        self.root.mkdir()
        self.level, self.clock = "", LONG_AGO
        self.wants: list[list[str]] = [[], []]

    def path(self, program: str = "app", day: date = TODAY, host: str = "web1") -> Path:
        return self.root / host / program / f"{day}.jsonl"

    def write(self, *texts: str, settled: bool = True, **where: Any) -> Path:
        path = self.path(**where)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.writelines(texts)
        if settled:
            self.clock += 1
            os.utime(path, (self.clock, self.clock))
        return path

    def forwarder(self, target: Any) -> Any:
        self.stopped = threading.Event()
        places = Places(self.state, self.root)
        names = (lambda name, patterns=patterns: not patterns or name in patterns for patterns in self.wants)
        follower = following.Follower(listing.Listing(self.root, *names), places, self.level)
        return forwarder.Forwarder("siem", follower, target, places, self.stopped)

    def run(self, target: Any, until: Callable[[], bool]) -> Any:
        forwarding = self.forwarder(target)
        thread = threading.Thread(target=forwarding.run, args=[self.wants])
        thread.start()
        patience = time.monotonic() + 5
        while not until() and time.monotonic() < patience and thread.is_alive():
            time.sleep(0.005)
        time.sleep(0.05)  # for what must not come
        self.stopped.set()
        thread.join(5)
        assert time.monotonic() < patience
        return forwarding

    def turn_on(self) -> None:
        self.run(Target(), lambda: (self.state / "begun.json").exists())

    def keep(self) -> None:
        assert keeping.keep(self.root, 30, 1024, None) == 0


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(forwarder, "PAUSE", 0.005)
    monkeypatch.setattr(forwarder, "FIRST_WAIT", 0.005)
    monkeypatch.setattr(forwarder, "SAVE", 0.0)
    yield Site(tmp_path)


def test_a_new_target_gets_what_is_logged_from_then_on(site: Site) -> None:
    site.write(line(1), day=YESTERDAY)
    site.keep()
    site.write(line(2), line(3)[:20])
    site.turn_on()
    site.write(line(3)[20:], line(4))
    site.write(line(5), program="nginx")
    site.write(line(6), day=YESTERDAY)
    target = Target()
    site.run(target, lambda: len(target.came) == 4)
    assert sorted(target.ids) == ["s-3", "s-4", "s-5", "s-6"]
    target.came.clear()
    site.write(line(7))
    site.run(target, lambda: bool(target.came))
    assert target.ids == ["s-7"]


def test_only_whole_lines_are_sent_and_what_is_broken_spoils_no_other(site: Site) -> None:
    site.turn_on()
    site.write(line(1), '{"time": "cut', "\n", "\0\0\n", line(2), '{"message": "cut' + line(3), line(4)[:30])
    target = Target()
    site.run(target, lambda: len(target.came) == 3)
    site.write(line(4)[30:])
    site.run(target, lambda: len(target.came) == 4)
    assert target.ids == ["s-1", "s-2", "s-3", "s-4"]


def test_a_target_that_was_away_gets_everything_in_order(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "MOST", 3)
    site.turn_on()
    site.write(*(line(number) for number in range(10)))
    target = Target()
    target.says = [away, away, misconfigured]
    forwarding = site.run(target, lambda: len(target.came) == 10)
    assert target.ids == [f"s-{number}" for number in range(10)]
    assert (forwarding.figures.failures, forwarding.figures.records, forwarding.figures.delay) == (3, 10, 0)
    said = capsys.readouterr().err
    assert said.count("<4>siem takes nothing: [Errno 111] Connection refused") == 2
    assert said.count("<3>siem takes nothing: it answers 403") == 1


def test_who_waits_is_told_for_how_long(site: Site) -> None:
    site.turn_on()
    received = datetime.fromtimestamp(time.time() - 100, UTC).isoformat()
    site.write(line(1)[:-2].replace('"received": "x"', f'"received": "{received}"') + "}\n")
    target = Target()
    target.says = [away] * 100
    forwarding = site.run(target, lambda: target.asked > 1)
    assert forwarding.figures.delay == pytest.approx(100, abs=20)
    site.run(target := Target(), lambda: bool(target.came))


def test_killed_between_acknowledgement_and_the_kept_place_it_sends_twice_and_loses_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "MOST", 2)
    site.turn_on()
    site.write(*(line(number) for number in range(6)))
    target, save, kills = Target(), Places.save, iter([True, False, True, True])

    class Killed(BaseException):
        pass

    def killed(self: Any) -> None:
        if next(kills, False):
            raise Killed
        save(self)

    monkeypatch.setattr(Places, "save", killed)
    while "s-5" not in target.ids:
        forwarding = site.forwarder(target)

        def stop() -> None:
            if "s-5" in target.ids:
                site.stopped.set()

        monkeypatch.setattr(target, "close", stop)
        timer = threading.Timer(0.2, site.stopped.set)
        timer.start()
        try:
            forwarding.run(site.wants)
        except Killed:
            timer.cancel()
    assert list(dict.fromkeys(target.ids)) == [f"s-{number}" for number in range(6)]
    assert len(target.ids) > 6


def test_a_place_that_cannot_be_kept_holds_up_what_follows(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.turn_on()
    site.write(line(1))
    target, save, fails = Target(), Places.save, [1] * 3

    def full(self: Any) -> None:
        if target.came and fails:
            site.write(line(2))
            fails.pop()
            raise OSError(28, "No space left on device")
        save(self)

    monkeypatch.setattr(Places, "save", full)
    site.run(target, lambda: len(target.came) == 4)
    assert target.ids == ["s-1", "s-2", "s-2", "s-2"]


def test_what_was_compressed_before_it_was_sent_is_read_from_there(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "MOST", 2)
    site.turn_on()
    site.write(line(1), line(2), day=YESTERDAY)
    site.run(target := Target(), lambda: len(target.came) == 2)
    site.write(line(2), line(3), line(3), line(4), line(5), day=YESTERDAY)
    site.keep()
    assert not site.path(day=YESTERDAY).exists()
    site.run(target := Target(), lambda: len(target.came) == 3)
    assert target.ids == ["s-3", "s-4", "s-5"]
    # Late lines come into a plain file of their own, and into the compressed one then.
    site.write(line(6), line(2), day=YESTERDAY)
    site.run(target := Target(), lambda: len(target.came) == 2)
    assert target.ids == ["s-6", "s-2"]
    site.write(line(7), day=YESTERDAY)
    site.keep()
    site.run(target := Target(), lambda: "s-7" in target.ids)
    assert target.ids[-1] == "s-7"


def test_what_was_sent_is_not_sent_again_when_it_is_compressed(site: Site) -> None:
    site.turn_on()
    site.write(line(1), line(1), line(2), day=YESTERDAY)
    site.run(target := Target(), lambda: len(target.came) == 3)
    site.keep()
    site.run(again := Target(), lambda: True)
    assert target.ids == ["s-1", "s-1", "s-2"]
    assert again.ids == []
    site.write(line(3), day=YESTERDAY)
    site.run(target := Target(), lambda: bool(target.came))
    assert target.ids == ["s-3"]


def test_a_compressed_file_without_the_last_record_is_read_from_its_beginning(site: Site) -> None:
    site.turn_on()
    site.write(line(1), day=YESTERDAY)
    site.run(target := Target(), lambda: len(target.came) == 1)
    site.path(day=YESTERDAY).unlink()
    site.write(line(8), line(9), day=YESTERDAY)
    site.keep()
    site.run(target := Target(), lambda: len(target.came) == 2)
    assert target.ids == ["s-8", "s-9"]


def test_while_one_compressed_file_takes_many_batches_others_go_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "MOST", 3)
    site.turn_on()
    for program in ("a", "b"):
        site.write(*(line(number, id=f"{program}-{number}") for number in range(8)), program=program, day=YESTERDAY)
    site.keep()
    site.write(*(line(number, id=f"c-{number}") for number in range(4)), program="c")
    site.run(target := Target(), lambda: len(target.came) == 20)
    for program, count in (("a", 8), ("b", 8), ("c", 4)):
        assert [each for each in target.ids if each[0] == program] == [f"{program}-{n}" for n in range(count)]
    assert target.ids.index("c-3") < target.ids.index("b-0")


def test_a_file_that_was_cut_back_and_written_anew_is_read_again(site: Site) -> None:
    site.turn_on()
    path = site.write(line(1), line(2))
    site.run(target := Target(), lambda: len(target.came) == 2)
    os.truncate(path, len(line(1)))  # the disk was full, and the collector took back what it could not keep
    site.write(line(3, message="longer than what was taken back"), line(2))
    site.run(target := Target(), lambda: "s-3" in target.ids)
    assert target.ids == ["s-1", "s-3", "s-2"]


def test_a_damaged_compressed_file_is_told_and_ends(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.turn_on()
    site.write(*(line(number) for number in range(5)), day=YESTERDAY)
    site.keep()
    packed = site.path(day=YESTERDAY).with_suffix(".jsonl.zst")
    packed.write_bytes(packed.read_bytes()[:-8])
    site.write(line(9))
    forwarding = site.run(target := Target(), lambda: "s-9" in target.ids)
    assert forwarding.figures.lost == 1
    assert capsys.readouterr().err.count("is damaged") == 1


def test_what_is_removed_before_it_was_sent_is_counted(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "MOST", 1)
    site.turn_on()
    for program in ("a", "b", "c"):
        site.write(line(1, id=f"{program}-1"), program=program)
    target = Target()
    target.says = [away] * 1000

    def is_removed() -> bool:
        if target.asked > 2 and len(target.says) > 3:
            shutil.rmtree(site.path("a").parent)  # is on its way
            shutil.rmtree(site.path("b").parent)
            target.says = [away] * 3
        return "c-1" in target.ids

    forwarding = site.run(target, is_removed)
    assert target.ids == ["a-1", "c-1"]
    assert forwarding.figures.lost == 1
    assert f"<3>web1/b of {TODAY} was removed or encrypted before all of it was sent" in capsys.readouterr().err
    # What was sent, and goes while nothing looks, is not lost.
    site.write(line(2), day=YESTERDAY)
    site.run(target := Target(), lambda: len(target.came) == 1)
    shutil.rmtree(site.path().parent)
    forwarding = site.run(Target(), lambda: not (site.state / f"{YESTERDAY}.json").exists())
    assert forwarding.figures.lost == 0


def test_a_batch_that_is_rejected_is_halved_until_the_record_is_found(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.turn_on()
    site.write(*(line(number) for number in range(9)))

    class Picky(Target):
        def deliver(self, entries: Sequence[Any]) -> Any:
            if any(entry.record["id"] == "s-5" for entry in entries) or len(entries) > 6:
                raise sinks.Rejected("it answers 400: no such field")
            return super().deliver(entries)

    target = Picky()
    forwarding = site.run(target, lambda: len(target.came) == 8)
    assert target.ids == [f"s-{number}" for number in range(9) if number != 5]
    assert (forwarding.figures.records, forwarding.figures.refused) == (8, 1)
    assert "<3>siem refused for good: web1/app/s-5 (it answers 400: no such field)" in capsys.readouterr().err


def test_records_that_are_to_be_sent_again_are(site: Site) -> None:
    site.turn_on()
    site.write(*(line(number) for number in range(4)))
    target = Target()
    target.says = [lambda entries: sinks.Outcome(list(entries[1:3]), [(entries[3], "400 no")])]
    forwarding = site.run(target, lambda: len(target.came) == 2)
    assert target.ids == ["s-1", "s-2"]
    assert (forwarding.figures.records, forwarding.figures.refused, forwarding.figures.failures) == (3, 1, 1)


def test_a_target_gets_what_it_wants(site: Site) -> None:
    site.wants, site.level = [["web1"], ["app", "nginx"]], "err"
    site.turn_on()
    site.write(line(1), line(2, level="crit"), line(3, level="err"), line(4, level="warning"))
    site.write(line(5, level="err"), host="web2")
    site.write(line(6, level="err"), program="other")
    site.run(target := Target(), lambda: len(target.came) == 2)
    assert target.ids == ["s-2", "s-3"]
    site.wants = [[], ["other"]]
    site.turn_on()
    site.write(line(7, level="err"), program="other")
    site.run(target := Target(), lambda: len(target.came) == 1)
    assert target.ids == ["s-7"]


def test_of_a_target_that_wants_little_much_is_read_but_not_all_at_once(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "MOST_READ", 1000)
    site.level = "err"
    site.turn_on()
    path = site.write(*(line(number) for number in range(100)), line(100, level="err"))
    follower = site.forwarder(Target())._follower
    assert follower.read().is_full
    site.run(target := Target(), lambda: bool(target.came))
    assert target.ids == ["s-100"]
    assert json.loads((site.state / f"{TODAY}.json").read_text())["web1/app"]["offset"] == path.stat().st_size


def test_a_file_that_goes_between_look_and_reading_is_no_fault(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site.turn_on()
    site.write(line(1), day=YESTERDAY)
    follower = site.forwarder(Target())._follower
    look = follower.look

    def look_and_keep() -> None:
        look()
        site.keep()

    monkeypatch.setattr(follower, "look", look_and_keep)
    assert follower.read().entries == []
    assert [entry.record["id"] for entry in follower.read().entries] == ["s-1"]
    assert "<3>" not in capsys.readouterr().err


def test_a_batch_is_bounded_by_its_bytes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "LARGEST", 1000)
    site.turn_on()
    site.write(*(line(number, message="x" * 400) for number in range(6)))
    site.run(target := Target(), lambda: len(target.came) == 6)
    assert target.asked == 3


def test_it_waits_longer_each_time_up_to_a_limit(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.turn_on()
    site.write(line(1))
    waits: list[float] = []
    target = Target()
    target.says = [away] * 9
    forwarding = site.forwarder(target)
    monkeypatch.setattr(forwarder, "FIRST_WAIT", 0.5)
    monkeypatch.setattr(forwarder.random, "uniform", lambda _low, _high: 1)
    forwarding._wait = 0.5

    class Stopped(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            if timeout == forwarder.PAUSE:
                self.set()
            else:
                waits.append(timeout or 0)
            return self.is_set()

    forwarding._stopped = Stopped()
    forwarding.run(site.wants)
    assert target.ids == ["s-1"]
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
