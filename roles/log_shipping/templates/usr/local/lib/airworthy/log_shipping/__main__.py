# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Brings what is logged on this host to the collector, at least once and in order, with personal data masked.

  python3 -I /usr/local/lib/airworthy/log_shipping SETTINGS SOURCES STATE

SETTINGS is a file, SOURCES the directory of what each role has logged, STATE the directory of what is kept.

The journal and the log files are the queue. The position in each is kept on disk, and moves on only when the collector
has acknowledged what stands before it. Whatever is killed, nothing is lost; the last lines may arrive twice, with the
same id.
"""

from __future__ import annotations

import json
import signal
import ssl
import sys
from functools import partial
from pathlib import Path

from files import Files
from journal import Journal
from masking import Masker
from relp import Collector, Connection
from shipper import Positions, Shipper


def main() -> None:
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    state = Path(sys.argv[3])
    context = ssl.create_default_context(cafile=settings["ca"])
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings["certificate"], settings["private_key"])
    collector = Collector(**settings["collector"])
    positions = Positions(state / "positions.json")
    masker = Masker.of(settings["masking_rules"])

    connect = partial(Connection, collector, context)
    shipper = Shipper(settings["host"], connect, masker, positions, state / "figures.prom")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: shipper.stop())
    dropped = shipper.figures.dropped
    wanted = [source for path in sorted(Path(sys.argv[2]).glob("*.json")) for source in json.loads(path.read_text())]
    journal = Journal([each for each in wanted if "journal" in each], positions.get(Journal.name), dropped)
    logs = [Files(each, positions.get(Files.name_of(each)), dropped) for each in wanted if "path" in each]
    shipper.run([journal, *logs])


if __name__ == "__main__":
    main()
