#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: app_audit
short_description: Examines a running application, its release, environment and memory
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Proves the controls C(deploy.steps), C(deploy.rollback), C(env.contract) and C(perf.memory).
  - The environment is read from the running processes, not from the file that they were started with. No value of a
    secret is returned.
extends_documentation_fragment: [airworthy.stack.attributes.reads_only]
options:
  dest:
    description: Directory of the application, as in M(airworthy.stack.app_release).
    type: path
    default: /opt/app
  instances:
    description: The instances that must serve.
    type: list
    elements: dict
    required: true
    suboptions:
      unit:
        description: Name of the unit.
        type: str
        required: true
      health_url:
        description: URL that answers 200 when the instance is healthy.
        type: str
        required: true
  steps:
    description: Names of the steps and checks that the release's record must hold, each successful.
    type: list
    elements: str
    required: true
  command:
    description: Command that starts an instance. Its files must be in the previous release, too.
    type: str
    required: true
  environment_file:
    description: File with the environment; only root may read it.
    type: path
    required: true
  required_environment:
    description: Variables that the application must have.
    type: list
    elements: str
    required: true
  domains:
    description: Names of the application, one of which is in C(NEXT_PUBLIC_APP_URL).
    type: list
    elements: str
    required: true
  database_user:
    description: Login role that C(DATABASE_URL) must name.
    type: str
    required: true
  database_name:
    description: Database that C(DATABASE_URL) must name.
    type: str
    required: true
  pooler_port:
    description: Port that C(DATABASE_URL) must name.
    type: int
    required: true
  memory_high_mb:
    description: Megabytes at which an instance is slowed down.
    type: int
    required: true
  memory_max_mb:
    description: Megabytes that an instance may use.
    type: int
    required: true
  heap_mb:
    description: Megabytes at which the heap of V8 ends.
    type: int
    required: true
"""

EXAMPLES = r"""
- name: The application is what was released, and healthy
  airworthy.stack.app_audit:
    instances:
      - {unit: app@3000.service, health_url: "http://127.0.0.1:3000/healthz"}
    steps: [install, test, build, migrate, verify, smoke-test]
    command: /usr/bin/node src/server.js
    environment_file: /etc/app/environment
    required_environment: [DATABASE_URL, NODE_ENV]
    domains: [app.example.org]
    database_user: app
    database_name: app
    pooler_port: 6432
    memory_high_mb: 435
    memory_max_mb: 512
    heap_mb: 358
  register: __app_controls
"""

RETURN = r"""
controls:
  description: The four controls, as described in docs/certificate.md.
  returned: always
  type: list
  elements: dict
"""

import calendar
import json
import os
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.control import (
    Check,
    Control,
    judged,
    not_applicable,
    run_probes,
)
from ansible_collections.airworthy.stack.plugins.module_utils.environment_contract import Terms, judge_environment
from ansible_collections.airworthy.stack.plugins.module_utils.release import (
    RECORD,
    TIMESTAMP,
    Health,
    Instance,
    Layout,
    ask_health,
    observe_instances,
)

REMEDIATION = "ansible-playbook site.yml --tags app"
MIB = 1024 * 1024
MOST_MEMORY = 0.8
TERMS = ("domains", "database_user", "database_name", "pooler_port")
CLOCK_SLACK = 2  # the record counts whole seconds
# What the unit and systemd set for each process of its own.
PER_INSTANCE = {
    "PORT",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "SYSTEMD_EXEC_PID",
    "MEMORY_PRESSURE_WATCH",
    "MEMORY_PRESSURE_WRITE",
}


@dataclass(frozen=True)
class Release:
    """A release as it lies on the server."""

    name: str
    record: Mapping[str, Any] | None
    missing: tuple[str, ...] = ()  # files and packages without which it cannot start
    altered: tuple[str, ...] = ()  # files that changed after it was built


@dataclass(frozen=True)
class Process:
    """What the kernel says of a running instance."""

    environment: Mapping[str, str]
    resident: int
    memory_limit: str | None  # of its control group; None where the kernel has no memory controller for us


# Observing


def observe_release(layout: Layout, link: str, command: str) -> Release | None:
    name = layout.target(link)
    if name is None:
        return None
    directory = layout.release(name)
    record = layout.record(name)
    return Release(
        name=name,
        record=record,
        missing=tuple(missing_files(directory, command)),
        altered=tuple(altered_files(directory, record["finished"])) if record else (),
    )


def missing_files(directory: str, command: str) -> list[str]:
    manifest = os.path.join(directory, "package.json")
    if not os.path.exists(manifest):
        return ["package.json"]
    with open(manifest, encoding="utf-8") as file:
        packages = json.load(file).get("dependencies", {})
    wanted = [os.path.join("node_modules", package, "package.json") for package in packages]
    wanted += [word for word in shlex.split(command)[1:] if "/" in word and not word.startswith(("/", "-"))]
    return [path for path in wanted if not os.path.exists(os.path.join(directory, path))]


def altered_files(directory: str, finished: str) -> list[str]:
    limit = calendar.timegm(time.strptime(finished, TIMESTAMP)) + CLOCK_SLACK
    found = []
    for path, _directories, files in os.walk(directory):
        for name in files:
            file = os.path.join(path, name)
            if name != RECORD and os.lstat(file).st_ctime > limit:
                found.append(os.path.relpath(file, directory))
    return sorted(found)


def observe_process(instance: Instance) -> Process | None:
    if not instance.pid:
        return None
    with open(f"/proc/{instance.pid}/environ", encoding="utf-8", errors="replace") as file:
        pairs = (entry.partition("=") for entry in file.read().split("\0") if entry)
        environment = {name: value for name, _equals, value in pairs}
    with open(f"/proc/{instance.pid}/statm", encoding="ascii") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    limit = f"/sys/fs/cgroup{instance.control_group}/memory.max"
    if not os.path.exists(limit):
        return Process(environment, resident, None)
    with open(limit, encoding="ascii") as file:
        return Process(environment, resident, file.read().strip())


# Judging


def judge_steps(
    release: Release | None,
    interrupted: bool,
    instances: Sequence[Instance],
    health: Mapping[str, Health],
    steps: Sequence[str],
) -> Control:
    checks = [Check("release in service", "one with a record", describe(release), bool(release and release.record))]
    record = release.record if release and release.record else {"steps": []}
    recorded = {step["name"]: f"status {step['rc']}" for step in record["steps"]}
    checks += [Check.equal(f"step {name}", "status 0", recorded.get(name, "not recorded")) for name in steps]
    checks.append(Check("last deployment", "finished", "interrupted" if interrupted else "finished", not interrupted))
    if release:
        checks.append(none_of("files of the release", "as they were built", "changed since", release.altered))
    for instance in instances:
        checks += judge_instance(instance, release.name if release else "none", health[instance.unit])
    command = "cat /opt/app/current/release.json; systemctl status 'app@*'; curl --include 127.0.0.1:3000/healthz"
    wanted = f"{len(steps)} steps successful, and the release in service healthy on {len(instances)} instances"
    return judged("deploy.steps", "quick", checks, command=command, remediation=REMEDIATION, expected=wanted)


def none_of(subject: str, wanted: str, otherwise: str, found: Sequence[str]) -> Check:
    named = ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
    return Check(subject, wanted, f"{otherwise}: {named}" if found else wanted, not found)


def describe(release: Release | None) -> str:
    if release is None:
        return "none"
    if not release.record:
        return f"{release.name}, without a record"
    return f"{release.name}, in service since {release.record.get('serves_since', 'no time')}"


def judge_instance(instance: Instance, release: str, health: Health) -> list[Check]:
    running = f"{instance.state}, {instance.release or 'no release'}"
    claims = health.release in {None, release}
    saw = health.saw if claims else f"{health.saw}, which is another release"
    return [
        Check.equal(instance.unit, f"active, {release}", running),
        Check.equal(f"{instance.unit} at boot", "enabled", "enabled" if instance.enabled else "disabled"),
        Check(f"{instance.unit} health", "200", saw, health.ok and claims),
    ]


def judge_rollback(current: Release | None, previous: Release | None) -> Control:
    command = "readlink /opt/app/previous; ls /opt/app/releases"
    if current and previous is None:
        reason = f"{current.name} is the first release on this server, so there is none to go back to yet."
        return not_applicable("deploy.rollback", "quick", reason, command=command)
    if current is None or previous is None:
        checks = [Check("previous release", "kept", "nothing was ever released", False)]
        return judged("deploy.rollback", "quick", checks, command=command, remediation=REMEDIATION)
    record = previous.record or {"steps": []}
    failed = [step["name"] for step in record["steps"] if step["rc"]]
    checks = [
        Check("previous release", f"another one than {current.name}", previous.name, previous.name != current.name),
        Check("its record", "it served", describe(previous), "serves_since" in record),
        none_of("its steps", "all successful", "failed", failed),
        none_of("its files", "complete", "missing", previous.missing),
        none_of("its content", "as it was built", "changed since", previous.altered),
    ]
    remediation = "Deploy a release that works; the one before it is then kept."
    wanted = "the release before this one, complete and as it served"
    return judged("deploy.rollback", "quick", checks, command=command, remediation=remediation, expected=wanted)


def judge_contract(
    processes: Mapping[str, Process | None], file_mode: str, required: Sequence[str], terms: Terms
) -> Control:
    checks = [Check("environment file", "root:root 0600", file_mode, file_mode == "root:root 0600")]
    judged_before: dict[str, Mapping[str, str]] = {}
    for unit, process in processes.items():
        if process is None:
            checks.append(Check(unit, "a running process", "does not run", False))
            continue
        own = {name: value for name, value in process.environment.items() if name not in PER_INSTANCE}
        twin = next((other for other, environment in judged_before.items() if environment == own), None)
        if twin:
            checks.append(Check(unit, f"the environment of {twin}", "the same", True))
            continue
        prefix = f"{unit} " if judged_before else ""
        judged_before[unit] = own
        for check in judge_environment(own, required, terms):
            checks.append(Check(prefix + check.subject, check.expected, check.observed, check.ok))
    command = "tr '\\0' '\\n' </proc/$(systemctl show -P MainPID app@3000)/environ | cut -d= -f1 | sort"
    remediation = f"Set app_environment, then {REMEDIATION}"
    wanted = f"{', '.join(required)}: present and right in every running process; no secret public"
    return judged("env.contract", "quick", checks, command=command, remediation=remediation, expected=wanted)


def judge_memory(
    instances: Sequence[Instance], processes: Mapping[str, Process | None], wanted: Mapping[str, int]
) -> Control:
    high, most, heap = wanted["memory_high_mb"], wanted["memory_max_mb"], wanted["heap_mb"]
    checks = []
    for instance in instances:
        process = processes[instance.unit]
        limits = f"{megabytes(instance.memory_high)}, {megabytes(instance.memory_max)}"
        checks.append(Check.equal(f"{instance.unit} MemoryHigh, MemoryMax", f"{high} MiB, {most} MiB", limits))
        if process is None:
            checks.append(Check(instance.unit, "a running process", "does not run", False))
            continue
        options = process.environment.get("NODE_OPTIONS", "not limited")
        option = f"--max-old-space-size={heap}"
        checks.append(Check(f"{instance.unit} heap of V8", option, options, option in options.split()))
        # Inside a container the kernel may lend no memory controller; then the heap's limit is the one that holds.
        if process.memory_limit is not None:
            kernel = megabytes(process.memory_limit)
            checks.append(Check.equal(f"{instance.unit} memory.max of the kernel", f"{most} MiB", kernel))
        used, limit = process.resident // MIB, int(most * MOST_MEMORY)
        checks.append(Check(f"{instance.unit} resident", f"under {limit} MiB", f"{used} MiB", used < limit))
    command = "systemctl show -p MemoryHigh,MemoryMax,MemoryCurrent 'app@*'"
    return judged("perf.memory", "quick", checks, command=command, remediation=REMEDIATION)


def megabytes(value: str) -> str:
    return f"{int(value) // MIB} MiB" if value.isdecimal() else value or "unknown"


def main() -> None:
    text = {"type": "str", "required": True}
    texts = {"type": "list", "elements": "str", "required": True}
    number = {"type": "int", "required": True}
    module = AnsibleModule(
        argument_spec={
            "dest": {"type": "path", "default": "/opt/app"},
            "instances": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {"unit": text, "health_url": text},
            },
            "steps": texts,
            "command": text,
            "environment_file": {"type": "path", "required": True},
            "required_environment": texts,
            "domains": texts,
            "database_user": text,
            "database_name": text,
            "pooler_port": number,
            "memory_high_mb": number,
            "memory_max_mb": number,
            "heap_mb": number,
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, controls=audit(module))


def audit(module: AnsibleModule) -> list[dict[str, Any]]:
    params = module.params
    layout = Layout(params["dest"])
    urls = {instance["unit"]: instance["health_url"] for instance in params["instances"]}
    instances = observe_instances(list(urls), layout, module.run_command)
    processes = {instance.unit: observe_process(instance) for instance in instances}
    terms = Terms(now=time.time(), **{name: params[name] for name in TERMS})

    def steps() -> Control:
        health = {unit: ask_health(url) for unit, url in urls.items()}
        release = observe_release(layout, "current", params["command"])
        return judge_steps(release, os.path.exists(layout.journal), instances, health, params["steps"])

    def rollback() -> Control:
        return judge_rollback(*(observe_release(layout, link, params["command"]) for link in ("current", "previous")))

    def contract() -> Control:
        mode = observe_mode(params["environment_file"])
        return judge_contract(processes, mode, params["required_environment"], terms)

    def memory() -> Control:
        return judge_memory(instances, processes, params)

    probes = {"deploy.steps": steps, "deploy.rollback": rollback, "env.contract": contract, "perf.memory": memory}
    return run_probes("quick", probes)


def observe_mode(path: str) -> str:
    if not os.path.exists(path):
        return "missing"
    status = os.stat(path)
    owner = "root:root" if (status.st_uid, status.st_gid) == (0, 0) else f"{status.st_uid}:{status.st_gid}"
    return f"{owner} {status.st_mode & 0o7777:04o}"


if __name__ == "__main__":
    main()
