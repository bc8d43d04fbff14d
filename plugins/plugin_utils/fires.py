# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a fire drill sets on fire, where, and how soon somebody has to be told."""

from __future__ import annotations

from dataclasses import dataclass

# Alertmanager waits so long for more of the same kind, and between two notifications of one kind (alertmanager.yml).
GROUP_WAIT, GROUP_INTERVAL = 30, 120


@dataclass(frozen=True)
class Fire:
    """A fault of a drill, which the unit airworthy-fire-FAULT@SECONDS.service of a host brings about."""

    alert: str
    job: str  # hosts with this exporter can have it
    rises: int  # seconds until the threshold is passed
    holds: int  # seconds for which that must last (`for` of the alert)

    def seconds(self, interval: int) -> int:
        """Within which a receiver is told. Until a scrape, a recording and a rule saw it, three intervals pass."""
        return self.rises + self.holds + 3 * interval + GROUP_WAIT + GROUP_INTERVAL


# In the order in which their alerts arrive. The first is a real outage, and over as soon as its alert was seen.
FIRES = {
    "database": Fire("DatabaseConnectionsFailing", "pgbouncer", rises=0, holds=60),
    "errors": Fire("ErrorRateHigh", "nginx", rises=60, holds=120),
    "response": Fire("ResponseSlow", "nginx", rises=150, holds=120),
    "memory": Fire("MemoryHigh", "node", rises=30, holds=300),
    "disk": Fire("DiskSpaceLow", "node", rises=30, holds=300),
}
