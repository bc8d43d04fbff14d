# Copyright (c) the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The certificate as text for a terminal: an aligned table by section, then what failed, then the verdict."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.airworthy.stack.plugins.plugin_utils.certificate import Certificate, worst

SIGNS = {
    "pass": "✓",
    "fail": "✗",
    "error": "!",
    "waived": "~",
    "not_applicable": "\N{EN DASH}",
    "not_run": "○",
    "not_yet": "·",
}
LABEL = {label: f"  {label:<18}" for label in ("expected", "observed", "see for yourself", "what to do", "certificate")}


class Text(NamedTuple):
    """A line of output and the status that colours it; none for plain text."""

    text: str
    status: str | None = None


def render(certificate: Certificate, path: str, width: int) -> Iterator[Text]:
    """The whole summary for a terminal of that many columns."""
    width = max(60, min(width, 120))
    columns = Columns.of(certificate.controls)
    yield Text("")
    yield Text(f"Certificate of {certificate.inventory}, level {certificate.level}, {certificate.generated}")
    for section, lines in certificate.by_section().items():
        yield from _section(section, lines, columns, width)
    for controls in certificate.obstacles():
        yield from _obstacle(controls, width)
    yield Text("")
    for note in certificate.notes:
        yield from _wrapped(f"Note: {note}", width, "waived")
    yield from _wrapped(f"{certificate.verdict.upper()}: {certificate.headline}", width, certificate.verdict)
    yield Text(f"{LABEL['certificate']}{path}")


class Columns(NamedTuple):
    """Widths that align the ids and the hosts of the whole table."""

    id: int
    host: int

    @classmethod
    def of(cls, controls: Sequence[Mapping[str, Any]]) -> Columns:
        return cls(*(max((len(control[key]) for control in controls), default=0) for key in ("id", "host")))


def _section(
    section: str, lines: Mapping[str, Sequence[Mapping[str, Any]]], columns: Columns, width: int
) -> Iterator[Text]:
    yield Text("")
    yield Text(section)
    for controls in lines.values():
        if worst(controls) != "not_yet":
            yield from (_row(control, columns, width) for control in controls)
    not_yet = [control_id for control_id, controls in lines.items() if worst(controls) == "not_yet"]
    if not_yet:
        text = f"{SIGNS['not_yet']} no control yet: {', '.join(not_yet)}"
        yield from _wrapped(text, width, "not_yet", first="  ", then="    ")


def _row(control: Mapping[str, Any], columns: Columns, width: int) -> Text:
    status = control["status"]
    seen = control["title"] if status == "pass" else f"{control['title']}: {control['observed']}"
    start = f"  {SIGNS[status]} {control['id']:<{columns.id}}  {control['host']:<{columns.host}}  "
    return Text(start + _shortened(seen, width - len(start)), status)


def _obstacle(controls: Sequence[Mapping[str, Any]], width: int) -> Iterator[Text]:
    control = controls[0]
    ids = ", ".join(each["id"] for each in controls)
    where = f" on {control['host']}" if control["host"] else ""
    what = control["title"] if len(controls) == 1 else f"{len(controls)} lines of the checklist"
    yield Text("")
    yield from _wrapped(f"{SIGNS[control['status']]} {ids}{where}: {what}", width, control["status"])
    if len(controls) == 1:
        yield from _labelled("expected", control["expected"], width)
    yield from _labelled("observed", control["observed"], width)
    # A command is not wrapped: it is there to be copied.
    if control["evidence"]["command"]:
        yield Text(f"{LABEL['see for yourself']}{control['evidence']['command']}")
    yield from _labelled("what to do", control["remediation"], width)


def _labelled(label: str, text: str, width: int) -> Iterator[Text]:
    if text:
        yield from _wrapped(text, width, first=LABEL[label], then=" " * len(LABEL[label]))


def _wrapped(text: str, width: int, status: str | None = None, first: str = "", then: str = "  ") -> Iterator[Text]:
    lines = textwrap.wrap(text, width, initial_indent=first, subsequent_indent=then, break_on_hyphens=False)
    yield from (Text(line, status) for line in lines)


def _shortened(text: str, width: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"
