# Copyright (c) the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Waivers: a failing control that somebody answers for, with a reason and until a date."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.airworthy.stack.plugins.module_utils.catalogue import CATALOGUE

_REQUIRED = ("id", "reason", "owner", "expires")
_KEYS = (*_REQUIRED, "host")


@dataclass(frozen=True)
class Waiver:
    """Who waives which control, why and until when; without a host, on every host."""

    id: str
    reason: str
    owner: str
    expires: datetime.date
    host: str = ""

    def covers(self, control: Mapping[str, Any]) -> bool:
        return bool(control["id"] == self.id and self.host in ("", control["host"]))

    def to_dict(self, today: datetime.date) -> dict[str, Any]:
        return {
            "reason": self.reason,
            "owner": self.owner,
            "expires": self.expires.isoformat(),
            "expired": self.expires < today,
        }

    def __str__(self) -> str:
        return f"the waiver of {self.id}{' on ' + self.host if self.host else ''} by {self.owner}"


def parse(raw: Sequence[Any], inventory_hosts: Collection[str]) -> tuple[list[Waiver], list[str]]:
    """The waivers, and in plain words everything that is wrong with them."""
    waivers: list[Waiver] = []
    problems: list[str] = []
    for number, entry in enumerate(raw):
        found = _problems(entry, inventory_hosts)
        problems += [f"airworthy_waivers[{number}]: {problem}" for problem in found]
        if not found:
            waivers.append(
                Waiver(
                    id=str(entry["id"]),
                    reason=str(entry["reason"]),
                    owner=str(entry["owner"]),
                    expires=_date(entry["expires"]),
                    host=str(entry.get("host") or ""),
                )
            )
    return waivers, problems


def apply(
    waivers: Sequence[Waiver], controls: Sequence[dict[str, Any]], today: datetime.date
) -> tuple[list[dict[str, Any]], list[str]]:
    """The controls with failing ones waived, and notes about waivers that did nothing."""
    judged = [_waived(control, waivers, today) for control in controls]
    return judged, [note for waiver in waivers if (note := _note(waiver, controls))]


def _waived(control: dict[str, Any], waivers: Sequence[Waiver], today: datetime.date) -> dict[str, Any]:
    covering = [waiver for waiver in waivers if waiver.covers(control)]
    if control["status"] != "fail" or not covering:
        return control
    latest = max(covering, key=lambda waiver: waiver.expires)
    waiver = latest.to_dict(today)
    if not waiver["expired"]:
        return {**control, "status": "waived", "waiver": waiver}
    return {
        **control,
        "observed": f"{control['observed']} (its waiver by {latest.owner} expired on {waiver['expires']})",
        "waiver": waiver,
    }


def _note(waiver: Waiver, controls: Sequence[Mapping[str, Any]]) -> str:
    statuses = {control["status"] for control in controls if waiver.covers(control)}
    if "fail" in statuses:
        return ""
    if "error" in statuses:
        return f"Nothing is waived by {waiver}: the control could not be examined, which a waiver does not cover."
    if "pass" in statuses:
        return f"Remove {waiver}: the control passes."
    return f"Nothing is waived by {waiver}: the control was not examined."


def _problems(entry: Any, inventory_hosts: Collection[str]) -> list[str]:
    if not isinstance(entry, Mapping):
        return [f"found {entry!r}, wanted a mapping of {', '.join(_REQUIRED)} and, optionally, host"]
    problems = [f"{key} is missing or empty: say {_MEANING[key]}" for key in _REQUIRED if not entry.get(key)]
    problems += [f"{key} is no part of a waiver: write one of {', '.join(_KEYS)}" for key in entry if key not in _KEYS]
    if entry.get("id") and entry["id"] not in CATALOGUE:
        problems.append(f"id is {entry['id']!r}, which is no line of the checklist: take an id from the certificate")
    if entry.get("host") and entry["host"] not in inventory_hosts:
        problems.append(f"host is {entry['host']!r}, which is not in the inventory: name a host or leave it out")
    if entry.get("expires"):
        try:
            _date(entry["expires"])
        except ValueError:
            problems.append(f"expires is {entry['expires']!r}: write a date such as 2027-01-31")
    return problems


_MEANING = {
    "id": "which line of the checklist is waived",
    "reason": "why it may fail",
    "owner": "who answers for it",
    "expires": "until which day, as YYYY-MM-DD",
}


def _date(value: Any) -> datetime.date:
    # YAML reads an unquoted 2027-01-31 as a date, whose text is the same again.
    return datetime.datetime.strptime(str(value), "%Y-%m-%d").date()
