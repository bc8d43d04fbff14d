# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A dashboard in a few words becomes one in Grafana's: documented in grafana_dashboard.yml."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

COLUMNS = 24  # of a row
WIDTH = 12
HEIGHT = 8
KINDS = {"graph": "timeseries", "stat": "stat", "table": "table"}
SCHEMA = 39  # of Grafana 11; newer ones migrate what they read
DATASOURCE = {"type": "prometheus", "uid": "airworthy"}


def grafana_dashboard(wish: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {
        "uid": f"airworthy-{name}",
        "title": wish["title"],
        "tags": ["airworthy"],
        "schemaVersion": SCHEMA,
        "editable": False,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [hosts_of(wish["hosts"])]},
        "links": [{"type": "dashboards", "tags": ["airworthy"], "asDropdown": True, "title": "Others"}],
        "panels": [panel(number, one) for number, one in enumerate(wish["panels"])],
    }


def hosts_of(job: str) -> dict[str, Any]:
    """The choice of hosts, of those that have this exporter."""
    return {
        "name": "host",
        "label": "Host",
        "type": "query",
        "datasource": DATASOURCE,
        "query": f'label_values(up{{job="{job}"}}, instance)',
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "current": {"text": "All", "value": "$__all"},
    }


def panel(number: int, wish: Mapping[str, Any]) -> dict[str, Any]:
    kind = KINDS[wish.get("kind", "graph")]
    limits = {key: wish[key] for key in ("unit", "max") if key in wish}
    return {
        "id": number + 1,
        "title": wish["title"],
        "type": kind,
        "datasource": DATASOURCE,
        "gridPos": {
            "x": number * WIDTH % COLUMNS,
            "y": number * WIDTH // COLUMNS * HEIGHT,
            "w": WIDTH,
            "h": HEIGHT,
        },
        "fieldConfig": {"defaults": {"min": 0, **limits}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": DATASOURCE,
                "expr": expression.replace("$on", 'instance=~"$host"'),
                "legendFormat": re.sub(r"\{(\w+)\}", r"{{\1}}", legend),
                "instant": kind != "timeseries",
                "range": kind == "timeseries",
                "format": "table" if kind == "table" else "time_series",
            }
            for index, (legend, expression) in enumerate(wish["lines"].items())
        ],
    }


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"grafana_dashboard": grafana_dashboard}
