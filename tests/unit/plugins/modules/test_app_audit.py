"""Each control of the application: it passes on a good one, and each fault turns it red."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.control import Control
from ansible_collections.airworthy.stack.plugins.module_utils.environment_contract import Terms
from ansible_collections.airworthy.stack.plugins.module_utils.release import Health, Instance
from ansible_collections.airworthy.stack.plugins.modules import app_audit
from ansible_collections.airworthy.stack.plugins.modules.app_audit import Process, Release

MIB = 1024 * 1024
UNIT, OTHER = "app@3000.service", "app@3001.service"
STEPS = ["install", "migrate", "smoke-test"]
RECORD = {"steps": [{"name": name, "rc": 0} for name in STEPS], "serves_since": "2026-01-31T10:00:00Z"}
RELEASE = Release("new", RECORD)
PREVIOUS = Release("old", RECORD)
GOOD = Instance(
    UNIT, exists=True, state="active", enabled=True, pid=1, release="new",
    memory_high=str(435 * MIB), memory_max=str(512 * MIB),
)  # fmt: skip
WELL = Health(True, "200 ok", "new")
ENVIRONMENT = {"NODE_ENV": "production", "NODE_OPTIONS": "--max-old-space-size=358"}
PROCESS = Process(ENVIRONMENT, 90 * MIB, str(512 * MIB))
LIMITS = {"memory_high_mb": 435, "memory_max_mb": 512, "heap_mb": 358}


def steps(**changes: Any) -> Control:
    seen = {"release": RELEASE, "interrupted": False, "instances": [GOOD], "health": {UNIT: WELL}, "steps": STEPS}
    return app_audit.judge_steps(**{**seen, **changes})


def test_a_complete_release_that_serves_passes() -> None:
    assert steps().status == "pass"


@pytest.mark.parametrize(
    "fault",
    [
        {"release": None},
        {"release": replace(RELEASE, record=None)},
        {"release": replace(RELEASE, record={**RECORD, "steps": [{"name": "install", "rc": 1}, *RECORD["steps"][1:]]})},
        {"release": replace(RELEASE, altered=("src/server.js",))},
        {"steps": [*STEPS, "test"]},
        {"interrupted": True},
        {"instances": [replace(GOOD, state="failed")]},
        {"instances": [replace(GOOD, release="old")]},
        {"instances": [replace(GOOD, enabled=False)]},
        {"health": {UNIT: Health(False, "503")}},
        {"health": {UNIT: Health(True, "200 ok", "old")}},
    ],
)
def test_a_fault_of_the_release_fails(fault: dict[str, Any]) -> None:
    assert steps(**fault).status == "fail"


def test_an_application_that_does_not_tell_its_release_is_believed_its_directory() -> None:
    assert steps(health={UNIT: Health(True, "200 ok", None)}).status == "pass"


ROLLBACK = [
    ("kept", RELEASE, PREVIOUS, "pass"),
    ("the first release", RELEASE, None, "not_applicable"),
    ("never released", None, None, "fail"),
    ("the same", RELEASE, RELEASE, "fail"),
    ("without a record", RELEASE, replace(PREVIOUS, record=None), "fail"),
    ("never served", RELEASE, replace(PREVIOUS, record={"steps": []}), "fail"),
    ("a step failed", RELEASE, replace(PREVIOUS, record={**RECORD, "steps": [{"name": "build", "rc": 2}]}), "fail"),
    ("a package is gone", RELEASE, replace(PREVIOUS, missing=("node_modules/pg/package.json",)), "fail"),
    ("somebody changed it", RELEASE, replace(PREVIOUS, altered=("src/server.js",)), "fail"),
]


@pytest.mark.parametrize(("current", "previous", "status"), [r[1:] for r in ROLLBACK], ids=[r[0] for r in ROLLBACK])
def test_rollback(current: Release | None, previous: Release | None, status: str) -> None:
    control = app_audit.judge_rollback(current, previous)
    assert control.status == status
    assert control.observed


def contract(processes: dict[str, Process | None], mode: str = "root:root 0600") -> Control:
    terms = Terms(["app.example.org"], "app", "app", 6432, 0)
    return app_audit.judge_contract(processes, mode, ["NODE_ENV"], terms)


def test_the_environment_of_every_process_counts() -> None:
    own_port = replace(PROCESS, environment={**ENVIRONMENT, "PORT": "3001"})
    assert contract({UNIT: PROCESS, OTHER: own_port}).status == "pass"
    stale = replace(PROCESS, environment={**ENVIRONMENT, "NODE_ENV": "development"})
    failing = [check.subject for check in contract({UNIT: PROCESS, OTHER: stale}).checks if not check.ok]
    assert failing == [f"{OTHER} NODE_ENV"]


def test_a_file_that_others_read_and_an_instance_that_does_not_run_fail() -> None:
    assert contract({UNIT: PROCESS}, "root:root 0640").status == "fail"
    assert contract({UNIT: PROCESS, OTHER: None}).status == "fail"


MEMORY: list[tuple[str, Instance, Process | None, str]] = [
    ("in force", GOOD, PROCESS, "pass"),
    ("no controller here", GOOD, replace(PROCESS, memory_limit=None), "pass"),
    ("no limit", replace(GOOD, memory_max="infinity"), PROCESS, "fail"),
    ("another limit", replace(GOOD, memory_high=str(100 * MIB)), PROCESS, "fail"),
    ("not in the kernel", GOOD, replace(PROCESS, memory_limit="max"), "fail"),
    ("no heap limit", GOOD, replace(PROCESS, environment={}), "fail"),
    ("another heap limit", GOOD, replace(PROCESS, environment={"NODE_OPTIONS": "--max-old-space-size=3580"}), "fail"),
    ("nearly full", GOOD, replace(PROCESS, resident=420 * MIB), "fail"),
    ("not running", GOOD, None, "fail"),
]


@pytest.mark.parametrize(("instance", "process", "status"), [m[1:] for m in MEMORY], ids=[m[0] for m in MEMORY])
def test_memory(instance: Instance, process: Process | None, status: str) -> None:
    assert app_audit.judge_memory([instance], {UNIT: process}, LIMITS).status == status


def test_what_a_release_needs_to_start_is_looked_for(tmp_path: Path) -> None:
    command = "/usr/bin/node --enable-source-maps src/server.js"
    assert app_audit.missing_files(str(tmp_path), command) == ["package.json"]
    (tmp_path / "package.json").write_text('{"dependencies": {"pg": "^8"}}')
    assert app_audit.missing_files(str(tmp_path), command) == ["node_modules/pg/package.json", "src/server.js"]
    for name in ("node_modules/pg/package.json", "src/server.js"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert app_audit.missing_files(str(tmp_path), command) == []


def test_files_that_changed_after_the_build_are_found(tmp_path: Path) -> None:
    (tmp_path / "server.js").touch()
    (tmp_path / "release.json").touch()  # written again when the release went into service
    stamp = "%Y-%m-%dT%H:%M:%SZ"
    assert app_audit.altered_files(str(tmp_path), time.strftime(stamp, time.gmtime())) == []
    assert app_audit.altered_files(str(tmp_path), "2026-01-31T10:00:00Z") == ["server.js"]
