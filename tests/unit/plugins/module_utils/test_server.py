"""What the roles know of a server, read from the texts in which the system tells it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils import server


def test_os_release_without_its_quotes() -> None:
    text = 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nVERSION_ID="13"\nVERSION_CODENAME=trixie\n# comment\n'
    assert server.parse_os_release(text)["VERSION_ID"] == "13"
    assert server.parse_os_release(text)["VERSION_CODENAME"] == "trixie"


def test_memory_in_mib() -> None:
    assert server.parse_memory_mb("MemTotal:        4022272 kB\nMemFree:  12 kB\n") == 3928


def test_only_installed_packages_count() -> None:
    listing = "ii  nginx 1.26.3-3\nrc  apache2 2.4.62\nhi  linux-image 6.1\nun  vim \n"
    assert server.parse_packages(listing) == {"nginx": "1.26.3-3", "linux-image": "6.1"}


def test_addresses_of_global_scope_ipv4_first() -> None:
    interfaces = [
        {"addr_info": [{"family": "inet", "local": "127.0.0.1", "scope": "host"}]},
        {
            "addr_info": [
                {"family": "inet6", "local": "2001:db8::10", "scope": "global"},
                {"family": "inet6", "local": "2001:db8::ffff", "scope": "global", "temporary": True},
                {"family": "inet", "local": "192.0.2.10", "scope": "global"},
                {"family": "inet6", "local": "fe80::1", "scope": "link"},
            ]
        },
        {},
    ]
    assert server.parse_addresses(interfaces) == ["192.0.2.10", "2001:db8::10"]


@pytest.mark.parametrize(("rotational", "kind"), [("0\n", "ssd"), ("1\n", "hdd")])
def test_the_kind_of_storage_of_a_disk_and_of_its_partitions(tmp_path: Path, rotational: str, kind: str) -> None:
    disk = tmp_path / "devices" / "sda"
    (disk / "queue").mkdir(parents=True)
    (disk / "queue" / "rotational").write_text(rotational)
    (disk / "sda1").mkdir()
    sys = tmp_path / "block"
    sys.mkdir()
    (sys / "8:0").symlink_to(disk)
    (sys / "8:1").symlink_to(disk / "sda1")
    assert server.storage_kind(os.makedev(8, 0), sys) == kind
    assert server.storage_kind(os.makedev(8, 1), sys) == kind


def test_a_virtual_file_system_has_no_known_storage(tmp_path: Path) -> None:
    assert server.storage_kind(os.makedev(0, 42), tmp_path) == "unknown"


@pytest.mark.parametrize(
    ("environ", "container"), [(b"container=podman\0TERM=linux\0", True), (b"TERM=linux\0", False), (b"", False)]
)
def test_a_container_is_told_by_its_init(environ: bytes, container: bool) -> None:
    assert server.is_container(environ) is container
