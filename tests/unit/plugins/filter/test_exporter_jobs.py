"""What a host exports follows from its groups, and whatever is exported has a port."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.airworthy.stack.plugins.filter.exporter_jobs import exporter_jobs
from ansible_collections.airworthy.stack.plugins.plugin_utils.exporters import JOB_TIERS

DEFAULTS = Path(__file__).parents[4] / "roles" / "preflight" / "defaults" / "main.yml"


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (["server"], [job for job in JOB_TIERS if job != "app"]),
        (["backup"], ["node", "process"]),
        (["database", "eu"], ["node", "process", "postgres", "pgbouncer"]),
        (["edge", "app"], ["node", "process", "nginx"]),
        (["laptops"], []),
        ([], []),
    ],
)
def test_jobs_follow_from_the_groups(groups: list[str], expected: list[str]) -> None:
    assert exporter_jobs(groups) == expected


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (["server"], list(JOB_TIERS)),
        (["app"], ["node", "process", "app"]),
        (["database"], ["node", "process", "postgres", "pgbouncer"]),
    ],
)
def test_the_application_is_asked_where_it_tells_something(groups: list[str], expected: list[str]) -> None:
    assert exporter_jobs(groups, "/metrics") == expected


def test_each_job_has_a_port() -> None:
    assert list(yaml.safe_load(DEFAULTS.read_text())["airworthy_exporter_ports"]) == list(JOB_TIERS)
