"""What leads an application from what it is to what it shall be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.release import Instance
from ansible_collections.airworthy.stack.plugins.module_utils.release_plan import State, Wish, disposable, plan

FIRST, SECOND = "app@3000.service", "app@3001.service"
WISH = Wish(release="new", dest="/opt/app", name="app", health_urls={FIRST: "http://a/", SECOND: "http://b/"})


def instance(unit: str, release: str | None = "new", **changes: object) -> Instance:
    running = Instance(unit, exists=True, state="active", enabled=True, pid=1, started_at=100.0, release=release)
    return replace(running, **changes)  # type: ignore[arg-type]


SERVING = State(
    instances=(instance(FIRST), instance(SECOND)), current="new", built=True, good="new", changed_at=50.0
)
OLD = replace(SERVING, current="old", good="old", instances=(instance(FIRST, "old"), instance(SECOND, "old")))
RESTARTS = [f"restart {FIRST}", f"restart {SECOND}"]
BARE = State(instances=(Instance(FIRST), Instance(SECOND)))

STORIES = [
    ("nothing to do", SERVING, []),
    (
        "a bare server",
        BARE,
        ["build new", "switch to new", *RESTARTS, "check new", f"enable {FIRST}", f"enable {SECOND}"],
    ),
    (
        "another release serves",
        replace(OLD, built=False),
        ["build new", "switch to new", *RESTARTS, "check new"],
    ),
    (
        "the release is on the server already",
        OLD,
        ["switch to new", *RESTARTS, "check new"],
    ),
    (
        "killed between the two restarts",
        replace(SERVING, interrupted=True, good="old", instances=(instance(FIRST), instance(SECOND, "old"))),
        [f"restart {SECOND}", "check new"],
    ),
    ("killed after the last restart", replace(SERVING, interrupted=True, good="old"), ["check new"]),
    ("the environment changed", replace(SERVING, changed_at=200.0), RESTARTS),
    (
        "the environment changed and one instance has it",
        replace(SERVING, changed_at=200.0, instances=(instance(FIRST, started_at=300.0), instance(SECOND))),
        [f"restart {SECOND}"],
    ),
    (
        "the unit's file changed",
        replace(SERVING, instances=(instance(FIRST, stale_definition=True), instance(SECOND)), changed_at=200.0),
        ["daemon-reload", *RESTARTS],
    ),
    (
        "one instance died",
        replace(SERVING, instances=(instance(FIRST, state="failed"), instance(SECOND))),
        [f"restart {FIRST}"],
    ),
    (
        "one is not started at boot",
        replace(SERVING, instances=(instance(FIRST), instance(SECOND, enabled=False))),
        [f"enable {SECOND}"],
    ),
    ("one instance too many", replace(SERVING, surplus=("app@3002.service",)), ["remove app@3002.service"]),
]


@pytest.mark.parametrize(("state", "actions"), [story[1:] for story in STORIES], ids=[story[0] for story in STORIES])
def test_plan(state: State, actions: list[str]) -> None:
    todo = plan(WISH, state)
    assert todo.actions("new") == actions
    assert todo.needed is bool(actions)


@pytest.mark.parametrize(
    ("keep", "gone"),
    [(5, []), (3, ["a"]), (2, ["a", "b"]), (1, ["a", "b"])],
)
def test_old_releases_go_but_never_what_serves_or_served_before(keep: int, gone: list[str]) -> None:
    releases = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}
    assert disposable(releases, {"d", "c", None}, keep) == gone


def test_what_a_killed_run_left_goes() -> None:
    assert disposable({"a": 1.0, "b.partial": 9.0}, {"a"}, 5) == ["b.partial"]


def test_an_old_release_that_serves_again_stays() -> None:
    assert disposable({"a": 1.0, "b": 2.0, "c": 3.0}, {"a", "c"}, 2) == ["b"]
