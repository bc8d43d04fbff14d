"""No line of the checklist gets lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.catalogue import (
    CATALOGUE,
    EVERY_TIER,
    LINES,
    Line,
    tiers_of,
)

IDS = """
db.pool db.settings db.indexes db.queries db.monitoring db.backup db.batching
perf.cache perf.parallel perf.memory perf.response perf.errors perf.throughput perf.headroom
edge.https edge.headers edge.cors edge.csrf edge.rate_auth edge.rate_api edge.input edge.errors edge.sessions edge.lb
edge.cdn
id.roles id.auth id.db_auth
data.at_rest data.backup_encrypted data.pii data.retention data.access_log
mon.exporters mon.health mon.response mon.uptime mon.errors mon.alerts log.aggregation log.errors
env.contract deploy.steps deploy.rollback
scale.host scale.replicas scale.failover
maint.daily maint.weekly maint.monthly maint.updates maint.scan dr.restore dr.plan
""".split()  # noqa: SIM905

PROVED_BY = {
    "postgresql": {"db.settings", "db.indexes", "db.queries", "db.monitoring", "id.db_auth"},
    "pgbouncer": {"db.pool"},
    "nginx": {
        "edge.https", "edge.headers", "edge.cors", "edge.csrf", "edge.rate_auth", "edge.rate_api", "edge.input",
        "edge.errors", "edge.sessions", "edge.cdn", "edge.lb", "data.pii", "perf.response", "perf.errors",
        "perf.throughput",
    },
    "app": {"deploy.steps", "deploy.rollback", "env.contract", "perf.memory"},
    "exporters": {"mon.exporters"},
    "monitoring": {"mon.health", "mon.response", "mon.uptime", "mon.errors", "mon.alerts", "perf.headroom"},
    "log_shipping": {"log.aggregation", "log.errors", "data.access_log"},
    "base": {"scale.host"},
    "backup": {"db.backup", "data.backup_encrypted", "data.retention", "dr.restore", "dr.plan"},
}  # fmt: skip

ROLES = Path(__file__).parents[4] / "roles"


def test_every_line_is_there_once_and_in_order() -> None:
    assert [line.id for line in LINES] == IDS
    assert len(CATALOGUE) == len(IDS) == 54


def test_who_proves_which_line() -> None:
    proved = {role: {line.id for line in LINES if line.proved_by == role} for role in PROVED_BY}
    assert proved == PROVED_BY
    assert {line.proved_by for line in LINES} == {*PROVED_BY, None}


@pytest.mark.parametrize("role", PROVED_BY)
def test_a_role_that_proves_something_has_the_tasks_for_it(role: str) -> None:
    assert (ROLES / role / "tasks" / "certify.yml").is_file()


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.id)
def test_a_line_is_complete(line: Line) -> None:
    assert line.title and line.wants and line.section
    assert line.tiers and line.tiers <= EVERY_TIER
    assert line.levels and line.levels <= {"quick", "deep"}


@pytest.mark.parametrize(
    ("groups", "tiers"),
    [
        (["all", "server"], EVERY_TIER),
        (["edge", "app", "berlin"], {"edge", "app"}),
        (["berlin"], set()),
    ],
)
def test_the_tiers_of_a_host_follow_from_its_groups(groups: list[str], tiers: set[str]) -> None:
    assert tiers_of(groups) == tiers
