# Copyright (c) the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the controls of the hosts to a certificate: what was collected, what is missing, the verdict. All of it pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.airworthy.stack.plugins.module_utils.catalogue import (
    CATALOGUE,
    LINES,
    SECTIONS,
    Line,
    tiers_of,
)

# The worst first: a line of the checklist is as good as the worst of its controls.
STATUSES = ("error", "fail", "waived", "pass", "not_applicable", "not_run", "not_yet")
REPORTED = ("pass", "fail", "not_applicable", "not_run", "error")  # what a verifying module may say
HARMLESS = ("pass", "waived", "not_applicable", "not_run", "not_yet")

OTHER_SECTION = "Further controls"

_CONTROLS_VARIABLE = re.compile(r"^__\w+_controls$")

# Evidence is what servers said. It goes to terminals and into XML, so control characters (escape sequences among them)
# and halves of surrogate pairs are replaced; line breaks and tabs stay.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Host:
    """What is known of one host when the certificate is written."""

    name: str
    tiers: frozenset[str]
    registered: Mapping[str, Any]  # its variables named like __nginx_controls
    reachable: bool = True

    @classmethod
    def of(cls, name: str, variables: Mapping[str, Any], *, reachable: bool) -> Host:
        names = [variable for variable in variables if _CONTROLS_VARIABLE.match(variable)]
        return cls(
            name=name,
            tiers=tiers_of(variables.get("group_names", [])),
            registered={variable: plain(variables[variable]) for variable in sorted(names)},
            reachable=reachable,
        )


@dataclass(frozen=True)
class Certificate:
    """Everything that the outputs show."""

    collection: str
    version: str
    inventory: str
    generated: str
    level: str
    hosts: list[str]
    controls: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """Controls by status."""
        found = Counter(control["status"] for control in self.controls)
        return {status: found[status] for status in STATUSES}

    @property
    def lines(self) -> dict[str, int]:
        """Lines of the checklist by the worst status among their controls."""
        found = Counter(worst(controls) for controls in self.by_id().values())
        return {"total": sum(found.values()), **{status: found[status] for status in STATUSES}}

    @property
    def verdict(self) -> str:
        harmless = all(control["status"] in HARMLESS for control in self.controls)
        return "pass" if harmless and self.counts["pass"] else "fail"

    @property
    def headline(self) -> str:
        lines = self.lines
        parts = [
            (lines["fail"], "fail", "fails"),
            (lines["error"], "could not be examined", "could not be examined"),
            (lines["waived"], "are waived", "is waived"),
            (lines["not_applicable"], "do not apply", "does not apply"),
            (lines["not_run"], "were not run", "was not run"),
            (lines["not_yet"], "have no control yet", "has no control yet"),
        ]
        rest = ", ".join(f"{count} {one if count == 1 else many}" for count, many, one in parts if count)
        proven = f"{lines['pass']} of {lines['total']} lines of the checklist proven"
        return f"{proven}; {rest}" if rest else proven

    def by_id(self) -> dict[str, list[dict[str, Any]]]:
        grouped: dict[str, list[dict[str, Any]]] = {}
        for control in self.controls:
            grouped.setdefault(control["id"], []).append(control)
        return grouped

    def obstacles(self) -> list[list[dict[str, Any]]]:
        """What failed or erred; controls of a host that say the same (it was unreachable) stand together."""
        grouped: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for control in self.controls:
            if control["status"] not in HARMLESS:
                key = (control["status"], control["host"], control["observed"])
                grouped.setdefault(key, []).append(control)
        return list(grouped.values())

    def by_section(self) -> dict[str, dict[str, list[dict[str, Any]]]]:
        """Section, then id, then controls; sections and ids in the order of the checklist."""
        grouped: dict[str, dict[str, list[dict[str, Any]]]] = {section: {} for section in (*SECTIONS, OTHER_SECTION)}
        for control_id, controls in self.by_id().items():
            grouped[controls[0]["section"]][control_id] = controls
        return {section: lines for section, lines in grouped.items() if lines}

    def to_dict(self) -> dict[str, Any]:
        return {
            "collection": self.collection,
            "version": self.version,
            "inventory": self.inventory,
            "generated": self.generated,
            "level": self.level,
            "hosts": self.hosts,
            "verdict": self.verdict,
            "headline": self.headline,
            "lines": self.lines,
            "counts": self.counts,
            "notes": self.notes,
            "controls": self.controls,
        }


def worst(controls: Sequence[Mapping[str, Any]]) -> str:
    """The status that decides about a line."""
    return min((control["status"] for control in controls), key=STATUSES.index)


def assemble(hosts: Sequence[Host], level: str, inventory_tiers: frozenset[str]) -> list[dict[str, Any]]:
    """The controls of all hosts, and one for everything that should be there and is not, in the checklist's order."""
    controls = [control for host in hosts for control in collected(host)]
    controls += [control for host in hosts for control in _missing(host, level, controls)]
    reported = {control["id"] for control in controls}
    controls += [_unexamined(line, inventory_tiers) for line in LINES if line.id not in reported]
    order = list(CATALOGUE)
    names = [host.name for host in hosts]
    return sorted(
        controls,
        key=lambda control: (
            order.index(control["id"]) if control["id"] in CATALOGUE else len(order),
            names.index(control["host"]) if control["host"] else -1,
        ),
    )


def collected(host: Host) -> Iterator[dict[str, Any]]:
    """What the verifying modules reported of this host."""
    for variable, result in host.registered.items():
        for record in _records(result):
            problem = _problem(record)
            if problem:
                yield _control(
                    str(record.get("id", variable)) if isinstance(record, Mapping) else variable,
                    host=host.name,
                    status="error",
                    observed=f"{variable} holds a record that is no control: {problem}.",
                )
            else:
                evidence = record.get("evidence", {})
                yield _control(
                    record["id"],
                    host=host.name,
                    **{key: record[key] for key in ("level", "status", "expected", "observed")},
                    checks=evidence.get("checks", []),
                    command=evidence.get("command", ""),
                    remediation=record.get("remediation", ""),
                    duration=record.get("duration", 0.0),
                )


def plain(value: Any) -> Any:
    """A value of ansible's (lazy, tagged) as ordinary data with printable text."""
    if isinstance(value, str):
        return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", value.replace("\r\n", "\n"))
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [plain(item) for item in value]
    return value


def _records(result: Any) -> list[Any]:
    """The records of a registered result; of a looped task's, those of each item."""
    if not isinstance(result, Mapping):
        return []
    if "results" in result:
        return [record for item in result["results"] for record in _records(item)]
    return list(result.get("controls", []))


def _problem(record: Any) -> str:
    if not isinstance(record, Mapping):
        return f"it is {type(record).__name__}, not a mapping"
    missing = [key for key in ("id", "level", "status", "expected", "observed") if key not in record]
    if missing:
        return f"it lacks {', '.join(missing)}"
    if record["status"] not in REPORTED:
        return f"its status is {record['status']!r}, not one of {', '.join(REPORTED)}"
    return ""


def _missing(host: Host, level: str, controls: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """A control for each line that a role should have proven on this host and did not."""
    for line in LINES:
        if line.proved_by is None or not line.tiers & host.tiers:
            continue
        mine = [control for control in controls if control["host"] == host.name and control["id"] == line.id]
        wanted = _level_to_run(line, level)
        if wanted is None and not mine:
            observed = "Only a deep run proves this line."
            yield _control(line.id, host=host.name, level="deep", status="not_run", observed=observed)
        elif wanted and not any(_settles(control, wanted) for control in mine):
            yield _silent(host, line, wanted)


def _level_to_run(line: Line, level: str) -> str | None:
    """The level whose record a run of this level owes for a line, if any."""
    if level in line.levels:
        return level
    return "quick" if level == "deep" else None


def _settles(control: Mapping[str, Any], level: str) -> bool:
    return level in ("quick", control["level"]) or control["status"] in ("not_applicable", "error")


def _silent(host: Host, line: Line, level: str) -> dict[str, Any]:
    """Why nothing is known of a line: the host was unreachable, the probe failed as a task, or it said nothing."""
    failures = [
        str(result.get("msg", "no message"))
        for variable, result in host.registered.items()
        if variable.startswith(f"__{line.proved_by}_") and isinstance(result, Mapping) and result.get("failed")
    ]
    if not host.reachable:
        observed = "The host was unreachable: nothing is known of it."
        remediation = f"Make {host.name} reachable over SSH, then certify again."
    elif failures:
        observed = f"The probe failed: {'; '.join(failures)}"
        remediation = f"Mend what made the tasks of the role {line.proved_by} fail, then certify again."
    else:
        observed = "The probe reported nothing."
        remediation = f"See in the output of the run why the role {line.proved_by} did not examine this host."
    return _control(line.id, host=host.name, level=level, status="error", observed=observed, remediation=remediation)


def _unexamined(line: Line, inventory_tiers: frozenset[str]) -> dict[str, Any]:
    """A line of which no host has a control."""
    tiers = " or ".join(sorted(line.tiers))
    if line.proved_by is None:
        return _control(line.id, status="not_yet", observed="There is no control for this line yet.")
    if line.tiers & inventory_tiers:
        return _control(line.id, status="not_run", observed=f"No host of tier {tiers} was part of this run.")
    return _control(line.id, status="not_applicable", observed=f"The inventory has no host of tier {tiers}.")


def _control(
    control_id: str,
    *,
    status: str,
    observed: str,
    host: str = "",
    level: str = "",
    expected: str = "",
    checks: Sequence[Mapping[str, Any]] = (),
    command: str = "",
    remediation: str = "",
    duration: float = 0.0,
) -> dict[str, Any]:
    line = CATALOGUE.get(control_id)
    return {
        "id": control_id,
        "section": line.section if line else OTHER_SECTION,
        "title": line.title if line else control_id,
        "host": host,
        "level": level,
        "status": status,
        "expected": expected or (line.wants if line else ""),
        "observed": observed,
        "evidence": {"checks": list(checks), "command": command},
        "remediation": remediation,
        "duration": duration,
    }
