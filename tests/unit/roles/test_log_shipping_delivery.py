"""Lines are brought to a collector that may be away, refuse them or fall silent: at least once, and in order."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.exporter_figures import Figures
from relp_server import Frame, RelpServer, acknowledge, answer, collecting
from role_programs import ROLES, program_directory
from tls_server import Certificate, make_certificate

PROGRAM = "log_shipping/templates/usr/local/lib/airworthy/log_shipping"
with program_directory(PROGRAM):
    import files
    import masking
    import relp
    import shipper

NAME = "log1"
EMAIL = "anna@example.org"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Certificate]:
    directory = tmp_path_factory.mktemp("certificates")
    return {name: make_certificate(directory / name, name=name) for name in (NAME, "web1", "stranger")}


def context(certificates: dict[str, Certificate], client: str = "web1") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificates[NAME].ca)
    context.load_cert_chain(certificates[client].certificate, certificates[client].key)
    return context


@pytest.fixture
def collector(certificates: dict[str, Certificate]) -> Iterator[RelpServer]:
    with collecting(certificates[NAME], certificates["web1"], RelpServer()) as server:
        yield server


Connect = Callable[..., relp.Connection]


@pytest.fixture
def connect(certificates: dict[str, Certificate], collector: RelpServer) -> Connect:
    def connect(client: str = "web1", name: str = NAME, timeout: float = 5) -> relp.Connection:
        where = relp.Collector("127.0.0.1", collector.port, name, timeout)
        return relp.Connection(where, context(certificates, client))

    return connect


# RELP


def test_a_connection_is_opened_and_each_message_acknowledged(connect: Connect, collector: RelpServer) -> None:
    connection = connect()
    collector.size = 3
    connection.deliver([b"one", b"two\nlines", b""])
    connection.close()
    assert collector.peers == ["web1"]
    opening, *frames = collector.connections[0]
    assert opening == Frame(1, b"open", b"relp_version=0\nrelp_software=airworthy\ncommands=syslog")
    assert frames == [Frame(2, b"syslog", b"one"), Frame(3, b"syslog", b"two\nlines"), Frame(4, b"syslog", b"")]


def test_numbers_are_consecutive_and_begin_again_after_the_last(
    connect: Connect, collector: RelpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relp, "LAST_NUMBER", 4)
    connection = connect()
    for number in range(6):
        connection.deliver([b"%d" % number])
    connection.close()
    assert [frame.number for frame in collector.connections[0]] == [1, 2, 3, 4, 1, 2, 3]


def test_nothing_to_deliver_is_delivered(connect: Connect, collector: RelpServer) -> None:
    connection = connect()
    connection.deliver([])
    connection.close()
    assert collector.messages == []


def test_answers_may_come_in_any_order(connect: Connect, collector: RelpServer) -> None:
    collector.size = 3
    collector.answers = [lambda frames: acknowledge(frames[::-1])]
    connect().deliver([b"one", b"two", b"three"])
    assert collector.messages == [b"one", b"two", b"three"]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (lambda frames: acknowledge(frames[:-1]), "has ended the connection"),
        (lambda frames: acknowledge(frames[:-1]) + acknowledge(frames[:-1]), "has ended the connection"),
        (lambda frames: acknowledge(frames[:1]) + answer(frames[1].number, b"500 no space"), "says '500 no space'"),
        (lambda frames: b"%d rsp 0\n" % frames[0].number, "says ''"),
        (lambda _frames: None, "has ended the connection"),
        (lambda _frames: b"0 serverclose 0\n", "the collector ends the connection"),
        (lambda _frames: b"HTTP/1.1 400 Bad Request\r\n\r\n", "which is no RELP"),
        (lambda _frames: b"\x00" * 100, "which is no RELP"),
        (lambda _frames: b"2 rsp -1 \n", "which is no RELP"),
        (lambda _frames: b"2 rsp 999999999999999 200 OK\n", "announces an answer of 999999999999999 bytes"),
        (lambda _frames: b"2 rsp 6 20", "says '2'"),
        (lambda _frames: b"2 rsp 6", "which is no RELP|has ended the connection"),
    ],
)
def test_what_was_not_acknowledged_is_not_delivered(
    connect: Connect, collector: RelpServer, said: Any, told: str
) -> None:
    collector.size, collector.answers, collector.hangs_up = 2, [said], True
    connection = connect()
    with pytest.raises(OSError, match=told):
        connection.deliver([b"one", b"two"])
    connection.close()


def test_a_collector_that_falls_silent_is_given_up(connect: Connect, collector: RelpServer) -> None:
    collector.answers = [lambda _frames: b""]
    connection = connect(timeout=0.2)
    with pytest.raises(TimeoutError):
        connection.deliver([b"one"])
    connection.close()


def test_a_collector_that_does_not_want_to_be_opened_is_not_open(connect: Connect, collector: RelpServer) -> None:
    collector.opening = lambda frames: answer(frames[0].number, b"500 no such version")
    with pytest.raises(relp.Refused, match="500 no such version"):
        connect()


def test_only_who_has_a_certificate_may_deliver(connect: Connect, collector: RelpServer) -> None:
    with pytest.raises(OSError):
        connect(client="stranger")
    assert collector.connections == []


def test_only_the_collector_gets_anything(connect: Connect, collector: RelpServer) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(name="else")
    assert collector.connections == []


# The shipper


class Collected:
    """A collector that fails as often as it is told to, before it takes anything or after half of it."""

    def __init__(self, refused: int = 0, halves: int = 0) -> None:
        self.refused, self.halves = refused, halves
        self.came: list[dict[str, Any]] = []
        self.batches: list[list[str]] = []
        self.connections = 0

    def __call__(self) -> Collected:
        if self.refused:
            self.refused -= 1
            raise ConnectionRefusedError(111, "Connection refused")
        self.connections += 1
        return self

    def deliver(self, messages: Sequence[bytes]) -> None:
        records = [json.loads(message.partition(b" - - - ")[2]) for message in messages]
        if self.halves:
            self.halves -= 1
            self.came += records[: len(records) // 2]
            raise ConnectionResetError(104, "Connection reset by peer")
        self.came += records
        self.batches.append([record["message"] for record in records])

    def close(self) -> None:
        pass

    @property
    def texts(self) -> list[str]:
        return [record["message"] for record in self.came]


class Host:
    """A log file, and where a shipper keeps what it has to remember."""

    def __init__(self, directory: Path) -> None:
        self.log, self.kept = directory / "a.log", directory / "positions.json"
        self.figures = directory / "figures.prom"
        self.settings = {"program": "a", "path": str(self.log)}

    def write(self, *lines: str) -> None:
        with self.log.open("a") as file:
            file.writelines(f"{line}\n" for line in lines)

    def shipper(self, connect: Callable[[], Any]) -> Any:
        masker = masking.Masker.of([])
        return shipper.Shipper("web1", connect, masker, shipper.Positions(self.kept), self.figures)

    def ship(self, connect: Callable[[], Any], until: Callable[[], bool]) -> Any:
        """By a process that begins anew, and is stopped then."""
        shipping = self.shipper(connect)
        return self.run(shipping, until)

    def run(self, shipping: Any, until: Callable[[], bool]) -> Any:
        position = shipper.Positions(self.kept).get(files.Files.name_of(self.settings))
        source = files.Files(self.settings, position, shipping.figures.dropped)
        patience = time.monotonic() + 5

        class Watched:
            name, problem = source.name, ""

            def read(self, limit: int) -> Any:
                if until() or time.monotonic() > patience:
                    shipping.stop()
                    return []
                return source.read(limit)

        try:
            shipping.run([Watched()])
        finally:
            source.close()
        assert time.monotonic() < patience
        return shipping

    @property
    def position(self) -> int:
        return json.loads(self.kept.read_text())[f"a {self.log}"]["offset"]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(shipper, "PAUSE", 0.002)
    monkeypatch.setattr(shipper, "FIRST_WAIT", 0.002)
    monkeypatch.setattr(shipper, "TELL", 0.0)
    return Host(tmp_path)


def test_lines_are_brought_masked_and_the_position_is_kept(host: Host) -> None:
    host.write("one", f"mail to {EMAIL}")
    collected = Collected()
    host.ship(collected, lambda: len(collected.came) == 2)
    assert collected.texts == ["one", "mail to [email]"]
    assert host.position == host.log.stat().st_size
    host.write("three")
    host.ship(collected, lambda: len(collected.came) == 3)
    assert collected.texts == ["one", "mail to [email]", "three"]


@pytest.mark.parametrize(("refused", "halves"), [(3, 0), (0, 1), (2, 2)])
def test_what_failed_comes_again_the_same_in_order_and_nothing_is_skipped(
    host: Host, refused: int, halves: int, capsys: pytest.CaptureFixture[str]
) -> None:
    host.write(*"abcd")
    collected = Collected(refused, halves)
    shipping = host.ship(collected, lambda: bool(collected.batches))
    assert collected.batches == [list("abcd")]
    assert collected.texts == [*"ab" * halves, *"abcd"]
    assert len({(record["id"], record["message"]) for record in collected.came}) == 4
    assert shipping.figures.failures == refused + halves
    assert collected.connections == halves + 1
    assert capsys.readouterr().err.count("<4>the collector cannot be reached: [Errno 1") == refused + halves


def test_while_nothing_is_acknowledged_no_position_is_kept(host: Host) -> None:
    host.write(*"abcd")
    shipping: list[Any] = []

    def refuse() -> None:
        assert not host.kept.exists()
        if shipping[0].figures.failures == 5:
            shipping[0].stop()
        raise ConnectionRefusedError(111, "Connection refused")

    shipping.append(host.shipper(refuse))
    host.run(shipping[0], lambda: False)
    assert not host.kept.exists()
    collected = Collected()
    host.ship(collected, lambda: bool(collected.came))
    assert collected.texts == list("abcd")


@pytest.mark.parametrize("batch", [1, 2, 3, 10])
def test_a_kill_between_acknowledgement_and_keeping_costs_nothing_but_lines_that_come_twice(
    host: Host, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(shipper, "BATCH", batch)
    host.write(*"abcdef")
    collected = Collected()
    keep = shipper.Positions.keep
    kills = iter([True, False, True, False, True])

    def killed(self: Any, positions: Any) -> None:
        if next(kills, False):
            raise KeyboardInterrupt
        keep(self, positions)

    monkeypatch.setattr(shipper.Positions, "keep", killed)

    def is_done() -> bool:
        return host.kept.exists() and host.position == host.log.stat().st_size

    while not is_done():
        with suppress(KeyboardInterrupt):
            host.ship(collected, is_done)
    ids: dict[str, set[str]] = {}
    for record in collected.came:
        ids.setdefault(record["message"], set()).add(record["id"])
    assert list(ids) == list("abcdef")
    assert all(len(each) == 1 for each in ids.values())
    assert len(collected.came) > 6


def test_positions_are_never_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "positions.json"
    positions = shipper.Positions(path)
    assert positions.get("a") is None
    positions.keep({"a": {"offset": 1}, "b": {"offset": 2}})

    def full(_number: int) -> None:
        raise OSError(28, "No space left on device")

    for step in ("fsync", "dump"):
        with monkeypatch.context() as broken:
            broken.setattr(*((os, "fsync", full) if step == "fsync" else (json, "dump", lambda *_: full(0))))
            with pytest.raises(OSError, match="No space left"):
                positions.keep({"a": {"offset": 3}})
        assert json.loads(path.read_text()) == {"a": {"offset": 1}, "b": {"offset": 2}}
    assert shipper.Positions(path).get("a") == {"offset": 1}
    positions.keep({"a": {"offset": 4}})
    assert json.loads(path.read_text()) == {"a": {"offset": 4}, "b": {"offset": 2}}


def test_who_is_stopped_while_the_collector_is_away_ends_at_once_and_loses_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipper, "FIRST_WAIT", 60.0)
    host.write("one", "two")
    away = threading.Event()

    def refuse() -> None:
        away.set()
        raise ConnectionRefusedError(111, "Connection refused")

    shipping = host.shipper(refuse)
    source = files.Files(host.settings, None, Counter())
    running = threading.Thread(target=shipping.run, args=[[source]])
    running.start()
    assert away.wait(5)
    shipping.stop()
    running.join(5)
    source.close()
    assert not running.is_alive()
    collected = Collected()
    host.ship(collected, lambda: bool(collected.came))
    assert collected.texts == ["one", "two"]


def test_the_pause_between_two_attempts_grows_up_to_a_limit(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.write("one")
    waits: list[float] = []
    monkeypatch.setattr(shipper, "FIRST_WAIT", 0.5)

    def not_at_all(seconds: float) -> float:
        waits.append(seconds)
        return 0

    monkeypatch.setattr(shipper, "jittered", not_at_all)
    collected = Collected(refused=9)
    host.ship(collected, lambda: bool(collected.came))
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_no_two_servers_come_at_the_same_moment() -> None:
    assert all(5 <= shipper.jittered(10) <= 15 for _ in range(100))


def test_the_delay_grows_while_the_collector_is_away_and_is_over_then(host: Host) -> None:
    host.write('{"time": "2026-01-01T00:00:00Z", "msg": "old"}', "now")
    seen: list[float] = []
    collected = Collected(refused=4)

    def connect() -> Collected:
        seen.append(shipping.figures.delay)
        return collected()

    shipping = host.shipper(connect)
    host.run(shipping, lambda: bool(collected.came))
    assert seen == sorted(set(seen))
    assert seen[1] == pytest.approx(time.time() - datetime(2026, 1, 1, tzinfo=UTC).timestamp(), abs=60)
    assert shipping.figures.delay == 0


def test_the_figures_tell_what_has_happened(host: Host) -> None:
    host.write('{"level": "error", "msg": "x"}', EMAIL, "y")
    collected = Collected(refused=2)
    host.ship(collected, lambda: bool(collected.came))
    read = Figures.of(host.figures.read_text())
    assert read.unread == 0
    assert read.values("airworthy_log_shipper_lines_total", program="a", level="info") == [2]
    assert read.values("airworthy_log_shipper_lines_total", program="a", level="err") == [1]
    assert read.values("airworthy_log_shipper_masked_total", rule="email") == [1]
    assert read.values("airworthy_log_shipper_failures_total") == [2]
    assert read.values("airworthy_log_shipper_unreadable_sources") == [0]
    assert read.values("airworthy_log_shipper_delivered_timestamp_seconds") == [pytest.approx(time.time(), abs=60)]


def test_a_source_that_cannot_be_read_is_counted_and_the_others_go_on(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.write("one")
    collected = Collected()
    shipping = host.shipper(collected)
    unreadable = files.Files({"program": "b", "path": "/proc/self/mem"}, None, Counter())
    source = files.Files(host.settings, None, Counter())

    def connect_and_stop(messages: Sequence[bytes]) -> None:
        Collected.deliver(collected, messages)
        shipping.stop()

    monkeypatch.setattr(collected, "deliver", connect_and_stop)
    shipping.run([unreadable, source])
    source.close()
    assert collected.texts == ["one"]
    assert shipping.figures.unreadable == 1
    assert Figures.of(host.figures.read_text()).values("airworthy_log_shipper_unreadable_sources") == [1]


def test_over_a_real_connection_nothing_is_lost_whatever_the_collector_does(
    host: Host, connect: Connect, collector: RelpServer
) -> None:
    collector.size = 4
    collector.answers = [
        lambda frames: acknowledge(frames[:2]) + b"0 serverclose 0\n",
        lambda frames: acknowledge(frames[::-1]),
    ]
    host.write(*"abcd")
    host.ship(connect, host.kept.exists)
    said = [json.loads(message.partition(b" - - - ")[2])["message"] for message in collector.messages]
    assert said == [*"abcd", *"abcd"]
    assert host.position == 8


# The program


def test_the_program_is_put_together_from_its_settings(
    tmp_path: Path, certificates: dict[str, Certificate], collector: RelpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = certificates["web1"]
    settings = {
        "host": "web1", "ca": str(certificates[NAME].ca),
        "certificate": str(own.certificate), "private_key": str(own.key),
        "collector": {"address": "127.0.0.1", "port": collector.port, "name": NAME, "timeout": 5},
        "masking_rules": [{"name": "own", "pattern": "C-[0-9]+", "replacement": "[own]"}],
    }  # fmt: skip
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    (tmp_path / "sources.d").mkdir()
    (tmp_path / "sources.d/own.json").write_text(json.dumps([{"program": "a", "path": str(tmp_path / "a.log")}]))
    (tmp_path / "sources.d/README").write_text("no source")
    (tmp_path / "a.log").write_text("of C-4711\n")
    script = tmp_path / "journalctl"
    entry = {"__CURSOR": "s=a;i=1;", "__REALTIME_TIMESTAMP": "1795800000000000", "MESSAGE": f"to {EMAIL}"}
    script.write_text(f"#!/bin/sh\ncat <<'.'\n{json.dumps(entry)}\n.\nexec sleep 60\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    arguments = [str(tmp_path / name) for name in ("settings.json", "sources.d", "")]
    started = [sys.executable, "-I", str(ROLES / PROGRAM), *arguments]
    process = subprocess.Popen(started)
    try:
        patience = time.monotonic() + 10
        kept: dict[str, Any] = {}
        while len(kept) < 2 and time.monotonic() < patience:
            time.sleep(0.02)
            kept = json.loads(path.read_text()) if (path := tmp_path / "positions.json").exists() else {}
    finally:
        process.terminate()
        process.wait(10)
    assert process.returncode == 0
    assert set(kept) == {"journal", f"a {tmp_path}/a.log"}
    assert collector.peers == ["web1"]
    said = {json.loads(message.partition(b" - - - ")[2])["message"] for message in collector.messages}
    assert said == {"of [own]", "to [email]"}
    assert Figures.of((tmp_path / "figures.prom").read_text()).unread == 0
