"""Each server knows where its logs go, and a collector whose it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.airworthy.stack.plugins.filter import logs
from ansible_collections.airworthy.stack.plugins.filter.logs import log_clients, log_collector

from inventories import inventory


def collectors(hosts: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {host: log_collector(hosts, host) for host in hosts}


def test_a_server_alone_keeps_its_own() -> None:
    hosts = inventory({"server": ["web1"]})
    assert collectors(hosts) == {"web1": "web1"}
    assert log_clients(hosts, "web1") == ["web1"]


def test_two_servers_keep_their_own_each() -> None:
    hosts = inventory({"server": ["web1", "web2"]})
    assert collectors(hosts) == {"web1": "web1", "web2": "web2"}


def test_the_first_host_of_the_group_keeps_everybodys() -> None:
    hosts = inventory({"server": ["web1"], "database": ["db1"], "logs": ["log1", "log2"], "others": ["x1"]})
    assert set(collectors(hosts).values()) == {"log1"}
    assert log_clients(hosts, "log1") == ["web1", "db1", "log1", "log2"]
    assert log_clients(hosts, "log2") == log_clients(hosts, "web1") == []


def test_the_first_server_keeps_those_of_a_host_beside_the_servers() -> None:
    hosts = inventory({"server": ["web1", "web2"], "backup": ["b1"]})
    assert collectors(hosts) == {"web1": "web1", "web2": "web2", "b1": "web1"}
    assert log_clients(hosts, "web1") == ["web1", "b1"]


def test_without_any_server_nobody_takes_them() -> None:
    hosts = inventory({"backup": ["b1"]})
    assert collectors(hosts) == {"b1": ""}
    assert log_clients(hosts, "b1") == []


def test_a_host_chooses_its_own_collector() -> None:
    groups = {"server": ["web1", "web2"], "logs": ["log1", "log2"]}
    hosts = inventory(groups, web2={"airworthy_log_collector": "log2"})
    assert collectors(hosts) == {"web1": "log1", "web2": "log2", "log1": "log1", "log2": "log1"}
    assert log_clients(hosts, "log2") == ["web2"]


@pytest.mark.parametrize("name", logs.FilterModule().filters())
def test_each_is_documented_as_it_is_called(name: str) -> None:
    text = (Path(logs.__file__).parent / f"{name}.yml").read_text(encoding="utf-8")
    documented = yaml.safe_load(text)["DOCUMENTATION"]
    assert documented["name"] == name
    code = logs.FilterModule().filters()[name].__code__
    wanted = code.co_varnames[: code.co_argcount]
    assert [documented["positional"], *wanted[:1]] == [wanted[1], "hostvars"]
    assert set(documented["options"]) == {"_input", wanted[1]}
    assert f"airworthy.stack.{name}(inventory_hostname)" in yaml.safe_load(text)["EXAMPLES"]
