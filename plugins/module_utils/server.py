# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server is: release, memory, cores, storage, addresses, packages, read from the running system."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any


def parse_os_release(text: str) -> dict[str, str]:
    """The variables of os-release(5)."""
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name: value.strip("\"'") for name, value in pairs}


def parse_memory_mb(meminfo: str) -> int:
    """MemTotal of proc_meminfo(5), in MiB."""
    return next(int(line.split()[1]) // 1024 for line in meminfo.splitlines() if line.startswith("MemTotal:"))


def parse_packages(listing: str) -> dict[str, str]:
    """Installed packages of ``dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\\n'``."""
    rows = (line.split() for line in listing.splitlines())
    return {name: version for status, name, version in (row for row in rows if len(row) == 3) if status[1] == "i"}


def parse_addresses(interfaces: list[dict[str, Any]]) -> list[str]:
    """Addresses of global scope of ``ip -json address``, IPv4 before IPv6, each once."""
    found = [
        (info["family"] != "inet", info["local"])
        for interface in interfaces
        for info in interface.get("addr_info", [])
        if info.get("scope") == "global" and not info.get("temporary") and "local" in info
    ]
    return list(dict.fromkeys(address for _family, address in sorted(found, key=lambda row: row[0])))


def storage_kind(device: int, sys: Path = Path("/sys/dev/block")) -> str:
    """What the kernel says of the device with that number: ssd, hdd, or unknown (virtual file systems)."""
    link = sys / f"{os.major(device)}:{os.minor(device)}"
    for directory in (link, link.resolve().parent):  # a partition has no queue of its own
        rotational = directory / "queue" / "rotational"
        if rotational.exists():
            return "hdd" if rotational.read_text().strip() == "1" else "ssd"
    return "unknown"


def is_container(environ: bytes) -> bool:
    """Whether the environment of process 1 is a container's (https://systemd.io/CONTAINER_INTERFACE)."""
    return any(variable.startswith(b"container=") for variable in environ.split(b"\0"))


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def observe_system() -> dict[str, str]:
    return parse_os_release(Path("/etc/os-release").read_text())


def observe_capacity() -> dict[str, Any]:
    return {
        "memory_mb": parse_memory_mb(Path("/proc/meminfo").read_text()),
        "cores": len(os.sched_getaffinity(0)),
        "storage": storage_kind(os.stat("/").st_dev),
    }


def observe() -> dict[str, Any]:
    system = observe_system()
    packages = run("dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package} ${Version}\n")
    addresses = run("ip", "-json", "address", "show", "up")
    return {
        "release": system["VERSION_CODENAME"],
        "debian": int(system["VERSION_ID"]),
        "hostname": platform.node(),
        "container": is_container(Path("/proc/1/environ").read_bytes()),
        **observe_capacity(),
        "addresses": parse_addresses(json.loads(addresses)),
        "packages": parse_packages(packages),
    }
