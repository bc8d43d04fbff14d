"""Dashboards: Grafana's words for ours, and ours as they stand in the role."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.airworthy.stack.plugins.filter.grafana import grafana_dashboard

ROLE = Path(__file__).parents[4] / "roles/monitoring"
DASHBOARDS: dict[str, dict[str, Any]] = yaml.safe_load((ROLE / "vars/main/dashboards.yml").read_text())[
    "__monitoring_dashboards"
]

each = pytest.mark.parametrize(("name", "wish"), DASHBOARDS.items())


def test_a_panel_asks_for_the_chosen_hosts_and_names_lines_by_label() -> None:
    wish = {"title": "Hosts", "hosts": "node", "panels": [{"title": "Load", "lines": {"{instance} now": "load{$on}"}}]}
    (target,) = grafana_dashboard(wish, "hosts")["panels"][0]["targets"]
    assert target["expr"] == 'load{instance=~"$host"}'
    assert target["legendFormat"] == "{{instance}} now"
    assert (target["range"], target["instant"]) == (True, False)


def test_panels_stand_side_by_side() -> None:
    wish = {"title": "", "hosts": "node", "panels": [{"title": "", "lines": {}}] * 3}
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in grafana_dashboard(wish, "")["panels"]]
    assert places == [(0, 0), (12, 0), (0, 8)]


@each
def test_a_dashboard_is_made_and_lands(name: str, wish: dict[str, Any]) -> None:
    made = json.loads(json.dumps(grafana_dashboard(wish, name)))
    assert made["uid"] == f"airworthy-{name}"
    assert len({panel["id"] for panel in made["panels"]}) == len(made["panels"]) == len(wish["panels"])
    assert (ROLE / f"templates/grafana/etc/grafana/airworthy/{name}.json.j2").exists()


def test_nothing_lands_that_is_no_dashboard() -> None:
    assert {path.name for path in (ROLE / "templates/grafana/etc/grafana/airworthy").iterdir()} == {
        f"{name}.json.j2" for name in DASHBOARDS
    }


@each
def test_a_panel_knows_no_words_but_ours(name: str, wish: dict[str, Any]) -> None:
    for panel in wish["panels"]:
        assert set(panel) <= {"title", "kind", "unit", "max", "lines"}, panel["title"]
