# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Server settings for a Postgres that has a share of a host.

The checklist's own figures (shared_buffers 256MB, effective_cache_size 1GB, …) come out for its reference host: 4 GB,
4 cores, SSD, every tier on the one server, hence a quarter of the memory for Postgres.
"""

from __future__ import annotations

import math
from typing import Any

from ansible.errors import AnsibleFilterError

MINIMUM_MEMORY_MB = 128
STORAGE = {
    # random_page_cost, effective_io_concurrency
    "ssd": (1.1, 200),
    "hdd": (4.0, 2),
    "unknown": (4.0, 1),  # Postgres' own defaults
}


def rounded(value: float) -> int:
    """The next number of three significant bits: 940 MB are what the kernel and the hypervisor leave of 1024."""
    step = 1 << max(0, int(value).bit_length() - 3)
    return math.ceil(value / step) * step


def clamp(low: float, value: float, high: float) -> float:
    return max(low, min(value, high))


def size(megabytes: float) -> str:
    """In the largest unit in which it is a whole number, as Postgres itself shows it."""
    kilobytes = int(megabytes * 1024)
    for unit, factor in (("GB", 1024 * 1024), ("MB", 1024)):
        if kilobytes % factor == 0:
            return f"{kilobytes // factor}{unit}"
    return f"{kilobytes}kB"


def postgresql_settings(
    memory_mb: int, cores: int, storage: str = "unknown", max_connections: int = 100
) -> dict[str, Any]:
    """Settings for a server that may use ``memory_mb``. Where each formula comes from:

    ============================== ================================================================================
    shared_buffers                 25 % of the memory (PostgreSQL manual, "Resource Consumption"), at most 16 GB: beyond
                                   that the operating system's cache serves as well and checkpoints get longer
    effective_cache_size           all of the share; the manual counts shared buffers and the kernel's cache together
    maintenance_work_mem           memory / 16 (PGTune), at most 2 GB
    work_mem                       what shared_buffers leave, for every connection sorting three times (PGTune), not
                                   below Postgres' default of 4 MB: the pooler keeps the real concurrency far lower
    wal_buffers                    shared_buffers / 16, at most one segment of 16 MB, where the manual's "auto" ends
    min_wal_size, max_wal_size     1 and 4 GB (PGTune, web), half below 512 MB and twice above 16 GB of memory
    checkpoint_completion_target   0.9 and default_statistics_target 100: the checklist's, and Postgres' own
    max_worker_processes           Postgres' default of 8, more on more cores; as many parallel workers as cores,
                                   half of them, and 4 at most, for one query (PGTune, web)
    random_page_cost               1.1 on SSD (PGTune; manual: "close to seq_page_cost"), else the default
    effective_io_concurrency       200 on SSD, 2 on a disk (PGTune), else the default
    huge_pages                     try: never keeps a server from starting
    ============================== ================================================================================
    """
    if storage not in STORAGE:
        raise AnsibleFilterError(
            f"postgresql_settings: storage is {storage!r}; it must be one of {', '.join(sorted(STORAGE))}"
        )
    if memory_mb < MINIMUM_MEMORY_MB:
        raise AnsibleFilterError(
            f"postgresql_settings: {memory_mb} MB of memory for Postgres; it needs {MINIMUM_MEMORY_MB} at least. "
            "Raise postgresql_memory_share or use a larger host"
        )
    if cores < 1 or max_connections < 1:
        raise AnsibleFilterError(
            f"postgresql_settings: cores is {cores} and max_connections is {max_connections}; both must be positive"
        )

    shared_buffers = min(rounded(memory_mb / 4), 16 * 1024)
    work_mem = clamp(4, rounded((memory_mb - shared_buffers) / (3 * max_connections)), 256)
    wal_scale = 0.5 if memory_mb < 512 else 2 if memory_mb > 16 * 1024 else 1
    random_page_cost, effective_io_concurrency = STORAGE[storage]
    return {
        "max_connections": max_connections,
        "shared_buffers": size(shared_buffers),
        "effective_cache_size": size(rounded(memory_mb)),
        "maintenance_work_mem": size(clamp(16, rounded(memory_mb / 16), 2048)),
        "work_mem": size(work_mem),
        "huge_pages": "try",
        "wal_buffers": size(min(shared_buffers / 16, 16)),
        "min_wal_size": size(1024 * wal_scale),
        "max_wal_size": size(4096 * wal_scale),
        "checkpoint_completion_target": 0.9,
        "default_statistics_target": 100,
        "random_page_cost": random_page_cost,
        "effective_io_concurrency": effective_io_concurrency,
        "max_worker_processes": max(8, cores),
        "max_parallel_workers": cores,
        "max_parallel_workers_per_gather": min(4, cores // 2),
        "max_parallel_maintenance_workers": int(clamp(1, cores // 2, 4)),
    }


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"postgresql_settings": postgresql_settings}
