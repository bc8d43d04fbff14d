# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How much of a host Postgres asks for, from the smallest rented server to the largest."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.airworthy.stack.plugins.filter.postgresql_settings import postgresql_settings, rounded, size

CHECKLIST = {
    "max_connections": 100,
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "maintenance_work_mem": "64MB",
    "checkpoint_completion_target": 0.9,
    "wal_buffers": "16MB",
    "default_statistics_target": 100,
}


# A "4 GB" server shows less in MemTotal: the kernel, the firmware and the hypervisor keep some.
@pytest.mark.parametrize("mem_total_mb", [3727, 3815, 3928, 4007, 4096])
def test_the_reference_host_gets_the_checklists_own_figures(mem_total_mb: int) -> None:
    settings = postgresql_settings(int(mem_total_mb * 0.25), cores=4, storage="ssd", max_connections=100)
    assert {name: settings[name] for name in CHECKLIST} == CHECKLIST


SIZES = [
    # memory_mb, cores, storage → what matters most
    (128, 1, "ssd", {"shared_buffers": "32MB", "work_mem": "4MB", "wal_buffers": "2MB", "max_wal_size": "2GB"}),
    (384, 1, "hdd", {"shared_buffers": "96MB", "maintenance_work_mem": "24MB", "random_page_cost": 4.0}),
    (1024, 2, "unknown", {"effective_io_concurrency": 1, "random_page_cost": 4.0, "max_parallel_workers": 2}),
    (6 * 1024, 8, "ssd", {"shared_buffers": "1536MB", "effective_cache_size": "6GB", "work_mem": "16MB"}),
    (192 * 1024, 64, "ssd", {"shared_buffers": "16GB", "maintenance_work_mem": "2GB", "work_mem": "256MB"}),
    (192 * 1024, 64, "ssd", {"max_worker_processes": 64, "max_parallel_workers_per_gather": 4, "wal_buffers": "16MB"}),
]


@pytest.mark.parametrize(("memory_mb", "cores", "storage", "expected"), SIZES)
def test_settings_grow_with_the_host(memory_mb: int, cores: int, storage: str, expected: dict[str, object]) -> None:
    settings = postgresql_settings(memory_mb, cores=cores, storage=storage)
    assert {name: settings[name] for name in expected} == expected


def test_one_core_runs_no_parallel_query() -> None:
    settings = postgresql_settings(1024, cores=1, storage="ssd")
    assert settings["max_parallel_workers_per_gather"] == 0
    assert settings["max_parallel_maintenance_workers"] == 1


def test_more_connections_leave_less_for_each() -> None:
    few = postgresql_settings(16384, cores=4, max_connections=50)["work_mem"]
    many = postgresql_settings(16384, cores=4, max_connections=500)["work_mem"]
    assert (few, many) == ("96MB", "10MB")


REFUSED = [
    ({"memory_mb": 100, "cores": 1}, "100 MB of memory for Postgres; it needs 128"),
    ({"memory_mb": 1024, "cores": 0}, "cores is 0"),
    ({"memory_mb": 1024, "cores": 1, "max_connections": 0}, "max_connections is 0"),
    ({"memory_mb": 1024, "cores": 1, "storage": "tape"}, "storage is 'tape'; it must be one of hdd, ssd, unknown"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_impossible_hosts_are_refused_with_what_to_change(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(AnsibleFilterError, match=message):
        postgresql_settings(**arguments)


@pytest.mark.parametrize(("value", "expected"), [(0.3, 1), (5, 5), (58.2, 64), (232.7, 256), (931, 1024), (1536, 1536)])
def test_rounded_names_sizes_as_a_person_would(value: float, expected: int) -> None:
    assert rounded(value) == expected


@pytest.mark.parametrize(("megabytes", "text"), [(0.5, "512kB"), (64, "64MB"), (1536, "1536MB"), (2048, "2GB")])
def test_sizes_are_written_in_the_largest_whole_unit(megabytes: float, text: str) -> None:
    assert size(megabytes) == text
