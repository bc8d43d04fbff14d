from __future__ import annotations

from ansible_collections.airworthy.stack.plugins.filter.backup import backup_clients, backup_stanzas

from inventories import inventory


def test_a_server_alone_keeps_its_own() -> None:
    hosts = inventory({"server": ["web1", "web2"]})
    assert backup_clients(hosts, "web1") == ["web1"]


def test_the_first_host_of_the_group_keeps_everybodys() -> None:
    hosts = inventory({"database": ["db1"], "edge": ["web1"], "backup": ["b1", "b2"], "others": ["x1"]})
    assert backup_clients(hosts, "b1") == ["db1", "web1", "b1", "b2"]
    assert backup_clients(hosts, "b2") == []
    assert backup_clients(hosts, "db1") == []


def test_a_host_chooses_its_own_keeper() -> None:
    hosts = inventory({"server": ["web1", "web2"], "backup": ["b1", "b2"]}, web2={"backup_host": "b2"})
    assert backup_clients(hosts, "b1") == ["web1", "b1", "b2"]
    assert backup_clients(hosts, "b2") == ["web2"]


def test_hosts_of_one_cluster_share_their_stanza() -> None:
    hosts = inventory({"database": ["db1", "db2", "db3"]}, db3={"backup_stanza": "reports"})
    assert backup_stanzas(hosts, hosts, "app") == {"app": ["db1", "db2"], "reports": ["db3"]}
