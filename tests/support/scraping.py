"""An exporter's figures, asked for as Prometheus does."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from testinfra.host import Host

CA = "/etc/airworthy/tls/ca.crt"
PASSWORD = "molecule/inventory/.secrets/exporters"


@dataclass(frozen=True)
class Scrape:
    lines: list[str]
    seconds: float

    def value(self, series: str) -> float:
        """Of the series that is written so, 0 where there is none."""
        return next((float(line.rsplit(" ", 1)[1]) for line in self.lines if line.startswith(f"{series} ")), 0.0)

    @property
    def names(self) -> set[str]:
        return {re.split(r"[{ ]", line)[0] for line in self.lines}


def scrape(host: Host, port: int, path: str = "/metrics") -> Scrape:
    """The password goes by standard input, so that it stands in no list of processes."""
    password = (Path(os.environ["MOLECULE_PROJECT_DIRECTORY"]) / PASSWORD).read_text().strip()
    answer = host.check_output(
        f"printf 'user = \"prometheus:%s\"\\n' '{password}' | "
        f"curl -sS --fail -K - --cacert {CA} -w '%{{time_total}}' https://localhost:{port}{path}"
    )
    *lines, seconds = answer.splitlines()
    return Scrape([line for line in lines if line and not line.startswith("#")], float(seconds))
