# Copyright (c) the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Carries out the plan of a release on the server, and takes it back when it does not become healthy."""

from __future__ import annotations

import fcntl
import glob
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.release import (
    RECORD,
    Instance,
    Layout,
    ask_health,
    last_words,
    newest_change,
    now,
    observe_instances,
    read_json,
    write_json,
)
from ansible_collections.airworthy.stack.plugins.module_utils.release_plan import (
    Plan,
    State,
    Step,
    Wish,
    disposable,
    plan,
)
from ansible_collections.airworthy.stack.plugins.module_utils.release_steps import Steps, Unfit

LOCK_TIMEOUT = 900
LOCK_INTERVAL = 0.5
HEALTH_INTERVAL = 0.4
JOURNAL_LINES = "30"


class DeployError(Exception):
    """The release does not serve; the message says why, and what serves now."""


class Deployment:
    def __init__(self, module: AnsibleModule, wish: Wish) -> None:
        self.module = module
        self.layout = Layout(wish.dest)
        self.wish = replace(wish, release=self._resolved(wish.release))
        self.steps = Steps(module, self.wish)
        self.actions: list[str] = []

    # What is asked of it

    def predict(self) -> dict[str, Any]:
        state = self._observe()
        todo = plan(self.wish, state)
        self.actions = todo.actions(self.wish.release)
        return self._result(state, todo)

    def converge(self) -> dict[str, Any]:
        os.makedirs(self.layout.releases, mode=0o755, exist_ok=True)
        with self._locked():
            state = self._observe()
            todo = plan(self.wish, state)
            result = self._result(state, todo)
            if todo.needed and not result["needs_archive"]:
                self._apply(todo, state)
            return result

    # Observing

    def _resolved(self, release: str) -> str:
        if release != "previous":
            return release
        previous = self.layout.target("previous")
        if previous is None:
            raise DeployError(f"release is 'previous', but only one release ever served in {self.layout.dest}")
        return previous

    def _observe(self) -> State:
        units = list(self.wish.health_urls)
        instances = observe_instances(units, self.layout, self.module.run_command)
        journal = read_json(self.layout.journal)
        current = self.layout.target("current")
        definitions = {path for instance in instances for path in instance.files if path.startswith("/etc/")}
        return State(
            instances=tuple(instances),
            surplus=tuple(sorted(self._known_units() - set(units))),
            current=current,
            built=self.layout.record(self.wish.release) is not None,
            interrupted=journal is not None,
            good=journal["from"] if journal else current,
            changed_at=newest_change(definitions.union(self.wish.restart_on)),
        )

    def _known_units(self) -> set[str]:
        """Instances of the template that run or would start at boot."""
        pattern = f"{self.wish.name}@*.service"
        loaded = self._systemctl("list-units", "--all", "--plain", "--no-legend", "--no-pager", pattern)
        running = re.findall(rf"^{re.escape(self.wish.name)}@\S+\.service", loaded, re.MULTILINE)
        enabled = glob.glob(f"/etc/systemd/system/*.wants/{pattern}")
        return {*running, *map(os.path.basename, enabled)}

    def _result(self, state: State, todo: Plan) -> dict[str, Any]:
        before, after = state.current or "none", self.wish.release
        return {
            "changed": todo.needed,
            "release": after,
            "previous": state.current,
            "needs_archive": todo.build and self.wish.archive is None and not self.module.check_mode,
            "actions": self.actions,
            "steps": self.steps.account,
            "diff": {"before": f"release: {before}\n", "after": f"release: {after}\n"},
        }

    # Changing

    def _apply(self, todo: Plan, state: State) -> None:
        if todo.build:
            self._build()
        if todo.reload:
            self._act("daemon-reload")
            self._systemctl("daemon-reload")
        if todo.verify:
            write_json(self.layout.journal, {"from": state.good, "to": self.wish.release})
        if todo.switch:
            self._act(f"switch to {self.wish.release}")
            self._point("current", self.wish.release)
        try:
            self._restart(todo.restart, self.wish.release)
            if todo.verify:
                self._verify([unit for unit in self.wish.health_urls if unit not in todo.restart])
        except Unfit as reason:
            self._take_back(state.good, reason)
        if todo.verify:
            self._complete(state.good)
        for unit in todo.enable:
            self._act(f"enable {unit}")
            self._systemctl("enable", "--", unit)
        for unit in todo.remove:
            self._act(f"remove {unit}")
            self._systemctl("disable", "--now", "--", unit)

    def _build(self) -> None:
        """Everything happens in a partial directory; the release appears complete, by a rename."""
        release, partial = self.wish.release, self.layout.partial(self.wish.release)
        self._act(f"build {release}")
        self.steps.stop_leftover()
        for name in (*glob.glob(f"{self.layout.releases}/*.partial"), self.layout.release(release)):
            self._discard(name)
        started = now()
        try:
            user = self.steps.user()
            os.mkdir(partial, 0o755)
            os.chown(partial, user.pw_uid, user.pw_gid)
            self.steps.run(Step("unpack", "tar -xzf -", environment=False), partial, stdin=str(self.wish.archive))
            for step in self.wish.steps:
                self.steps.run(step, partial)
        except Unfit as reason:
            self._discard(partial)
            serving = self.layout.target("current")
            outcome = f"release {serving} serves on" if serving else "no release serves yet"
            raise DeployError(f"{reason}\nNothing was switched; {outcome}.") from None
        seal(partial)
        record = {"release": release, "started": started, "finished": now(), "steps": self.steps.account}
        write_json(os.path.join(partial, RECORD), record)
        os.sync()
        os.rename(partial, self.layout.release(release))

    def _restart(self, units: tuple[str, ...], release: str) -> None:
        for unit in units:
            self._act(f"restart {unit}")
            self.module.run_command(["systemctl", "reset-failed", "--", unit])  # a crash loop must not forbid the start
            rc, out, err = self.module.run_command(["systemctl", "restart", "--", unit])
            if rc:
                raise Unfit(f"{unit} could not restart: {(err or out).strip()}. {self._last_words(unit)}")
            self._await_health(unit, release)

    def _await_health(self, unit: str, release: str) -> None:
        url = self.wish.health_urls[unit]
        started, clock = now(), time.monotonic()
        while True:
            instance = observe_instances([unit], self.layout, self.module.run_command)[0]
            saw = unfitness(instance, url, release)
            waited = time.monotonic() - clock
            if saw is None:
                return self.steps.note(f"health-check {unit}", f"curl --fail {url}", started, clock, 0)
            if instance.state == "failed" or waited > self.wish.health_timeout:
                words = self._last_words(unit)
                raise Unfit(f"{unit} is not healthy at {url} after {waited:.0f} s: {saw}. {words}")
            time.sleep(HEALTH_INTERVAL)

    def _verify(self, others: list[str]) -> None:
        self._act(f"check {self.wish.release}")
        for unit in others:
            self._await_health(unit, self.wish.release)
        for check in self.wish.checks:
            self.steps.run(check, self.layout.release(self.wish.release))

    def _take_back(self, good: str | None, reason: Unfit) -> NoReturn:
        release = self.wish.release
        if good == release:
            raise DeployError(
                f"{reason}\nThere is nothing to go back to: release {release} was serving before. "
                "Instances after this one were left alone."
            )
        if good is None:
            for unit in self.wish.health_urls:
                self._systemctl("stop", "--", unit)
            os.unlink(self.layout.link("current"))
            outcome = "It was the first release, so nothing serves now."
        else:
            self._return_to(good, reason)
            outcome = f"Release {release} was taken back; {good} serves again."
        os.unlink(self.layout.journal)
        if release != self.layout.target("previous"):
            self._discard(self.layout.release(release))
        raise DeployError(f"{reason}\n{outcome}")

    def _return_to(self, good: str, reason: Unfit) -> None:
        self._act(f"switch back to {good}")
        self._point("current", good)
        instances = observe_instances(list(self.wish.health_urls), self.layout, self.module.run_command)
        others = tuple(i.unit for i in instances if i.state != "active" or i.release != good)
        try:
            self._restart(others, good)
        except Unfit as worse:
            raise DeployError(
                f"{reason}\nIt was taken back, but {good}, which served before, does not become healthy either: {worse}"
            ) from None

    def _complete(self, good: str | None) -> None:
        """The release serves: its record says so, what served before is kept, what is too old goes."""
        release = self.wish.release
        path = os.path.join(self.layout.release(release), RECORD)
        record = read_json(path) or {}
        known = {step["name"]: step for step in [*record["steps"], *self.steps.account]}
        write_json(path, {**record, "steps": list(known.values()), "serves_since": now()})
        if good and good != release:
            self._point("previous", good)
        os.unlink(self.layout.journal)
        made = {name: os.stat(self.layout.release(name)).st_mtime for name in os.listdir(self.layout.releases)}
        for name in disposable(made, {release, self.layout.target("previous")}, self.wish.keep):
            self._discard(self.layout.release(name))

    # Tools

    def _act(self, action: str) -> None:
        self.actions.append(action)

    def _systemctl(self, *arguments: str) -> str:
        rc, out, err = self.module.run_command(["systemctl", *arguments])
        if rc:
            raise DeployError(f"systemctl {' '.join(arguments)} failed: {(err or out).strip()}")
        return out

    def _last_words(self, unit: str) -> str:
        command = ["journalctl", "--no-pager", "--output=cat", "--lines", JOURNAL_LINES, "--unit", unit]
        words = last_words(self.module.run_command(command)[1], self.wish.environment_file)
        return f"Its last words:\n{words}"

    def _point(self, link: str, release: str) -> None:
        """A rename exchanges the link at once: there is no moment without one."""
        fresh = self.layout.link(f".{link}.new")
        if os.path.lexists(fresh):
            os.unlink(fresh)
        os.symlink(os.path.join("releases", release), fresh)
        os.rename(fresh, self.layout.link(link))

    def _discard(self, directory: str) -> None:
        if os.path.lexists(directory):
            shutil.rmtree(directory)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with open(self.layout.lock, "w", encoding="utf-8") as file:
            deadline = time.monotonic() + LOCK_TIMEOUT
            while not acquired(file.fileno()):
                if time.monotonic() > deadline:
                    raise DeployError(f"another deployment has held {self.layout.lock} for {LOCK_TIMEOUT} s")
                time.sleep(LOCK_INTERVAL)
            yield


def acquired(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unfitness(instance: Instance, url: str, release: str) -> str | None:
    """What speaks against the instance; None when it runs the release and is healthy."""
    if instance.state != "active":
        return f"the unit is {instance.state}"
    if instance.release != release:
        return f"the process runs {instance.release or 'outside of the releases'}, not {release}"
    health = ask_health(url)
    return None if health.ok else health.saw


def seal(directory: str) -> None:
    """Give a finished tree to root: the application must not be able to change its own code."""
    for _path, directories, files, descriptor in os.fwalk(directory):
        os.fchown(descriptor, 0, 0)
        for name in directories + files:
            os.chown(name, 0, 0, dir_fd=descriptor, follow_symlinks=False)
