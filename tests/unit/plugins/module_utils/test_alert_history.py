"""What is read out of the journal of a receiver."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.airworthy.stack.plugins.module_utils.alert_history import Told, first, history, read


def entry(at: int, message: Any) -> str:
    return json.dumps({"__REALTIME_TIMESTAMP": f"{at}000000", "MESSAGE": message})


def alert(status: str, name: str = "DiskSpaceLow", instance: str = "db1") -> str:
    return json.dumps({"status": status, "alertname": name, "instance": instance, "summary": "…"})


def test_what_systemd_or_a_fault_wrote_is_no_alert() -> None:
    written = [
        entry(10, "Started airworthy-alert-history.service - Writes alerts into the journal."),
        entry(11, alert("firing")),
        entry(12, "[1, 2]"),
        entry(13, None),  # a message that is longer than journalctl shows
        entry(14, [98, 105]),  # one that is no text
        entry(15, '{"status": "firing"}'),
        json.dumps({"MESSAGE": alert("firing")}),
    ]
    assert list(read(written)) == [Told(11.0, "firing", "DiskSpaceLow", "db1")]


def test_the_journal_is_asked_for_the_unit_since_the_moment() -> None:
    asked: list[list[str]] = []

    def run(arguments: list[str], check_rc: bool) -> tuple[int, str, str]:
        asked.append(arguments)
        return 0, entry(11, alert("firing")) + "\n", ""

    assert [told.at for told in history(10.4, run)] == [11.0]
    assert {"--unit=airworthy-alert-history.service", "--since=@10"} <= set(asked[0])


def test_the_first_word_of_the_right_alert_counts() -> None:
    told = list(read([
        entry(1, alert("firing", instance="web1")),
        entry(2, alert("resolved")),
        entry(3, alert("firing")),
        entry(4, alert("firing")),
        entry(5, alert("resolved")),
    ]))  # fmt: skip
    begun = first(told, "DiskSpaceLow", "db1", "firing")
    assert begun and begun.at == 3
    over = first(told, "DiskSpaceLow", "db1", "resolved", after=begun.at)
    assert over and over.at == 5
    assert first(told, "MemoryHigh", "db1", "firing") is None
