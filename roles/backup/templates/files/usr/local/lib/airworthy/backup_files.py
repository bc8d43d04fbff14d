# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Backs up a server's files with restic, and keeps the repositories in order on the host that holds them.

On every server, told by files.json: run, restore-test, status, metrics. On the repository host, told by
files_repository.json: sweep, check, prune, repository-metrics. A server can only add to its repository; what goes is
decided on the repository host, and by the time at which a snapshot arrived there, since the time written in it is
whatever a server says.

    backup_files.py snapshots                          what there is to restore
    backup_files.py restore SNAPSHOT TARGET [PATH…]    below the directory TARGET, or / itself; SNAPSHOT may be latest
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, cast

CONFIGURATION = Path("/etc/airworthy/backup")
CLIENT_STATE = Path("/var/lib/airworthy/files")
REPOSITORY_STATE = Path("/var/lib/airworthy/files-repository")
COLLECTOR = Path("/var/lib/prometheus/node-exporter")
CANARY = CLIENT_STATE / "canary"
INCOMPLETE = 3  # restic's status when it saved a snapshot without some of the files
# restic goes on trying for a quarter of an hour. With such a pause between two attempts, two minutes have passed.
LONGEST_PAUSE_SECONDS = 35
LOCK_POLL_SECONDS = 10
KEEP_ALL_DAYS = 2  # before the newest snapshot; one before a change and one after it are both wanted
STRAY_HOURS = 24  # a snapshot's time and its arrival may be so far apart
COPY_BYTES = 1 << 20

Series = tuple[str, Mapping[str, str], float | None]  # name, labels, value


class Refused(Exception):
    """Why there is no backup, or no check; in words for whoever reads the journal."""


# --- what is remembered, and told to Prometheus ---


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(staged, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
        file.write(text)
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())
    staged.rename(path)


def remembered(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found


def remember(path: Path, **changes: Any) -> dict[str, Any]:
    state = remembered(path) | changes
    write_atomically(path, json.dumps(state, indent=1, sort_keys=True) + "\n")
    return state


@contextmanager
def recorded(path: Path) -> Iterator[dict[str, Any]]:
    """Remember how a run ended. One that is killed has begun and not succeeded, which is what stands there then."""
    begun = time.time()
    result: dict[str, Any] = {}
    remember(path, begun=begun, success=False, message="it began, and did not come to its end")
    try:
        yield result
    except Refused as refusal:
        remember(path, ended=time.time(), message=str(refusal), **result)
        raise
    ended = time.time()
    done = {"ended": ended, "duration": ended - begun, "last_success": ended, "success": True, "message": "done"}
    remember(path, **done, **result)


def exposition(series: Iterable[Series]) -> str:
    """Prometheus' text format; what is unknown is left out."""
    lines, known = [], set()
    for name, labels, value in series:
        if value is None:
            continue
        if name not in known:
            lines.append(f"# TYPE airworthy_files_backup_{name} gauge")
            known.add(name)
        shown = ",".join(f'{key}="{text}"' for key, text in labels.items())
        lines.append(f"airworthy_files_backup_{name}{f'{{{shown}}}' if shown else ''} {float(value):.15g}")
    return "\n".join(lines) + "\n"


def publish(name: str, series: Iterable[Series]) -> None:
    if COLLECTOR.is_dir():  # where there are no exporters, nobody asks
        write_atomically(COLLECTOR / name, exposition(series), 0o644)


@contextmanager
def alone(state: Path) -> Iterator[None]:
    """systemd starts no unit twice, but a person may start this by hand beside it."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(os.open(state / "lock", os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused("another run is at work; this one leaves it alone") from None
        yield


# --- restic ---

EXPLANATIONS = (
    ("wrong password or no key found", "the key does not open the repository: is {password_file} that of another one?"),
    ("401 Unauthorized", "the repository host does not know this server by the name and password in files_location"),
    ("no space left on device|file too big for remaining", "the disk of the repository is full"),
    (
        "500 Internal Server Error|507 Insufficient Storage",
        "the repository host could not store it: its disk is full, or fails; its journal says which",
    ),
    ("403 Forbidden", "the repository host refuses that: it only lets this server add to its own repository"),
    (r"x509|tls: |certificate", "the certificates of the two do not fit: ansible-playbook site.yml --tags tls,backup"),
    ("connection refused|no such host|no route|i/o timeout|deadline exceeded", "the repository host cannot be reached"),
    ("INTERNAL_ERROR|EOF|context canceled", "the server on the repository host does not answer as it should"),
    ("already locked", "somebody else holds a lock on the repository, and did not let go of it"),
)


def explained(errors: str, password_file: str) -> str:
    """What restic's errors come to, with the last of them."""
    dull = re.compile(r"^\s*$|^\s|^Is there a|^rest:|context canceled|signal interrupt")
    lines = [line for line in errors.splitlines() if not dull.search(line)]
    telling = [line for line in lines if re.search("Fatal|^panic", line)] or lines[-1:] or ["it says nothing"]
    last = telling[-1]
    for pattern, meaning in EXPLANATIONS:
        if re.search(pattern, errors, re.IGNORECASE):
            return f"{meaning.format(password_file=password_file)} (restic: {last.strip()[:300]})"
    return f"restic: {last.strip()[:300]}"


def pause_announced(line: str) -> float:
    """The seconds after which restic tries again, from what it says of a failure."""
    found = re.search(r"retrying after (?:(\d+)m)?(?:([\d.]+)(ms|s))?", line)
    if not found:
        return 0
    minutes, amount, unit = found.groups()
    return int(minutes or 0) * 60 + float(amount or 0) / (1000 if unit == "ms" else 1)


@dataclass
class Answer:
    code: int
    lines: list[str]
    errors: str


@dataclass(frozen=True)
class Repository:
    name: str
    where: tuple[str, ...]  # the options that lead there
    password_file: str
    lock_wait_seconds: float = 2400  # half an hour after its last sign of life, a lock counts as stale
    options: tuple[str, ...] = ()

    def _once(self, words: tuple[str, ...], each: Callable[[str], None] | None) -> Answer:
        command = ["restic", *self.where, "--password-file", self.password_file, *self.options, *words]
        lines: list[str] = []
        errors: list[str] = []
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            output, complaints = cast(IO[str], process.stdout), cast(IO[str], process.stderr)

            def listen(stream: Iterable[str]) -> None:
                for line in stream:
                    errors.append(line)
                    if pause_announced(line) > LONGEST_PAUSE_SECONDS:
                        process.send_signal(signal.SIGINT)

            listener = threading.Thread(target=listen, args=(complaints,), daemon=True)
            listener.start()
            for line in output:
                (each or lines.append)(line)
            listener.join()
        return Answer(process.returncode, lines, "".join(errors))

    def ask(self, *words: str, each: Callable[[str], None] | None = None) -> Answer:
        """Run restic; while somebody else holds the lock, wait, and take away what a killed restic left."""
        patience = time.monotonic() + self.lock_wait_seconds
        while True:
            answer = self._once(words, each)
            locked = answer.code != 0 and "already locked" in answer.errors
            if not locked or time.monotonic() > patience:
                return answer
            time.sleep(min(LOCK_POLL_SECONDS, self.lock_wait_seconds))
            self._once(("unlock",), None)

    def get(self, *words: str, each: Callable[[str], None] | None = None) -> list[str]:
        answer = self.ask(*words, each=each)
        if answer.code != 0:
            raise Refused(explained(answer.errors + "".join(answer.lines[-20:]), self.password_file))
        return answer.lines

    def snapshots(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads("".join(self.get("snapshots", "--json", "--no-lock"))) or []
        return sorted(found, key=lambda snapshot: str(snapshot["time"]))


# --- on every server ---


@dataclass(frozen=True)
class Client:
    host: str
    paths: list[str]
    excludes: list[str]
    tags: list[str]
    repository_file: str
    password_file: str
    ca: str
    certificate: str
    private_key: str
    sample_files: int = 20
    sample_bytes: int = 64 << 20
    lock_wait_seconds: float = 2400
    host_wait_seconds: float = 60


def load_client() -> Client:
    return Client(**json.loads((CONFIGURATION / "files.json").read_text(encoding="utf-8")))


@contextmanager
def remote(client: Client, patience: float = 5) -> Iterator[Repository]:
    """The repository over TLS. restic wants certificate and key in one file, which lives as long as the run."""
    wait_for(Path(client.repository_file).read_text(encoding="utf-8"), patience)
    both = [Path(path).read_text(encoding="ascii") for path in (client.certificate, client.private_key)]
    with tempfile.NamedTemporaryFile("w", prefix="airworthy-", dir=os.environ.get("RUNTIME_DIRECTORY")) as pem:
        pem.write("\n".join(both))
        pem.flush()
        cache = os.environ.get("CACHE_DIRECTORY", "/var/cache/airworthy-files")
        options = ("--cacert", client.ca, "--tls-client-cert", pem.name, "--cache-dir", cache)
        where = ("--repository-file", client.repository_file)
        yield Repository(client.host, where, client.password_file, client.lock_wait_seconds, options)


def wait_for(location: str, seconds: float) -> None:
    """Both hosts may be starting, or being provisioned, at this moment."""
    found = re.fullmatch(r"rest:https://[^@]*@\[?([^/]+?)\]?:(\d+)/.*", location.strip())
    if found is None:
        raise Refused("files_location is not of the form rest:https://NAME:PASSWORD@HOST:PORT/NAME/")
    host, port = found.groups()
    patience = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except OSError as error:
            if time.monotonic() > patience:
                raise Refused(f"the repository host cannot be reached: {host}, port {port}: {error}") from None
            time.sleep(1)
        else:
            return


def open_or_begin(repository: Repository, state: Path) -> None:
    """Begin a repository where there never was one. One that is gone is no reason to begin another, silently."""
    answer = repository.ask("cat", "config", "--no-lock")
    known = remembered(state).get("repository")
    if answer.code != 0:
        if not re.search(r"config/?> does not exist|\b404\b", answer.errors):
            raise Refused(explained(answer.errors, repository.password_file))
        if known:
            raise Refused(
                f"the repository {known[:8]} is gone from the repository host: is its disk mounted? "
                f"To begin a new one, without the old backups: rm {state}"
            )
        repository.get("init")
        answer = repository.ask("cat", "config", "--no-lock")
    found = str(json.loads("".join(answer.lines))["id"])
    if known not in (None, found):
        raise Refused(
            f"the repository is another one, {found[:8]} in place of {known[:8]}; if that is meant: rm {state}"
        )
    remember(state, repository=found)


def split_paths(paths: list[str]) -> tuple[list[str], list[str]]:
    """Those that are there, and those that are missing."""
    return [path for path in paths if os.path.lexists(path)], [path for path in paths if not os.path.lexists(path)]


def save(client: Client, repository: Repository, paths: list[str]) -> dict[str, Any]:
    """One snapshot. Files come and go meanwhile, so that an incomplete one is tried again, once."""
    words = [word for path in client.excludes for word in ("--exclude", path)]
    words += [word for tag in client.tags for word in ("--tag", tag)]
    summary: dict[str, Any] = {}

    def keep_summary(line: str) -> None:
        message = json.loads(line) if line.startswith("{") else {}
        if message.get("message_type") == "summary":
            summary.update(message)

    answer = Answer(INCOMPLETE, [], "")
    for _attempt in range(2):
        answer = repository.ask(
            "backup", "--json", "--host", client.host, "--exclude-caches", *words, "--", *paths, each=keep_summary
        )
        if answer.code != INCOMPLETE:
            break
    if answer.code == INCOMPLETE:
        raise Refused(f"files could not be read, and are not in the backup: {unread(answer.errors)}")
    if answer.code != 0:
        raise Refused(explained(answer.errors, client.password_file))
    return summary


def unread(errors: str) -> str:
    """The files that restic complains of, a few by name."""
    named = sorted(set(re.findall(r'"item":"([^"]+)"', errors)) or set(re.findall(r"error: (.+)", errors)))
    return ", ".join(named[:5]) + (f" and {len(named) - 5} more" if len(named) > 5 else "")


def run(client: Client) -> str:
    with alone(CLIENT_STATE), recorded(CLIENT_STATE / "run.json") as result:
        present, missing = split_paths(client.paths)
        result["missing"] = missing
        if missing:
            print(f"not there, and so not in the backup: {', '.join(missing)}", flush=True)
        if not present:
            raise Refused("none of backup_files_paths is there")
        with remote(client, client.host_wait_seconds) as repository:
            open_or_begin(repository, CLIENT_STATE / "repository.json")
            repository.ask("unlock")
            # Not only random: the repository host looks whether these words can be read there.
            text = f"airworthy canary of {client.host} {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {secrets.token_hex(16)}\n"
            write_atomically(CANARY, text)
            summary = save(client, repository, [*present, str(CANARY)])
            result["canary"] = hashlib.sha256(text.encode()).hexdigest()
            result["snapshot"] = summary["snapshot_id"]
            result["added_bytes"] = summary.get("data_added_packed", summary["data_added"])
            result["files"] = summary["total_files_processed"]
            result["snapshots"] = len(repository.snapshots())
    return f"{result['files']} files are in snapshot {result['snapshot'][:8]}, which is one of {result['snapshots']}"


@dataclass(frozen=True)
class Stored:
    """A regular file as a snapshot has it."""

    path: str
    size: int
    mtime: str
    ctime: str

    def is_unchanged(self, now: os.stat_result) -> bool:
        return self.size == now.st_size and all(
            same_time(text, moment) for text, moment in ((self.mtime, now.st_mtime_ns), (self.ctime, now.st_ctime_ns))
        )


def same_time(text: str, nanoseconds: int) -> bool:
    """Whether a time as restic writes it is that moment, to the microsecond."""
    match = re.fullmatch(r"(.{19})(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", text)
    if match is None:
        return False
    seconds, fraction, zone = match.groups()
    moment = datetime.fromisoformat(seconds + ("+00:00" if zone == "Z" else zone)).timestamp()
    return int(moment) * 10**6 + int((fraction or "0")[:6].ljust(6, "0")) == nanoseconds // 1000


class Sample:
    """Some files of a list that is too long to keep: each has the same chance (reservoir sampling)."""

    def __init__(self, count: int, largest: int, chance: random.Random) -> None:
        self.files: list[Stored] = []
        self.canary: Stored | None = None
        self._count, self._largest, self._chance, self._seen = count, largest, chance, 0

    def add(self, line: str) -> None:
        node = json.loads(line) if line.startswith("{") else {}
        if node.get("type") != "file":
            return
        stored = Stored(node["path"], int(node.get("size", 0)), node.get("mtime", ""), node.get("ctime", ""))
        if stored.path == str(CANARY):
            self.canary = stored
        elif stored.size <= self._largest:
            self._seen += 1
            if len(self.files) < self._count:
                self.files.append(stored)
            elif (place := self._chance.randrange(self._seen)) < self._count:
                self.files[place] = stored


def pattern_of(path: str) -> str:
    """A path as restic's --include takes it, in which *, ? and [ are special."""
    return re.sub(r"([\\*?\[])", r"\\\1", path)


def digest(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(COPY_BYTES):
            found.update(block)
    return found.hexdigest()


@dataclass
class Comparison:
    restored: int = 0
    equal: int = 0
    changed_since: int = 0
    wrong: list[str] = field(default_factory=list)


def compare(files: list[Stored], root: Path, source: Path = Path("/")) -> Comparison:
    """What was restored against the server's own files, where these are still as the snapshot saw them."""
    result = Comparison()
    for stored in files:
        copy, original = root / stored.path.lstrip("/"), source / stored.path.lstrip("/")
        if not copy.is_file() or copy.stat().st_size != stored.size:
            result.wrong.append(f"{stored.path} did not come back whole")
            continue
        result.restored += 1
        try:
            before = original.lstat()
            same = digest(original) == digest(copy)
            still = stored.is_unchanged(before) and stored.is_unchanged(original.lstat())
        except OSError:
            still = False  # gone since, or put aside just now
        if not still:
            result.changed_since += 1
        elif same:
            result.equal += 1
        else:
            result.wrong.append(f"{stored.path} came back with another content")
    return result


def restore_test(client: Client) -> str:
    """A sample of the newest snapshot and its canary come back, as they are."""
    with alone(CLIENT_STATE), recorded(CLIENT_STATE / "restore_test.json") as result:
        for left in CLIENT_STATE.glob("restore-*"):
            shutil.rmtree(left)
        with remote(client) as repository:
            mine = [snapshot for snapshot in repository.snapshots() if snapshot["hostname"] == client.host]
            if not mine:
                raise Refused(f"there is no snapshot of {client.host} to restore from")
            snapshot = mine[-1]
            result["snapshot"], result["snapshot_time"] = snapshot["id"], snapshot["time"]
            largest = client.sample_bytes // client.sample_files
            sample = Sample(client.sample_files, largest, random.Random())  # noqa: S311  nobody gains by guessing
            repository.get("ls", "--json", "--no-lock", snapshot["id"], each=sample.add)
            if sample.canary is None:
                raise Refused(f"the canary {CANARY} is not in snapshot {snapshot['id'][:8]}")
            with tempfile.TemporaryDirectory(prefix="restore-", dir=CLIENT_STATE) as scratch:
                wanted = [*sample.files, sample.canary]
                includes = [word for file in wanted for word in ("--include", pattern_of(file.path))]
                repository.get("restore", snapshot["id"], "--no-lock", "--target", scratch, "--verify", *includes)
                seen = compare(wanted, Path(scratch))
                canary = Path(scratch) / str(CANARY).lstrip("/")
                expected = remembered(CLIENT_STATE / "run.json").get("canary")
                if canary.is_file() and digest(canary) != expected:
                    seen.wrong.append("the canary is not the one that the last backup wrote")
        result.update(restored=seen.restored, equal=seen.equal, changed_since=seen.changed_since, wrong=seen.wrong)
        if seen.wrong:
            raise Refused(f"snapshot {snapshot['id'][:8]} does not restore: {'; '.join(seen.wrong[:5])}")
    return f"{seen.equal} of {seen.restored} restored files are as on the server, {seen.changed_since} changed since"


def client_series(done: Mapping[str, Any], test: Mapping[str, Any]) -> list[Series]:
    return [
        ("success", {}, done.get("success")),
        ("last_run_time_seconds", {}, done.get("begun")),
        ("last_success_time_seconds", {}, done.get("last_success")),
        ("duration_seconds", {}, done.get("duration")),
        ("added_bytes", {}, done.get("added_bytes")),
        ("files", {}, done.get("files")),
        ("snapshots", {}, done.get("snapshots")),
        ("missing_paths", {}, len(done["missing"]) if "missing" in done else None),
        ("restore_test_success", {}, test.get("success")),
        ("restore_test_last_success_time_seconds", {}, test.get("last_success")),
    ]


def status(client: Client) -> str:
    """What the repository itself says, for the audit; what stands in run.json is what this server remembers."""
    with remote(client) as repository:
        mine = [snapshot for snapshot in repository.snapshots() if snapshot["hostname"] == client.host]
    return json.dumps({"snapshots": len(mine), "newest": mine[-1]["id"], "time": mine[-1]["time"]} if mine else {})


def snapshots(client: Client) -> str:
    with remote(client) as repository:
        found = repository.snapshots()
    return "\n".join(f"{one['id'][:8]}  {one['time'][:19]}  {one['hostname']}" for one in found) or "none"


def restore(client: Client, snapshot: str, target: str, *paths: str) -> str:
    includes = [word for path in paths for word in ("--include", pattern_of(path))]
    with remote(client) as repository:
        repository.get("restore", snapshot, "--no-lock", "--target", target, "--verify", *includes)
    return f"snapshot {snapshot} lies below {target}"


def metrics() -> str:
    done, test = remembered(CLIENT_STATE / "run.json"), remembered(CLIENT_STATE / "restore_test.json")
    publish("airworthy_files_backup.prom", client_series(done, test))
    return ""


# --- on the repository host ---


@dataclass(frozen=True)
class Keep:
    daily: int
    weekly: int
    monthly: int


@dataclass(frozen=True)
class Store:
    directory: str
    clients: list[str]
    password_file: str
    keep: Keep
    check_percent: int
    lock_wait_seconds: float = 2400

    def repository(self, client: str) -> Repository:
        return Repository(
            client,
            ("--repo", str(Path(self.directory) / client)),
            self.password_file,
            self.lock_wait_seconds,
            ("--no-cache",),
        )

    def arrivals(self, client: str) -> dict[str, datetime]:
        """When each snapshot came to lie here. Nothing that a server says has a part in it."""
        files = (Path(self.directory) / client / "snapshots").iterdir()
        return {path.name: datetime.fromtimestamp(path.stat().st_mtime, UTC) for path in files}


def load_store() -> Store:
    told = json.loads((CONFIGURATION / "files_repository.json").read_text(encoding="utf-8"))
    return Store(**(told | {"keep": Keep(**told["keep"])}))


def kept(arrivals: Mapping[str, datetime], keep: Keep) -> set[str]:
    """The last snapshot of each of the last days, weeks and months that have one, and all of the last two days.

    Days without a snapshot don't count, so that neither a server that fell silent nor a clock that jumped costs
    anything; and a flood of snapshots within one day is one day.
    """
    newest_first = sorted(arrivals, key=lambda name: (arrivals[name], name), reverse=True)
    periods: tuple[tuple[int, Callable[[datetime], object]], ...] = (
        (keep.daily, lambda moment: moment.date()),
        (keep.weekly, lambda moment: tuple(moment.isocalendar())[:2]),
        (keep.monthly, lambda moment: (moment.year, moment.month)),
    )
    recent = timedelta(days=KEEP_ALL_DAYS)
    found = {name for name in newest_first if arrivals[newest_first[0]] - arrivals[name] < recent}
    for count, period in periods:
        seen: set[object] = set()
        for name in newest_first:
            if (one := period(arrivals[name])) not in seen and len(seen) < count:
                seen.add(one)
                found.add(name)
    return found


def strays(snapshots: Iterable[Mapping[str, Any]], arrivals: Mapping[str, datetime], client: str) -> list[str]:
    """Snapshots that say they are of another time than that of their arrival, or of another server."""
    found = []
    for snapshot in snapshots:
        arrival = arrivals.get(snapshot["id"])
        said = datetime.fromisoformat(re.sub(r"\.\d+", "", snapshot["time"]).replace("Z", "+00:00"))
        if snapshot["hostname"] != client or (arrival and abs(arrival - said) > timedelta(hours=STRAY_HOURS)):
            found.append(f"{snapshot['id'][:8]} ({snapshot['hostname']}, {said:%Y-%m-%d %H:%M} UTC)")
    return found


def for_each_client(store: Store, what: str, work: Callable[[str, dict[str, Any]], str]) -> str:
    """Do it for every client that has a repository; what fails for one does not keep the others from it."""
    failed, done = [], []
    with alone(REPOSITORY_STATE):
        for client in store.clients:
            if not (Path(store.directory) / client / "config").exists():
                print(f"{client}: has no repository yet", flush=True)
                continue
            try:
                with recorded(REPOSITORY_STATE / f"{what}-{client}.json") as result:
                    print(f"{client}: {work(client, result)}", flush=True)
                done.append(client)
            except Refused as refusal:
                failed.append(f"{client}: {refusal}")
    if failed:
        raise Refused("; ".join(failed))
    return f"{what}: {', '.join(done) or 'no repository'}"


def faults(output: str) -> str:
    """What restic check found, in a few lines: the packs, indexes and snapshots that it names."""
    telling = re.compile("error|fatal|pack|hash|does not|invalid|ciphertext|missing|unable|damaged", re.IGNORECASE)
    # restic's advice is for those who repair; the journal of a manual run has it
    dull = re.compile(r"^(check|read|load|create|using|The repo|This can|Damaged|restic |\[)|additional|no errors")
    lines = [line.strip() for line in output.splitlines()]
    lines = [line for line in lines if telling.search(line) and not dull.search(line)]
    return "; ".join(dict.fromkeys(lines))[:1500]


def examine(repository: Repository, *words: str) -> None:
    answer = repository.ask("check", *words)
    if answer.code != 0:
        output = answer.errors + "".join(answer.lines)
        if re.search("wrong password|already locked", output):
            raise Refused(explained(answer.errors, repository.password_file))
        raise Refused(f"the repository is damaged: {faults(output)}")


def check(store: Store) -> str:
    def work(client: str, result: dict[str, Any]) -> str:
        repository = store.repository(client)
        whole = store.check_percent == 100
        examine(repository, "--read-data" if whole else f"--read-data-subset={store.check_percent}%")
        result["strays"] = strays(repository.snapshots(), store.arrivals(client), client)
        return f"whole; {store.check_percent} % of it was read"

    return for_each_client(store, "check", work)


def prune(store: Store) -> str:
    def work(client: str, result: dict[str, Any]) -> str:
        repository = store.repository(client)
        # A server that was broken into may have written what passes for data already stored. What is removed is
        # never made up for, so all of it is read first.
        examine(repository, "--read-data")
        arrivals = store.arrivals(client)
        going = sorted(set(arrivals) - kept(arrivals, store.keep))
        if going:
            repository.get("forget", *going)
        repository.get("prune")
        result["removed"], result["kept"] = len(going), len(arrivals) - len(going)
        return f"{result['removed']} snapshots removed, {result['kept']} kept"

    return for_each_client(store, "prune", work)


def sweep(store: Store, now: float | None = None) -> str:
    """Put aside what an upload left in pieces when the server died. Called before it starts: nothing is uploading.

    restic names each file after its content's hash; in append-only mode nobody could ever replace such a piece.
    """
    now = time.time() if now is None else now
    aside = Path(store.directory) / ".torn"
    found = []
    for client in store.clients:
        for path in (Path(store.directory) / client).glob("*/**/*"):
            if path.parent.name == "keys" or not path.is_file() or now - path.stat().st_mtime > STRAY_HOURS * 3600:
                continue
            if digest(path) != path.name:
                aside.mkdir(exist_ok=True, mode=0o700)
                path.rename(aside / f"{client}-{path.parent.name}-{path.name}")
                found.append(f"{client}/{path.parent.name}/{path.name}")
    return f"put aside into {aside}, since their upload was interrupted: {', '.join(found)}" if found else ""


def tree_bytes(directory: Path) -> int:
    total = 0
    for base, _directories, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(base, name)).st_size
            except FileNotFoundError:  # a lock that was let go
                continue
    return total


def store_series(store: Store) -> list[Series]:
    series: list[Series] = []
    for client in store.clients:
        label = {"client": client}
        directory = Path(store.directory) / client
        arrivals = list(store.arrivals(client).values()) if (directory / "snapshots").is_dir() else []
        checked = remembered(REPOSITORY_STATE / f"check-{client}.json")
        pruned = remembered(REPOSITORY_STATE / f"prune-{client}.json")
        series += [
            ("repository_snapshots", label, len(arrivals)),
            ("repository_newest_time_seconds", label, max(arrivals).timestamp() if arrivals else None),
            ("repository_oldest_time_seconds", label, min(arrivals).timestamp() if arrivals else None),
            ("repository_bytes", label, tree_bytes(directory)),
            ("repository_stray_snapshots", label, len(checked["strays"]) if "strays" in checked else None),
            ("check_success", label, checked.get("success")),
            ("check_last_success_time_seconds", label, checked.get("last_success")),
            ("prune_success", label, pruned.get("success")),
            ("prune_last_success_time_seconds", label, pruned.get("last_success")),
        ]
    series.append(("repository_free_bytes", {}, shutil.disk_usage(store.directory).free))
    return sorted(series, key=lambda one: one[0])  # Prometheus wants the samples of a metric together


def repository_metrics(store: Store) -> str:
    publish("airworthy_files_repository.prom", store_series(store))
    return ""


COMMANDS: dict[str, Callable[..., str]] = {
    "run": lambda: run(load_client()),
    "restore-test": lambda: restore_test(load_client()),
    "status": lambda: status(load_client()),
    "snapshots": lambda: snapshots(load_client()),
    "restore": lambda snapshot, target, *paths: restore(load_client(), snapshot, target, *paths),
    "metrics": metrics,
    "sweep": lambda: sweep(load_store()),
    "check": lambda: check(load_store()),
    "prune": lambda: prune(load_store()),
    "repository-metrics": lambda: repository_metrics(load_store()),
}


def main(arguments: list[str]) -> str:
    command, *words = arguments or [""]
    wanted = len(words) >= 2 if command == "restore" else not words
    if command not in COMMANDS or not wanted:
        raise Refused(f"say one of: {', '.join(COMMANDS)}; and of restore what, and where to")
    return COMMANDS[command](*words)


if __name__ == "__main__":
    try:
        if said := main(sys.argv[1:]):
            print(said)
    except Refused as refusal:
        sys.exit(f"{refusal}.")
