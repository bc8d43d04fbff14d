"""The collector as a whole, asked over TLS: what it acknowledges is on the disk, under the name of who has sent it."""

from __future__ import annotations

import json
import re
import resource
import socket
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.waiting import wait_for
from role_programs import ROLES, program_directory
from tls_server import Certificate, make_certificate

PROGRAM = ROLES / "log_collector/templates/usr/local/lib/airworthy/log_collecting"
with program_directory("log_shipping/templates/usr/local/lib/airworthy/log_shipping"):
    import relp

TODAY = datetime.now(UTC).date().isoformat()
ESTABLISHED, KEEPALIVE = "01", "02"  # of /proc/net/tcp, proc(5)


class Collector:
    """The program in a process of its own, for one client, web1."""

    def __init__(self, directory: Path, certificates: dict[str, Certificate]) -> None:
        self.store, self.certificates = directory / "store", certificates
        self.settings, self.journal = directory / "settings.json", directory / "journal"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        own, client = certificates["log1"], certificates["web1"]
        keys = {"certificate": str(own.certificate), "private_key": str(own.key), "ca": str(client.ca)}
        self.settings.write_text(json.dumps({"clients": ["web1"], "port": self.port, **keys}))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, before: Callable[[], None] | None = None) -> None:
        command = [sys.executable, "-I", str(PROGRAM), str(self.settings), str(self.store)]
        with self.journal.open("a") as journal:
            self.process = subprocess.Popen(command, preexec_fn=before, stderr=journal)
        limit = time.monotonic() + 10
        while time.monotonic() < limit:
            try:
                return socket.create_connection(("127.0.0.1", self.port)).close()
            except ConnectionRefusedError:
                time.sleep(0.02)
        raise AssertionError("it does not listen")

    def stop(self) -> None:
        assert self.process
        self.process.terminate()
        assert self.process.wait(5) == 0

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def context(self, client: str = "web1") -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.certificates["log1"].ca)
        context.load_cert_chain(self.certificates[client].certificate, self.certificates[client].key)
        return context

    def connect(self, client: str = "web1") -> relp.Connection:
        return relp.Connection(relp.Collector("127.0.0.1", self.port, "log1", 2), self.context(client))

    def raw(self, data: bytes) -> bytes:
        """What is answered until the connection ends."""
        plain = socket.create_connection(("127.0.0.1", self.port), 5)
        with self.context().wrap_socket(plain, server_hostname="log1") as connection:
            connection.sendall(data)
            return b"".join(iter(lambda: connection.recv(4096), b""))

    def records(self, program: str = "app", day: str = TODAY) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.store / "web1" / program / f"{day}.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Certificate]:
    directory = tmp_path_factory.mktemp("certificates")
    return {name: make_certificate(directory / name, name=name) for name in ("log1", "web1", "stranger")}


@pytest.fixture
def collector(tmp_path: Path, certificates: dict[str, Certificate]) -> Iterator[Collector]:
    collector = Collector(tmp_path, certificates)
    collector.start()
    yield collector
    collector.kill()


def message(text: str, program: str = "app", time: str = f"{TODAY}T10:00:00Z") -> bytes:
    return f"<190>1 {time} whoever {program} - - - {text}".encode()


def line(number: int, **more: str) -> bytes:
    return message(json.dumps({"id": f"s-{number}", "message": f"line {number}"} | more, separators=(",", ":")))


def test_a_line_stands_under_the_name_of_who_has_sent_it(collector: Collector) -> None:
    collector.connect().deliver([line(1, host="somebody-else")])
    [record] = collector.records()
    assert (record["host"], record["message"]) == ("web1", "line 1")
    assert abs((datetime.fromisoformat(record["received"]) - datetime.now(UTC)).total_seconds()) < 60
    assert stat.S_IMODE((collector.store / "web1/app" / f"{TODAY}.jsonl").stat().st_mode) & 0o037 == 0


def test_a_line_that_comes_again_is_written_once(collector: Collector) -> None:
    collector.connect().deliver([line(1), line(2)])
    collector.connect().deliver([line(1), line(2), line(3)])
    assert [record["id"] for record in collector.records()] == ["s-1", "s-2", "s-3"]


def test_what_is_acknowledged_survives_a_kill(collector: Collector) -> None:
    connection = collector.connect()
    for number in range(0, 1000, 100):
        connection.deliver([line(each) for each in range(number, number + 100)])
    collector.kill()
    assert [record["id"] for record in collector.records()] == [f"s-{number}" for number in range(1000)]


def test_a_line_that_was_cut_off_spoils_no_other(collector: Collector) -> None:
    collector.connect().deliver([line(1)])
    with (collector.store / "web1/app" / f"{TODAY}.jsonl").open("a") as file:
        file.write('{"id": "s-2", "mess')
    collector.connect().deliver([line(3)])
    lines = (collector.store / "web1/app" / f"{TODAY}.jsonl").read_text().splitlines()
    assert [json.loads(lines[number])["id"] for number in (0, 2)] == ["s-1", "s-3"]


def test_on_a_full_disk_nothing_is_acknowledged_and_nothing_cut_off(collector: Collector) -> None:
    collector.kill()
    collector.start(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)))
    connection = collector.connect()
    connection.deliver([line(number) for number in range(20)])
    with pytest.raises(OSError):
        connection.deliver([line(number) for number in range(20, 120)])
    assert [record["id"] for record in collector.records()] == [f"s-{number}" for number in range(20)]
    collector.kill()
    collector.start()
    collector.connect().deliver([line(number) for number in range(20, 120)])
    assert len(collector.records()) == 120


def test_who_has_a_certificate_of_another_ca_or_none_is_refused(collector: Collector) -> None:
    with pytest.raises(OSError):
        collector.connect("stranger").deliver([line(1)])
    anonymous = ssl.create_default_context(cafile=collector.certificates["log1"].ca)
    with pytest.raises(OSError):
        relp.Connection(relp.Collector("127.0.0.1", collector.port, "log1", 5), anonymous).deliver([line(1)])
    assert not collector.store.exists()
    collector.connect().deliver([line(1)])


def test_it_tells_whom_it_has_refused_and_why(collector: Collector) -> None:
    def is_told(text: str, times: int = 1) -> bool:
        return bool(wait_for(lambda: collector.journal.read_text().count(text) >= times, 5, pause=0.02))

    with pytest.raises(OSError):
        collector.connect("stranger").deliver([line(1)])
    assert is_told("<4>refused 127.0.0.1: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: ")
    anonymous = ssl.create_default_context(cafile=collector.certificates["log1"].ca)
    with pytest.raises(OSError):
        relp.Connection(relp.Collector("127.0.0.1", collector.port, "log1", 5), anonymous).deliver([line(1)])
    assert is_told("<4>refused 127.0.0.1: [SSL: PEER_DID_NOT_RETURN_A_CERTIFICATE]")
    with socket.create_connection(("127.0.0.1", collector.port)) as plain:
        plain.sendall(b"1 open 0\n" * 9)
        assert is_told("<4>refused 127.0.0.1: [SSL: ", 3)
    socket.create_connection(("127.0.0.1", collector.port)).close()
    assert is_told("<4>refused 127.0.0.1: it has left before it had a certificate", 2)  # so has the fixture
    collector.connect().deliver([line(1)])


def test_it_is_reached_by_ipv4_and_ipv6(collector: Collector) -> None:
    for address in ("127.0.0.1", "::1"):
        relp.Connection(relp.Collector(address, collector.port, "log1", 2), collector.context()).deliver([line(1)])
    assert len(collector.records()) == 1


def test_no_message_is_too_strange_to_be_kept_in_its_place(collector: Collector) -> None:
    strange = [
        message("no JSON at all"),
        message('{"message":\n"on two lines"}'),
        message("{}"),
        message("[1]"),
        b"no syslog either",
        message('{"id":"s-9"}', program="../../etc"),
        message('{"id":"s-10"}', time="1970-01-01T00:00:00Z"),
        message('{"id":"s-11"}', time="9999-99-99T00:00:00Z"),
    ]
    collector.connect().deliver(strange)
    assert [record.get("message") for record in collector.records()][:4] == [
        "no JSON at all", '{"message":\n"on two lines"}', None, "[1]"
    ]  # fmt: skip
    assert collector.records("unknown")[0]["message"] == "no syslog either"
    assert sorted(path.name for path in (collector.store / "web1").iterdir()) == ["_._.._etc", "app", "unknown"]
    assert {path.name for path in collector.store.rglob("*.jsonl")} == {f"{TODAY}.jsonl"}


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: log1\r\n" + b"x" * 100 + b"\r\n\r\n",
        b"1 syslog 999999999 x\n",
        b"1 syslog 3 too long\n",
    ],
)
def test_what_is_no_relp_ends_that_connection_alone(collector: Collector, data: bytes) -> None:
    other = collector.connect()
    assert collector.raw(data) == b""
    other.deliver([line(1)])


def test_other_commands_are_answered_as_the_protocol_says(collector: Collector) -> None:
    answers = collector.raw(b"1 open 14 relp_version=0\n2 starttls 0\n3 close 0\n")
    assert re.match(rb"1 rsp \d+ 200 OK\nrelp_version=0\n", answers)
    assert b"2 rsp 19 500 unknown command\n3 rsp 6 200 OK\n" in answers


def test_it_ends_at_once_whoever_is_connected(collector: Collector) -> None:
    connection = collector.connect()
    connection.deliver([line(0)])
    collector.stop()
    with pytest.raises(OSError):
        connection.deliver([line(1)])
    assert "Traceback" not in collector.journal.read_text()


def test_a_silent_client_is_asked_whether_it_is_still_there(collector: Collector) -> None:
    connection = collector.connect()
    connection.deliver([line(1)])
    assert wait_for(lambda: timers(collector.port) == [KEEPALIVE], 5, pause=0.02)


def timers(port: int) -> list[str]:
    """What the kernel waits for in each connection of that server."""
    tables = [Path("/proc/net", name).read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    sockets = [entry.split() for table in tables for entry in table]
    return [entry[5][:2] for entry in sockets if entry[1].endswith(f":{port:04X}") and entry[3] == ESTABLISHED]
