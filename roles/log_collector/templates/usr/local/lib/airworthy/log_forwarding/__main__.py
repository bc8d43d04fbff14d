# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Forwards what the collector has collected to other systems, at least once and, of each file, in order.

  python3 -I /usr/local/lib/airworthy/log_forwarding SETTINGS STORE STATE

SETTINGS is a file, STATE the directory of what is kept. The files of the store are the queue: of each, a target's place
moves on when it has acknowledged what stands before it. The targets do not wait for each other.
"""

from __future__ import annotations

import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent.with_name("log_store")))  # reads what is stored

import forward_figures
import targets
import wanted
from following import Follower
from forwarder import Forwarder
from listing import Listing
from places import Places

TELL = 15.0  # seconds between two times that Prometheus is told
PATIENCE = 5.0  # seconds for which records that are on their way are waited for


def main() -> int:
    wished = targets.read(Path(sys.argv[1]))
    root, state = Path(sys.argv[2]), Path(sys.argv[3])
    stopped, failed = threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    forget(state / "targets", {target["name"] for target in wished})
    forwarders = {target["name"]: forwarder(target, root, state / "targets", stopped) for target in wished}
    threads = []
    for target in wished:
        run = partial(forwarders[target["name"]].run, targets.filters(target))
        threads.append(threading.Thread(target=work, args=(run, stopped, failed), name=target["name"], daemon=True))
        threads[-1].start()
    figures = {name: each.figures for name, each in forwarders.items()}
    is_over = False
    while not is_over:
        try:
            forward_figures.write(figures, state / "figures.prom")
        except OSError as error:  # of a full disk, which ends without this program
            print(f"<4>Prometheus cannot be told: {error}", file=sys.stderr, flush=True)
        is_over = stopped.wait(TELL)
    for thread in threads:
        thread.join(PATIENCE / len(threads))
    return 1 if failed.is_set() else 0


def forwarder(target: Mapping[str, Any], root: Path, state: Path, stopped: threading.Event) -> Forwarder:
    hosts, programs = (partial(wanted.is_one_of, patterns=patterns) for patterns in targets.filters(target))
    places = Places(state / target["name"], root)
    follower = Follower(Listing(root, hosts, programs), places, target.get("level") or "")
    return Forwarder(target["name"], follower, targets.sink(target), places, stopped)


def forget(state: Path, names: set[str]) -> None:
    """A target that is taken out and comes back is a new one."""
    for directory in state.iterdir() if state.exists() else ():
        if directory.name not in names:
            shutil.rmtree(directory)


def work(run: partial[None], stopped: threading.Event, failed: threading.Event) -> None:
    """Whatever goes wrong in a thread ends the program, which then begins anew where the targets are."""
    try:
        run()
    except BaseException:
        traceback.print_exc()
        failed.set()
        stopped.set()


if __name__ == "__main__":
    sys.exit(main())
