"""Many lines in the journal of a host, and what the collector has of them."""

from __future__ import annotations

import json
import secrets
from typing import Any

from testinfra.host import Host

STORE = "/var/log/airworthy"


class Flood:
    """Many lines of one program in the journal. No other test's lines are in its file."""

    def __init__(self, host: Host) -> None:
        self.host, self.program = host, f"flood-{secrets.token_hex(4)}"
        self.name = host.check_output("hostname")
        self.files = f"{STORE}/{self.name}/{self.program}/*.jsonl"

    def pour(self, first: int, last: int) -> None:
        line = "line %.0f of a flood, as long as a line of a log usually is, or a little longer than that"
        pour = f"seq -f '{line}' {first} {last} | systemd-cat -t {self.program}"
        self.host.check_output(f"{pour} && journalctl --sync")

    def count(self) -> int:
        return int(self.host.check_output(f"cat {self.files} 2>/dev/null | wc -l"))

    def records(self) -> list[dict[str, Any]]:
        lines = self.host.check_output(f"cat {self.files} 2>/dev/null || true").splitlines()
        return [json.loads(line) for line in lines]

    def numbers(self) -> list[int]:
        """As they were first written, without the duplicates that their ids tell."""
        first = {record["id"]: record["message"] for record in reversed(self.records())}
        return [int(message.split()[1]) for message in reversed(first.values())]
