"""Who watches whom, and whom alerts reach."""

from __future__ import annotations

import time
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.airworthy.stack.plugins.filter.monitoring import (
    alert_receivers,
    edge_loads,
    fires,
    monitoring_watchers,
    scrape_targets,
    scraped,
)
from ansible_collections.airworthy.stack.plugins.plugin_utils.exporters import JOB_TIERS

from inventories import inventory

OTHERWISE = {
    "airworthy_exporter_ports": {
        "node": 9100,
        "process": 9256,
        "postgres": 9187,
        "pgbouncer": 9127,
        "nginx": 9113,
        "app": 9464,
    },
    "airworthy_app_metrics_path": "",
    "airworthy_app_port": 3000,
    "airworthy_app_instances": 2,
    "airworthy_domain": "app.example.org",
    "airworthy_acme_directory": "",
    "airworthy_acme_ca_file": "",
    "airworthy_edge_certificate_file": "",
}


@pytest.mark.parametrize(
    ("groups", "watchers"),
    [
        ({"server": ["web1", "web2"]}, {"web1": ["web1"], "web2": ["web2"]}),
        ({"server": ["web1"], "backup": ["b1"]}, {"web1": ["web1"], "b1": ["web1"]}),
        ({"edge": ["e1"], "database": ["db1"], "monitoring": ["m1", "m2"]}, {"e1": ["m1", "m2"], "m1": ["m1", "m2"]}),
        ({"server": ["web1"], "monitoring": ["m1"]}, {"web1": ["web1", "m1"], "m1": ["m1"]}),
        ({"database": ["db1"]}, {"db1": []}),
    ],
)
def test_each_host_has_its_watchers(groups: dict[str, list[str]], watchers: dict[str, list[str]]) -> None:
    hosts = inventory(groups)
    assert {host: monitoring_watchers(hosts, host) for host in watchers} == watchers


def test_a_drill_burns_where_the_fault_can_be() -> None:
    hosts = inventory({"edge": ["e1", "e2"], "database": ["db1"], "monitoring": ["m1"]})
    found = fires(hosts, "m1", ["errors", "disk"], 15)
    assert [(fire["fault"], fire["instance"], fire["drilled"]) for fire in found] == [
        ("database", "db1", False),
        ("errors", "e1", True),
        ("response", "e1", False),
        ("memory", "e1", False),
        ("disk", "e1", True),
    ]
    assert found[-1] == {**found[-1], "alert": "DiskSpaceLow", "seconds": 525}


def test_what_no_host_can_have_is_no_part_of_a_drill() -> None:
    hosts = inventory({"backup": ["b1"], "monitoring": ["m1"]})
    assert [fire["fault"] for fire in fires(hosts, "m1", ["database", "memory"], 15)] == ["memory", "disk"]


def test_a_host_chooses_its_own_watcher() -> None:
    hosts = inventory({"server": ["web1", "web2"], "backup": ["b1"]}, b1={"airworthy_watched_by": ["web2"]})
    assert monitoring_watchers(hosts, "b1") == ["web2"]
    assert {labels["instance"] for labels in scraped(hosts, "web1", OTHERWISE, [])} == {"web1"}
    assert {labels["instance"] for labels in scraped(hosts, "web2", OTHERWISE, [])} == {"web2", "b1"}


def test_a_host_has_the_targets_of_its_tiers() -> None:
    hosts = inventory({"edge": ["e1"], "database": ["db1"], "monitoring": ["m1"], "others": ["x1"]})
    targets = scrape_targets(hosts, "m1", OTHERWISE, ["/", "/healthz"])
    assert list(targets) == [*JOB_TIERS, "probe_http", "probe_tls"]
    assert targets["node"] == [
        {"targets": ["10.0.0.1:9100"], "labels": {"instance": "e1"}},
        {"targets": ["10.0.0.2:9100"], "labels": {"instance": "db1"}},
        {"targets": ["127.0.0.1:9100"], "labels": {"instance": "m1"}},
    ]
    assert [group["labels"]["instance"] for group in targets["postgres"]] == ["db1"]
    pages = [group["targets"] for group in targets["probe_http"]]
    assert pages == [["https://10.0.0.1/"], ["https://10.0.0.1/healthz"]]
    assert targets["probe_http"][0]["labels"] == {
        "instance": "e1",
        "path": "/",
        "__param_module": "https_internal",
        "__param_hostname": "app.example.org",
    }
    assert [group["targets"] for group in targets["probe_tls"]][-1] == ["10.0.0.3:9100"]


def test_a_server_is_probed_where_others_reach_it() -> None:
    targets = scrape_targets(inventory({"server": ["web1"]}), "web1", OTHERWISE, ["/"])
    assert targets["nginx"][0]["targets"] == ["127.0.0.1:9113"]
    assert targets["probe_http"][0]["targets"] == ["https://10.0.0.1/"]
    assert targets["probe_tls"][0]["targets"] == ["10.0.0.1:9100"]


def test_each_instance_of_the_application_is_a_target() -> None:
    own = {"airworthy_app_metrics_path": "/own", "airworthy_app_port": "4000", "airworthy_app_instances": 3}
    hosts = inventory({"app": ["a1", "a2"], "monitoring": ["m1"]}, a1=own)
    assert scrape_targets(hosts, "m1", OTHERWISE, [])["app"] == [
        {
            "targets": ["10.0.0.1:9464"],
            "labels": {"instance": "a1", "port": str(port), "__metrics_path__": f"/metrics/{port}"},
        }
        for port in (4000, 4001, 4002)
    ]
    labels = scraped(hosts, "m1", OTHERWISE | {"airworthy_app_metrics_path": "/metrics"}, [])
    assert {"job": "app", "instance": "a2", "port": "3001"} in labels
    assert not [one for one in labels if one["job"] == "app" and one["instance"] == "m1"]


def test_a_host_may_differ_from_the_one_that_watches_it() -> None:
    ports = OTHERWISE["airworthy_exporter_ports"] | {"node": 9999}  # type: ignore[operator]
    hosts = inventory({"monitoring": ["m1"], "app": ["e1"], "edge": ["e1"]}, e1={"airworthy_address": "fd00::7"})
    hosts["e1"] |= {"airworthy_exporter_ports": ports, "airworthy_domain": "b.example.org"}
    targets = scrape_targets(hosts, "m1", OTHERWISE, ["/"])
    assert targets["node"][1]["targets"] == ["[fd00::7]:9999"]
    assert targets["probe_http"][0]["targets"] == ["https://[fd00::7]/"]
    assert targets["probe_http"][0]["labels"]["__param_hostname"] == "b.example.org"


@pytest.mark.parametrize(
    ("variables", "module"),
    [
        ({}, "https_internal"),
        ({"airworthy_edge_certificate_file": "/a.crt"}, "https_public"),
        ({"airworthy_acme_directory": "https://acme.example.org/"}, "https_public"),
        ({"airworthy_acme_directory": "https://ca.local/", "airworthy_acme_ca_file": "/ca.crt"}, "https_private"),
    ],
)
def test_the_probe_trusts_whoever_vouches_for_the_domain(variables: dict[str, str], module: str) -> None:
    targets = scrape_targets(inventory({"server": ["web1"]}), "web1", OTHERWISE | variables, ["/"])
    assert targets["probe_http"][0]["labels"]["__param_module"] == module


def test_what_is_scraped_is_known_without_addresses() -> None:
    hosts = inventory({"server": ["web1"], "backup": ["b1"]}, b1={"airworthy_address": ""})
    labels = scraped(hosts, "web1", OTHERWISE, ["/"])
    assert {"job": "node", "instance": "b1"} in labels
    assert {"job": "probe_http", "instance": "web1", "path": "/"} in labels
    with pytest.raises(AnsibleFilterError, match="the address of b1 is unknown"):
        scrape_targets(hosts, "web1", OTHERWISE, ["/"])


@pytest.mark.parametrize(
    ("receiver", "settings"),
    [
        (
            {"type": "email", "smarthost": "smtp.example.org:587", "username": "u", "password": "p"},
            {
                "to": "admin@example.org",
                "from": "admin@example.org",
                "smarthost": "smtp.example.org:587",
                "require_tls": True,
                "auth_username": "u",
                "auth_password": "p",
            },
        ),
        (
            {"type": "email", "smarthost": "localhost:25", "to": "a@b.org", "from": "c@d.org"},
            {"to": "a@b.org", "from": "c@d.org", "smarthost": "localhost:25", "require_tls": False},
        ),
        ({"type": "slack", "url": "https://s/", "channel": "#ops"}, {"api_url": "https://s/", "channel": "#ops"}),
        ({"type": "pagerduty", "routing_key": "k"}, {"routing_key": "k"}),
        ({"type": "webhook", "url": "https://w/"}, {"url": "https://w/"}),
        (
            {"type": "webhook", "url": "https://w/", "username": "u", "password": "p"},
            {"url": "https://w/", "http_config": {"basic_auth": {"username": "u", "password": "p"}}},
        ),
    ],
)
def test_a_receiver_in_alertmanagers_words(receiver: dict[str, Any], settings: dict[str, Any]) -> None:
    kind = receiver["type"]
    assert alert_receivers([receiver], "admin@example.org") == [
        {
            "name": f"{kind}_1",
            "severities": ["critical", "warning"],
            "settings": {f"{kind}_configs": [{**settings, "send_resolved": True}]},
        }
    ]


def test_a_receiver_may_want_the_worst_only() -> None:
    receivers = [{"type": "webhook", "url": "x"}, {"type": "pagerduty", "routing_key": "k", "severities": ["critical"]}]
    found = alert_receivers(receivers, "admin@example.org")
    assert [(one["name"], one["severities"]) for one in found] == [
        ("webhook_1", ["critical", "warning"]),
        ("pagerduty_2", ["critical"]),
    ]


def test_loads_are_told_in_seconds_before_now() -> None:
    began = time.time() - 100
    figures = {"asked": 2000, "answered": 1990, "began": began, "ended": began + 60}
    hosts = inventory(
        {"edge": ["e1", "e2", "e3", "e4"], "database": ["db1"], "monitoring": ["m1"]},
        e1={"__nginx_load_controls": {"controls": [], "figures": figures}},
        e2={"__nginx_load_controls": {"failed": True, "msg": "no route"}},
        e4={"__nginx_load_controls": {"skipped": True}},
    )
    first, *others = edge_loads(hosts, "m1", ["e1", "e2", "e4", "m1"])
    assert (first["host"], first["examined"], first["asked"], first["answered"]) == ("e1", True, 2000, 1990)
    assert first["began_ago"] == pytest.approx(100, abs=5)
    assert first["began_ago"] - first["ended_ago"] == pytest.approx(60)
    assert others == [
        {"host": "e2", "examined": True},
        {"host": "e3", "examined": False},
        {"host": "e4", "examined": True},
    ]


def test_loads_on_the_edges_of_others_are_not_told() -> None:
    hosts = inventory({"server": ["web1", "web2"], "backup": ["b1"]}, b1={"airworthy_watched_by": ["web2"]})
    assert edge_loads(hosts, "web2", ["web1", "web2"]) == [{"host": "web2", "examined": True}]
