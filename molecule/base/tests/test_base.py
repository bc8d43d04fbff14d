"""What base promises, seen with other eyes than its own."""

from __future__ import annotations

from testinfra.host import Host


def test_the_firewall_drops_what_nobody_opened(host: Host) -> None:
    chain = host.check_output("nft list chain inet airworthy input")
    assert "policy drop" in chain
    assert "tcp dport 22 accept" in chain


def test_the_firewall_comes_back_at_boot(host: Host) -> None:
    assert host.service("nftables").is_enabled


def test_the_journal_is_on_disk_and_bounded(host: Host) -> None:
    assert host.file("/var/log/journal").is_directory
    limit = host.check_output("systemd-analyze cat-config systemd/journald.conf | grep ^SystemMaxUse=")
    assert limit == "SystemMaxUse=1G"


def test_nothing_failed(host: Host) -> None:
    assert host.check_output("systemctl list-units --failed --plain --no-legend") == ""
