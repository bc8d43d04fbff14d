# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which of Prometheus' jobs scrape a host."""

from __future__ import annotations

from collections.abc import Set

from ansible_collections.airworthy.stack.plugins.module_utils.catalogue import EVERY_TIER

# A job, and the tiers whose hosts run its exporter.
JOB_TIERS = {
    "node": EVERY_TIER,
    "process": EVERY_TIER,
    "postgres": frozenset({"database"}),
    "pgbouncer": frozenset({"database"}),
    "nginx": frozenset({"edge"}),
    "app": frozenset({"app"}),  # where the application tells figures of its own
}


def jobs(tiers: Set[str], app_metrics_path: str) -> list[str]:
    return [job for job, where in JOB_TIERS.items() if where & tiers and (job != "app" or app_metrics_path)]
