"""The forwarder as a whole, over TLS: each system gets the bytes that its protocol's documentation wants."""

from __future__ import annotations

import http.server
import json
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.exporter_figures import Figures
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import basic_auth
from role_programs import ROLES, program_directory
from tls_server import Certificate, Page, accepting, answering, make_certificate, server_context, serving

LIBRARY = "log_collector/templates/usr/local/lib/airworthy"
with program_directory(f"{LIBRARY}/log_store"), program_directory(f"{LIBRARY}/log_forwarding"):
    import entries
    import store
    import to_loki
    import to_syslog

pytestmark = pytest.mark.skipif(not shutil.which("zstd"), reason="the command zstd is not installed")

PROGRAM = ROLES / LIBRARY / "log_forwarding"
TODAY = datetime.now(UTC).date()
RECORD = {
    "time": "2026-11-27T10:00:00.123456Z", "program": "app", "id": "s-1", "level": "err", "message": "não\n\"x\"",
    "host": "web1", "received": "2026-11-27T10:00:01.000000Z",
}  # fmt: skip


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


class Program:
    """In a process of its own, for one target that is called t."""

    def __init__(self, directory: Path, ca: Path, **target: Any) -> None:
        self.root, self.state, self.settings = directory / "store", directory / "state", directory / "settings.json"
        self.state.mkdir()
        self.log = self.root / "web1/app" / f"{TODAY}.jsonl"
        self.log.parent.mkdir(parents=True)
        self.settings.write_text(json.dumps([{"name": "t", "ca": ca.read_text(), **target}]))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-I", str(PROGRAM), str(self.settings), str(self.root), str(self.state)]
        figures = self.state / "figures.prom"
        figures.unlink(missing_ok=True)
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE)
        wait_for(lambda: figures.exists() and (self.state / "targets/t/begun.json").exists())

    def stop(self) -> str:
        assert self.process
        self.process.terminate()
        said = self.process.communicate(timeout=10)[1].decode()
        assert self.process.returncode == 0
        return said

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.communicate()

    def write(self, *records: dict[str, Any]) -> None:
        with self.log.open("a") as file:
            file.writelines(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n" for record in records)

    def is_kept(self) -> bool:
        kept = self.state / f"targets/t/{TODAY}.json"
        size = self.log.stat().st_size
        return kept.exists() and json.loads(kept.read_text())["web1/app"]["offset"] == size


def wait_for(condition: Callable[[], Any]) -> None:
    limit = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)


@contextmanager
def running(directory: Path, certificate: Certificate, **target: Any) -> Iterator[Program]:
    program = Program(directory, certificate.ca, **target)
    program.start()
    try:
        yield program
    finally:
        program.kill()


def record(number: int, **more: Any) -> dict[str, Any]:
    return RECORD | {"id": f"s-{number}"} | more


class Service:
    """A web service, which says what it is told to say, and afterwards always the same."""

    def __init__(self, always: Callable[[bytes], Page]) -> None:
        self.says: list[Page] = []
        self.always = always
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> Page:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        self.requests.append((request.command, request.path, dict(request.headers), body))
        return self.says.pop(0) if self.says else self.always(body)

    @contextmanager
    def serving(self, certificate: Certificate) -> Iterator[str]:
        context = server_context(certificate, alpn=("http/1.1",), only="")
        with serving(answering(self.answer), context) as port:
            yield f"https://127.0.0.1:{port}"


# A service of one's own


def test_json_lines_are_posted_as_they_are_stored(tmp_path: Path, certificate: Certificate) -> None:
    service = Service(lambda _body: Page(204))
    with (
        service.serving(certificate) as url,
        running(tmp_path, certificate, type="http", url=f"{url}/logs/?a=b", token="hunter2") as program,
    ):
        program.write(record(1), record(2))
        wait_for(program.is_kept)
        stored = program.log.read_bytes()
        said = program.stop()
    command, path, headers, _body = service.requests[0]
    assert (command, path) == ("POST", "/logs/?a=b")
    assert (headers["Authorization"], headers["Content-Type"]) == ("Bearer hunter2", "application/x-ndjson")
    assert b"".join(request[3] for request in service.requests) == stored
    assert said == ""


def test_a_service_that_fails_gets_the_same_again_and_nothing_is_skipped(
    tmp_path: Path, certificate: Certificate
) -> None:
    service = Service(lambda _body: Page(200))
    service.says = [Page(503, body=b"down\nfor repair"), Page(403, body=b"no right")]
    with (
        service.serving(certificate) as url,
        running(tmp_path, certificate, type="http", url=f"{url}/logs", token="hunter2") as program,
    ):
        program.write(record(1))
        wait_for(program.is_kept)
        said = program.stop()
    assert len({request[3] for request in service.requests}) == 1
    assert len(service.requests) == 3
    assert said.splitlines() == [
        "<4>t takes nothing: it answers 503: down for repair", "<3>t takes nothing: it answers 403: no right"
    ]  # fmt: skip
    assert "hunter2" not in said


def test_a_redirect_is_not_followed(tmp_path: Path, certificate: Certificate) -> None:
    service = Service(lambda _body: Page(200))
    service.says = [Page(302, headers=(("Location", "https://elsewhere.example.org/"),))]
    with (
        service.serving(certificate) as url,
        running(tmp_path, certificate, type="http", url=f"{url}/logs") as program,
    ):
        program.write(record(1))
        wait_for(program.is_kept)
        assert "<3>t takes nothing: it answers 302" in program.stop()
    assert "Authorization" not in service.requests[0][2]


def test_who_cannot_prove_its_name_gets_nothing(tmp_path: Path, certificate: Certificate) -> None:
    service = Service(lambda _body: Page(200))
    stranger = make_certificate(tmp_path / "stranger")
    with service.serving(certificate) as url, running(tmp_path, stranger, type="http", url=url) as program:
        program.write(record(1))
        time.sleep(1.5)
        said = program.stop()
    assert re.match("<3>t takes nothing: .*certificate verify failed", said)
    assert service.requests == []


def test_a_kill_costs_nothing_but_records_that_come_twice(tmp_path: Path, certificate: Certificate) -> None:
    service = Service(lambda _body: Page(200))
    with (
        service.serving(certificate) as url,
        running(tmp_path, certificate, type="http", url=url) as program,
    ):
        for begin in (0, 400, 800):
            program.write(*(record(number) for number in range(begin, begin + 400)))
            last = f'"s-{begin + 399}"'.encode()
            wait_for(lambda last=last: last in b"".join(request[3] for request in service.requests))
            program.kill()
            program.start()
        wait_for(program.is_kept)
        program.stop()
    lines = b"".join(request[3] for request in service.requests).splitlines()
    assert list(dict.fromkeys(json.loads(line)["id"] for line in lines)) == [f"s-{number}" for number in range(1200)]


# Elasticsearch: https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk


class Index(Service):
    """Creates each document once, as "create" does, and has its moods."""

    def __init__(self) -> None:
        super().__init__(self.bulk)
        self.documents: dict[str, dict[str, Any]] = {}
        self.moods: dict[str, list[int]] = {}

    def bulk(self, body: bytes) -> Page:
        items = []
        lines = body.decode().splitlines()
        assert body.endswith(b"\n")
        for action, document in zip(lines[::2], lines[1::2], strict=True):
            create = json.loads(action)["create"]
            assert set(create) == {"_index", "_id"}
            status = moods.pop(0) if (moods := self.moods.get(create["_id"])) else 201
            status = 409 if status == 201 and create["_id"] in self.documents else status
            if status == 201:
                self.documents[create["_id"]] = json.loads(document)
            reason = "failed to parse field [a] Preview of field's value: 'anna'"
            error = {"error": {"type": "document_parsing_exception", "reason": reason}} if status > 201 else {}
            items.append({"create": {"_index": create["_index"], "_id": create["_id"], "status": status, **error}})
        errors = any(item["create"]["status"] > 201 for item in items)
        return Page(200, body=json.dumps({"took": 1, "errors": errors, "items": items}).encode())


def test_elasticsearch_creates_each_record_once(tmp_path: Path, certificate: Certificate) -> None:
    index = Index()
    index.moods = {"web1/app/s-2": [429, 503], "web1/app/s-3": [400]}
    with (
        index.serving(certificate) as url,
        running(tmp_path, certificate, type="elasticsearch", url=f"{url}/es/", index="logs", user="a", password="b")
        as program,
    ):
        program.write(record(1), record(2), record(1), record(3), record(4))
        wait_for(program.is_kept)
        said = program.stop()
        figures = Figures.of((program.state / "figures.prom").read_text())
    command, path, headers, _body = index.requests[0]
    assert (command, path, headers["Content-Type"]) == ("POST", "/es/_bulk", "application/x-ndjson")
    assert headers["Authorization"] == basic_auth("a", "b")["Authorization"]
    assert sorted(index.documents) == ["web1/app/s-1", "web1/app/s-2", "web1/app/s-4"]
    assert index.documents["web1/app/s-1"] == {"@timestamp": RECORD["time"]} | record(1)
    assert (
        "<3>t refused for good: web1/app/s-3 (400 document_parsing_exception: failed to parse field [a])\n" in said
    )
    assert figures.unread == 0


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"items": []}', b'{"items": [{"index": {}}]}'])
def test_what_does_not_answer_as_elasticsearch_has_nothing(
    tmp_path: Path, certificate: Certificate, body: bytes
) -> None:
    index = Index()
    index.says = [Page(200, body=body)]
    with (
        index.serving(certificate) as url,
        running(tmp_path, certificate, type="elasticsearch", url=url, index="logs") as program,
    ):
        program.write(record(1))
        wait_for(program.is_kept)
        assert "<4>t takes nothing: it answers for 0" in (said := program.stop()) or "as _bulk does" in said
    assert list(index.documents) == ["web1/app/s-1"]


# Loki: https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs


def test_loki_gets_streams_with_few_labels(tmp_path: Path, certificate: Certificate) -> None:
    service = Service(lambda _body: Page(204))
    with (
        service.serving(certificate) as url,
        running(tmp_path, certificate, type="loki", url=url, tenant=7, hosts="web1,web2") as program,
    ):
        program.write(record(1), record(2, level="info"), record(3))
        wait_for(program.is_kept)
        lines = program.log.read_text().splitlines()
        assert program.stop() == ""
    _command, path, headers, _body = service.requests[0]
    assert path == "/loki/api/v1/push"
    assert (headers["X-Scope-OrgID"], headers["Content-Type"]) == ("7", "application/json")
    streams = [stream for request in service.requests for stream in json.loads(request[3])["streams"]]
    labels = {"host": "web1", "program": "app"}
    errors = [stream for stream in streams if stream["stream"] == labels | {"level": "err"}]
    values = [value for stream in errors for value in stream["values"]]
    assert values == [["1795773600123456000", lines[0]], ["1795773600123456000", lines[2]]]
    assert {json.dumps(stream["stream"]) for stream in streams} == {
        json.dumps(labels | {"level": level}) for level in ("err", "info")
    }


def entry(**more: Any) -> Any:
    found = RECORD | more
    log = store.Log(TODAY, "web1", "app", Path("/var/log/airworthy/web1/app"))
    return entries.Entry(log, found, json.dumps(found).encode())


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({}, "2026-11-27T10:00:00.123456Z"),
        ({"time": "2026-11-27T11:00:00+01:00"}, "2026-11-27T10:00:00.000000Z"),
        ({"time": "1969-12-31T23:59:59.9Z"}, "1969-12-31T23:59:59.900000Z"),
        ({"time": "yesterday"}, "2026-11-27T10:00:01.000000Z"),
        ({"time": None}, "2026-11-27T10:00:01.000000Z"),
        ({"time": "2026-11-27T10:00:00"}, "2026-11-27T10:00:01.000000Z"),
    ],
)
def test_each_record_has_a_time(told: dict[str, Any], wanted: str) -> None:
    assert entry(**told).time == wanted
    assert to_loki.streams([entry(**told)])[0]["values"][0][0].isdigit() or wanted < "1970"


def test_a_record_without_an_id_has_one_nevertheless() -> None:
    one, other = entry(id=None), entry(id=None, message="another")
    assert one.identity == entry(id=None).identity != other.identity
    assert len(entry(id="ä" * 600).identity) == 64


# Syslog: https://www.rfc-editor.org/rfc/rfc5424#section-6, https://www.rfc-editor.org/rfc/rfc5425#section-4.3


class SyslogServer:
    """Takes frames until it is told to hang up, which it does without having read what came."""

    def __init__(self, certificate: Certificate) -> None:
        self.context = server_context(certificate, only="")
        self.streams: list[bytes] = []
        self.limit = 1 << 30

    def converse(self, connection: socket.socket) -> None:
        with self.context.wrap_socket(connection, server_side=True) as client:
            number = len(self.streams)
            self.streams.append(b"")
            while len(self.streams[number]) < self.limit and (data := client.recv(1 << 16)):
                self.streams[number] += data
            self.limit = 1 << 30

    @property
    def frames(self) -> list[list[bytes]]:
        return [list(frames(stream)) for stream in self.streams]


def frames(stream: bytes) -> Iterator[bytes]:
    while found := re.match(rb"([1-9]\d*) ", stream):
        end = found.end() + int(found[1])
        if len(stream) < end:
            return
        yield stream[found.end() : end]
        stream = stream[end:]


def test_syslog_messages_have_their_octets_counted(tmp_path: Path, certificate: Certificate) -> None:
    server = SyslogServer(certificate)
    with (
        accepting(server.converse) as port,
        running(tmp_path, certificate, type="syslog", address="127.0.0.1", port=port) as program,
    ):
        program.write(record(1), record(2, level="info"))
        wait_for(program.is_kept)
        lines = program.log.read_bytes().splitlines()
        wait_for(lambda: len(server.frames[0]) == 2)
        assert program.stop() == ""
    head = b"1 2026-11-27T10:00:00.123456Z web1 app - - - "
    assert server.frames[0] == [b"<131>" + head + lines[0], b"<134>" + head + lines[1]]
    assert server.streams[0].startswith(b"%d <131>1 " % len(b"<131>" + head + lines[0]))


def test_after_a_receiver_has_hung_up_the_last_batch_comes_again(tmp_path: Path, certificate: Certificate) -> None:
    server = SyslogServer(certificate)
    server.limit = 1
    with (
        accepting(server.converse) as port,
        running(tmp_path, certificate, type="syslog", address="127.0.0.1", port=port) as program,
    ):
        program.write(record(1))
        wait_for(lambda: len(server.streams) == 1 and server.streams[0])
        time.sleep(1)
        program.write(record(2))
        wait_for(lambda: len(server.streams) == 2 and len(server.frames[1]) == 2)
        wait_for(program.is_kept)
        program.stop()
    assert [json.loads(said.partition(b" - - - ")[2])["id"] for said in server.frames[1]] == ["s-1", "s-2"]


def test_a_syslog_server_that_was_away_gets_everything(tmp_path: Path, certificate: Certificate) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with running(tmp_path, certificate, type="syslog", address="127.0.0.1", port=port) as program:
        program.write(*(record(number) for number in range(1200)))
        time.sleep(1)
        server = SyslogServer(certificate)
        listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=lambda: server.converse(listener.accept()[0]), daemon=True).start()
        wait_for(lambda: server.streams and len(server.frames[0]) == 1200)
        wait_for(program.is_kept)
        said = program.stop()
        listener.close()
    assert said.count("<4>t takes nothing: [Errno 111] Connection refused") >= 1


def test_a_receiver_that_was_killed_before_it_took_what_was_sent_is_not_waited_for(
    tmp_path: Path, certificate: Certificate
) -> None:
    server = SyslogServer(certificate)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    def serve() -> None:
        with server.context.wrap_socket(listener.accept()[0], server_side=True) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            time.sleep(0.5)  # and then it is gone, with what it did not read
        server.converse(listener.accept()[0])

    threading.Thread(target=serve, daemon=True).start()
    port = listener.getsockname()[1]
    with running(tmp_path, certificate, type="syslog", address="127.0.0.1", port=port) as program:
        program.write(*(record(number, message="x" * 1500) for number in range(400)))
        wait_for(lambda: server.streams and len(server.frames[0]) >= 400)
        wait_for(program.is_kept)
        assert program.stop().count("<4>t takes nothing") == 1
    listener.close()


@pytest.mark.parametrize(
    ("text", "wanted"), [("web1", "web1"), ("ä b", "__b"), ("", "-"), ("x" * 300, "x" * 48)]
)
def test_a_field_of_a_message_is_printable(text: str, wanted: str) -> None:
    assert to_syslog.field(text, 48) == wanted


# All of them


def test_a_target_that_is_away_holds_up_no_other_and_one_that_is_taken_out_is_forgotten(
    tmp_path: Path, certificate: Certificate
) -> None:
    service = Service(lambda _body: Page(200))
    with (
        service.serving(certificate) as url,
        running(tmp_path, certificate, type="http", url=url) as program,
    ):
        program.stop()
        [target] = json.loads(program.settings.read_text())
        away = target | {"name": "away", "url": "https://127.0.0.1:1/"}
        program.settings.write_text(json.dumps([away, target]))
        program.start()
        wait_for((program.state / "targets/away/begun.json").exists)
        program.write(record(1))
        wait_for(program.is_kept)
        program.stop()
        program.settings.write_text(json.dumps([target]))
        program.start()
        wait_for(lambda: not (program.state / "targets/away").exists())
        program.stop()
        read = Figures.of((program.state / "figures.prom").read_text())
    assert read.values("airworthy_log_forwarder_records_total", target="t") == [0]
    assert read.values("airworthy_log_forwarder_records_total", target="away") == []
    assert (program.state / "figures.prom").stat().st_mode & 0o777 == 0o644
    assert (program.state / "targets/t").stat().st_mode & 0o777 == 0o700
