# Copyright (c) the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Carries out the plan of a release on the server, and takes it back when it does not become healthy."""

from __future__ import annotations

import fcntl
import glob
import json
import os
import pwd
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.release import (
    RECORD,
    Instance,
    Layout,
    ask_health,
    newest_change,
    observe_instances,
    parse_environment,
    read_json,
    redacted,
    secrets_of,
)
from ansible_collections.airworthy.stack.plugins.module_utils.release_plan import (
    Plan,
    State,
    Step,
    Wish,
    disposable,
    plan,
)

LOCK_TIMEOUT = 900
LAST_LINES = 10
LONGEST_LINE = 400
HEALTH_INTERVAL = 0.4


class DeployError(Exception):
    """The release does not serve; the message says why and what serves now."""


class Unhealthy(Exception):
    """An instance or a check says that the release is not fit to serve."""


class Deployment:
    def __init__(self, module: AnsibleModule, wish: Wish) -> None:
        self.module = module
        self.layout = Layout(wish.dest)
        self.wish = replace(wish, release=self._resolved(wish.release))
        self.actions: list[str] = []
        self.steps: list[dict[str, Any]] = []

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
            if result["needs_archive"]:
                return result
            if todo.needed:
                self._apply(todo, state)
            return {**result, "actions": self.actions, "steps": self.steps}

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
        running = re.findall(rf"^{re.escape(self.wish.name)}@\S+\.service", loaded, re.M)
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
            "steps": [],
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
        except Unhealthy as reason:
            self._take_back(state, reason)
        if todo.verify:
            self._complete(state)
        for unit in todo.enable:
            self._act(f"enable {unit}")
            self._systemctl("enable", "--", unit)
        for unit in todo.remove:
            self._act(f"remove {unit}")
            self._systemctl("disable", "--now", "--", unit)

    def _build(self) -> None:
        release, partial = self.wish.release, self.layout.partial(self.wish.release)
        user = self._user()
        # What a killed run left behind must not write into the new tree.
        self.module.run_command(["systemctl", "stop", "--", self._builder])
        self._discard(partial)
        self._discard(self.layout.release(release))
        os.mkdir(partial, 0o755)
        os.chown(partial, user.pw_uid, user.pw_gid)
        started = now()
        self._act(f"build {release}")
        try:
            self._run(Step("unpack", "tar -xzf -", environment=False), partial, stdin=self.wish.archive)
            for step in self.wish.steps:
                self._run(step, partial)
        except Unhealthy as reason:
            self._discard(partial)
            serving = self.layout.target("current")
            outcome = f"release {serving} serves on" if serving else "no release serves yet"
            raise DeployError(f"{reason}\nNothing was switched; {outcome}.") from None
        seal(partial)
        record = {"release": release, "started": started, "finished": now(), "steps": self.steps}
        write_json(os.path.join(partial, RECORD), record)
        os.sync()
        os.rename(partial, self.layout.release(release))

    def _run(self, step: Step, directory: str, stdin: str | None = None) -> None:
        """Run a step as a transient unit: systemd reads the environment, so that no secret passes through here."""
        properties = [
            f"User={self.wish.user}",
            f"WorkingDirectory={directory}",
            f"CacheDirectory={self.wish.name}",
            f"RuntimeMaxSec={self.wish.step_timeout}",
            f"ReadWritePaths={directory}",
            "ProtectSystem=strict",
            "ProtectHome=yes",
            "PrivateTmp=yes",
            "NoNewPrivileges=yes",
            "UMask=0022",
        ]
        if step.environment and self.wish.environment_file:
            properties.append(f"EnvironmentFile={self.wish.environment_file}")
        variables = {
            "HOME": f"/var/cache/{self.wish.name}",
            "npm_config_cache": f"/var/cache/{self.wish.name}/npm",
            "npm_config_update_notifier": "false",
            "npm_config_fund": "false",
            "NODE_EXTRA_CA_CERTS": "/etc/ssl/certs/ca-certificates.crt",  # Node.js does not ask the system's store
        }
        command = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--service-type=exec"]
        command += [f"--unit={self._builder}"]
        command += [f"--property={value}" for value in properties]
        command += [f"--setenv={name}={value}" for name, value in variables.items()]
        started, clock = now(), time.monotonic()
        with open(stdin or os.devnull, "rb") as source:
            done = subprocess.run(
                [*command, "--", *shlex.split(step.command)],
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
        self._note(step.name, step.command, started, clock, done.returncode)
        if done.returncode:
            words = self._tail(done.stdout.decode("utf-8", "replace"))
            raise Unhealthy(
                f"step {step.name} ({step.command}) of release {self.wish.release} ended with status "
                f"{done.returncode}. Its last words:\n{words}"
            )

    def _restart(self, units: tuple[str, ...], release: str) -> None:
        for unit in units:
            self._act(f"restart {unit}")
            self.module.run_command(["systemctl", "reset-failed", "--", unit])  # a crash loop must not forbid the start
            rc, out, err = self.module.run_command(["systemctl", "restart", "--", unit])
            if rc:
                raise Unhealthy(f"{unit} could not restart: {(err or out).strip()}{self._last_words(unit)}")
            self._await_health(unit, release)

    def _await_health(self, unit: str, release: str) -> None:
        url = self.wish.health_urls[unit]
        started, clock = now(), time.monotonic()
        while True:
            instance = observe_instances([unit], self.layout, self.module.run_command)[0]
            saw = self._look(instance, url, release)
            if saw is None:
                return self._note(f"health-check {unit}", f"curl --fail {url}", started, clock, 0)
            waited = time.monotonic() - clock
            if instance.state == "failed" or waited > self.wish.health_timeout:
                raise Unhealthy(f"{unit} is not healthy at {url} after {waited:.0f} s: {saw}{self._last_words(unit)}")
            time.sleep(HEALTH_INTERVAL)

    def _look(self, instance: Instance, url: str, release: str) -> str | None:
        """What speaks against the instance; None when it runs the release and is healthy."""
        if instance.state != "active":
            return f"the unit is {instance.state}"
        if instance.release != release:
            return f"the process runs {instance.release or 'outside of the releases'}, not {release}"
        health = ask_health(url)
        return None if health.ok else self._redacted(health.saw)

    def _verify(self, others: list[str]) -> None:
        self._act(f"check {self.wish.release}")
        for unit in others:
            self._await_health(unit, self.wish.release)
        for check in self.wish.checks:
            self._run(check, self.layout.release(self.wish.release))

    def _take_back(self, state: State, reason: Unhealthy) -> None:
        release, good = self.wish.release, state.good
        if good == release:
            raise DeployError(
                f"{reason}\nThere is nothing to go back to: release {release} was serving before. "
                "Instances after this one were left alone."
            )
        if good is None:
            for unit in self.wish.health_urls:
                self._systemctl("stop", "--", unit)
            os.unlink(self.layout.link("current"))
            ending = "It was the first release, so nothing serves now."
        else:
            self._act(f"switch back to {good}")
            self._point("current", good)
            try:
                instances = observe_instances(list(self.wish.health_urls), self.layout, self.module.run_command)
                self._restart(tuple(i.unit for i in instances if i.state != "active" or i.release != good), good)
            except Unhealthy as worse:
                raise DeployError(
                    f"{reason}\nRelease {release} was taken back, but {good} does not become healthy either: {worse}"
                ) from None
            ending = f"Release {release} was taken back; {good} serves again."
        os.unlink(self.layout.journal)
        if release != self.layout.target("previous"):
            self._discard(self.layout.release(release))
        raise DeployError(f"{reason}\n{ending}")

    def _complete(self, state: State) -> None:
        """The release serves: its record says so, what served before is kept, what is too old goes."""
        release = self.wish.release
        path = os.path.join(self.layout.release(release), RECORD)
        record = read_json(path) or {}
        known = {step["name"]: step for step in [*record["steps"], *self.steps]}
        write_json(path, {**record, "steps": list(known.values()), "serves_since": now()})
        if state.good and state.good != release:
            self._point("previous", state.good)
        os.unlink(self.layout.journal)
        made = {name: os.stat(self.layout.release(name)).st_mtime for name in os.listdir(self.layout.releases)}
        for name in disposable(made, {release, self.layout.target("previous")}, self.wish.keep):
            self._discard(self.layout.release(name))

    # Tools

    @property
    def _builder(self) -> str:
        return f"{self.wish.name}-release.service"

    def _act(self, action: str) -> None:
        self.actions.append(action)

    def _note(self, name: str, command: str, started: str, clock: float, rc: int) -> None:
        seconds = round(time.monotonic() - clock, 2)
        self.steps.append({"name": name, "command": command, "rc": rc, "seconds": seconds, "started": started})

    def _systemctl(self, *arguments: str) -> str:
        rc, out, err = self.module.run_command(["systemctl", *arguments])
        if rc:
            raise DeployError(f"systemctl {' '.join(arguments)} failed: {(err or out).strip()}")
        return out

    def _user(self) -> pwd.struct_passwd:
        try:
            return pwd.getpwnam(self.wish.user)
        except KeyError:
            self.module.run_command(["systemd-sysusers"], check_rc=True)
        try:
            return pwd.getpwnam(self.wish.user)
        except KeyError:
            raise DeployError(f"the user {self.wish.user} is unknown; make it, or have it in sysusers.d") from None

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

    def _redacted(self, text: str) -> str:
        if not self.wish.environment_file or not os.path.exists(self.wish.environment_file):
            return text
        with open(self.wish.environment_file, encoding="utf-8") as file:
            return redacted(text, secrets_of(parse_environment(file.read())))

    def _tail(self, text: str) -> str:
        lines = self._redacted(text.strip()).splitlines()[-LAST_LINES:]
        return "\n".join(line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…" for line in lines)

    def _last_words(self, unit: str) -> str:
        command = ["journalctl", "--no-pager", "--output=cat", f"--lines={LAST_LINES}", "--unit", unit]
        return f". Its last words:\n{self._tail(self.module.run_command(command)[1])}"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with open(self.layout.lock, "w", encoding="utf-8") as file:
            deadline = time.monotonic() + LOCK_TIMEOUT
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        message = f"another deployment has held {self.layout.lock} for {LOCK_TIMEOUT} s"
                        raise DeployError(message) from None
                    time.sleep(0.5)
            yield


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def write_json(path: str, content: dict[str, Any]) -> None:
    """Whole or not at all, also after a loss of power."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + ".new", path)


def seal(directory: str) -> None:
    """Give a finished tree to root: the application must not be able to change its own code."""
    for _path, directories, files, descriptor in os.fwalk(directory):
        os.fchown(descriptor, 0, 0)
        for name in directories + files:
            os.chown(name, 0, 0, dir_fd=descriptor, follow_symlinks=False)
