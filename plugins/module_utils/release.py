# Copyright (c) the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where the releases of an application lie on a server, and what its instances run.

    /opt/app/current -> releases/4c1d…      what serves
    /opt/app/previous -> releases/90ab…     what served before it
    /opt/app/releases/4c1d…/release.json    how it was made: the record
    /opt/app/.switching.json                there only while `current` is being exchanged
"""

from __future__ import annotations

import http.client
import json
import os
import re
import time
import urllib.parse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

RECORD = "release.json"
TIMESTAMP = "%Y-%m-%dT%H:%M:%SZ"
PROPERTIES = (
    "Id,LoadState,ActiveState,UnitFileState,NeedDaemonReload,FragmentPath,DropInPaths,"
    "MainPID,ExecMainStartTimestampMonotonic,ControlGroup,MemoryHigh,MemoryMax"
)
ASSIGNMENT = re.compile(
    r"""^\s*(?P<name>[A-Za-z_]\w*)="""
    r"""(?:"(?P<double>(?:[^"\\]|\\[\s\S])*)"|'(?P<single>[^']*)'|(?P<plain>.*))[^\S\n]*$""",
    re.MULTILINE,
)
PUBLIC = re.compile(r"^(NEXT_PUBLIC_|NODE_ENV$|PORT$|HOST$|EMAIL_FROM$)")
SHORTEST_SECRET = 6
LAST_LINES = 20
LONGEST_LINE = 400

RunCommand = Callable[[list[str]], tuple[int, str, str]]


@dataclass(frozen=True)
class Layout:
    """The paths below the directory of an application."""

    dest: str

    @property
    def releases(self) -> str:
        return os.path.join(self.dest, "releases")

    @property
    def journal(self) -> str:
        return os.path.join(self.dest, ".switching.json")

    @property
    def lock(self) -> str:
        return os.path.join(self.dest, ".lock")

    def link(self, name: str) -> str:
        return os.path.join(self.dest, name)

    def release(self, release: str) -> str:
        return os.path.join(self.releases, release)

    def partial(self, release: str) -> str:
        return self.release(release) + ".partial"

    def target(self, name: str) -> str | None:
        """The release to which the link `current` or `previous` points."""
        link = self.link(name)
        return os.path.basename(os.readlink(link)) if os.path.islink(link) else None

    def record(self, release: str | None) -> dict[str, Any] | None:
        return read_json(os.path.join(self.release(release), RECORD)) if release else None


@dataclass(frozen=True)
class Instance:
    """A unit of the application as it is."""

    unit: str
    exists: bool = False
    state: str = "inactive"
    enabled: bool = False
    stale_definition: bool = False
    files: tuple[str, ...] = ()
    pid: int = 0
    started_at: float = 0.0
    release: str | None = None  # that of the running process, not the one of the link
    control_group: str = ""
    memory_high: str = ""
    memory_max: str = ""


@dataclass(frozen=True)
class Health:
    """What a health URL answered."""

    ok: bool
    saw: str
    release: str | None = None


def read_json(path: str) -> dict[str, Any] | None:
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def write_json(path: str, content: dict[str, Any]) -> None:
    """Whole or not at all, also after a loss of power."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + ".new", path)


def now() -> str:
    return time.strftime(TIMESTAMP, time.gmtime())


def parse_show(text: str, now: float, monotonic: float) -> list[Instance]:
    """The instances in the blocks of ``systemctl show``; start times become seconds since the epoch."""
    instances = []
    for block in text.strip().split("\n\n"):
        properties = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        started = int(properties.get("ExecMainStartTimestampMonotonic") or 0) / 1e6
        files = [properties.get("FragmentPath", ""), *properties.get("DropInPaths", "").split()]
        instances.append(
            Instance(
                unit=properties["Id"],
                exists=properties["LoadState"] == "loaded",
                state=properties["ActiveState"],
                enabled=properties.get("UnitFileState", "").startswith("enabled"),
                stale_definition=properties.get("NeedDaemonReload") == "yes",
                files=tuple(path for path in files if path),
                pid=int(properties.get("MainPID") or 0),
                started_at=now - (monotonic - started) if started else 0.0,
                control_group=properties.get("ControlGroup", ""),
                memory_high=properties.get("MemoryHigh", ""),
                memory_max=properties.get("MemoryMax", ""),
            )
        )
    return instances


def observe_instances(units: list[str], layout: Layout, run: RunCommand) -> list[Instance]:
    if not units:
        return []
    rc, out, err = run(["systemctl", "show", "--property", PROPERTIES, "--", *units])
    if rc:
        raise RuntimeError(f"systemctl show failed: {err.strip() or out.strip()}")
    instances = parse_show(out, time.time(), time.clock_gettime(time.CLOCK_MONOTONIC))
    return [
        Instance(**{**vars(instance), "release": running_release(instance.pid, layout)}) if instance.pid else instance
        for instance in instances
    ]


def running_release(pid: int, layout: Layout) -> str | None:
    """The release in whose directory the process was started; None when it is elsewhere or gone."""
    try:
        directory = os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return None
    return os.path.basename(directory) if os.path.dirname(directory) == os.path.realpath(layout.releases) else None


def newest_change(paths: Iterable[str]) -> float:
    """When any of the files was last put in place: ctime, which a rename moves and a copied mtime does not hide."""
    return max((os.stat(path).st_ctime for path in paths if os.path.exists(path)), default=0.0)


def ask_health(url: str, timeout: float = 5.0) -> Health:
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request("GET", parts.path or "/", headers={"User-Agent": "airworthy"})
        response = connection.getresponse()
        body = response.read(4096).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as exception:
        return Health(False, f"no answer ({exception})")
    finally:
        connection.close()
    return Health(response.status == 200, f"{response.status} {body[:200]}".strip(), _claimed_release(body))


def _claimed_release(body: str) -> str | None:
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    return answer.get("release") if isinstance(answer, dict) else None


def parse_environment(text: str) -> dict[str, str]:
    """The variables of a file as systemd's EnvironmentFile reads it."""
    variables = {}
    for match in ASSIGNMENT.finditer(text):
        double, single, plain = match["double"], match["single"], match["plain"]
        if double is not None:
            variables[match["name"]] = re.sub(r'\\([\\"$`])', r"\1", double)
        else:
            variables[match["name"]] = single if single is not None else plain.strip()
    return variables


def secrets_of(variables: dict[str, str]) -> list[str]:
    """What must not be shown of an environment: values of variables that are not public, and passwords in URLs."""
    values = [value for name, value in variables.items() if not PUBLIC.match(name)]
    passwords = [urllib.parse.urlsplit(value).password or "" for value in values if "://" in value]
    decoded = [urllib.parse.unquote(password) for password in passwords]
    return sorted({v for v in [*values, *passwords, *decoded] if len(v) >= SHORTEST_SECRET}, key=len, reverse=True)


def redacted(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "********")
    return text


def last_words(text: str, environment_file: str | None) -> str:
    """The end of a log, without the secrets of the environment."""
    if environment_file and os.path.exists(environment_file):
        with open(environment_file, encoding="utf-8") as file:
            text = redacted(text, secrets_of(parse_environment(file.read())))
    lines = [line for line in text.splitlines() if line.strip()][-LAST_LINES:]
    return "\n".join(line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…" for line in lines)
