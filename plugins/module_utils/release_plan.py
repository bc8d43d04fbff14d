# Copyright (c) the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What leads an application from what it is to what it shall be. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.airworthy.stack.plugins.module_utils.release import Instance


@dataclass(frozen=True)
class Step:
    name: str
    command: str
    environment: bool = True


@dataclass(frozen=True)
class Wish:
    """The application as it shall be."""

    release: str
    dest: str
    name: str
    health_urls: Mapping[str, str]  # by unit, in the order of restarts
    user: str = "app"
    environment_file: str | None = None
    restart_on: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    checks: tuple[Step, ...] = ()
    keep: int = 5
    health_timeout: int = 30
    step_timeout: int = 900
    archive: str | None = None

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Wish:
        environment_file = params["environment_file"]
        return cls(
            release=params["release"],
            dest=params["dest"],
            name=params["name"],
            health_urls={instance["unit"]: instance["health_url"] for instance in params["instances"]},
            user=params["user"],
            environment_file=environment_file,
            restart_on=tuple(params["restart_on"] + ([environment_file] if environment_file else [])),
            steps=tuple(Step(**step) for step in params["steps"]),
            checks=tuple(Step(**step) for step in params["checks"]),
            keep=params["keep"],
            health_timeout=params["health_timeout"],
            step_timeout=params["step_timeout"],
            archive=params["archive"],
        )


@dataclass(frozen=True)
class State:
    """The application as it is."""

    instances: tuple[Instance, ...]
    surplus: tuple[str, ...] = ()  # instances of the template that nobody wants
    current: str | None = None
    built: bool = False  # the wished release is complete on the server
    interrupted: bool = False  # a switch was begun and not finished
    good: str | None = None  # the last release that was seen to serve
    changed_at: float = 0.0  # when the files that instances read were last put in place


@dataclass(frozen=True)
class Plan:
    build: bool
    switch: bool
    reload: bool
    restart: tuple[str, ...]
    verify: bool
    enable: tuple[str, ...]
    remove: tuple[str, ...]

    @property
    def needed(self) -> bool:
        return any(vars(self).values())

    def actions(self, release: str) -> list[str]:
        return [
            *([f"build {release}"] if self.build else []),
            *(["daemon-reload"] if self.reload else []),
            *([f"switch to {release}"] if self.switch else []),
            *[f"restart {unit}" for unit in self.restart],
            *([f"check {release}"] if self.verify else []),
            *[f"enable {unit}" for unit in self.enable],
            *[f"remove {unit}" for unit in self.remove],
        ]


def plan(wish: Wish, state: State) -> Plan:
    switch = state.current != wish.release
    return Plan(
        build=not state.built,
        switch=switch,
        reload=any(instance.stale_definition for instance in state.instances),
        restart=tuple(i.unit for i in state.instances if _outdated(i, wish.release, state.changed_at)),
        verify=switch or state.interrupted,
        enable=tuple(instance.unit for instance in state.instances if not instance.enabled),
        remove=state.surplus,
    )


def _outdated(instance: Instance, release: str, changed_at: float) -> bool:
    return instance.state != "active" or instance.release != release or instance.started_at < changed_at


def disposable(releases: Mapping[str, float], protected: set[str | None], keep: int) -> list[str]:
    """Of releases and when each was made, those to delete: the oldest beyond ``keep``, and whatever is unfinished."""
    finished = sorted((name for name in releases if "." not in name), key=lambda name: releases[name], reverse=True)
    kept = [name for name in finished if name in protected]
    kept += [name for name in finished if name not in protected][: max(keep - len(kept), 0)]
    return sorted(set(releases) - set(kept))
