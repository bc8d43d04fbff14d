# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The range of every numeric variable, which an argument specification has no word for: by name, else by its ending."""

from __future__ import annotations

from math import inf

BY_NAME: dict[str, tuple[float, float]] = {
    "acme_renew_before_days": (1, 300),
    "airworthy_app_instances": (1, 64),
    "airworthy_exporter_ports": (1, 65535),  # each of them
    "app_health_timeout": (1, 3600),
    "app_keep_releases": (2, 100),  # the one before the one in service, to go back to
    "app_memory_max_mb": (64, inf),
    "backup_archive_limit_mb": (64, inf),  # four segments of the log
    "backup_archive_timeout": (10, 3600),
    "backup_compression_level": (1, 19),
    "backup_files_check_percent": (1, 100),
    "backup_files_keep_daily": (1, 3650),
    "backup_files_keep_monthly": (0, 600),
    "backup_files_keep_weekly": (0, 2600),
    "backup_drill_archive_wait_seconds": (10, 86_400),
    "backup_drill_jitter_minutes": (0, 1440),
    "backup_drill_max_age_days": (1, 400),
    "backup_drill_memory_mb": (256, inf),
    "backup_drill_table_limit_mb": (1, inf),
    "backup_first_timeout": (0, 86_400),
    "backup_jitter_minutes": (0, 720),
    "backup_maximum_age_hours": (1, 8760),
    "backup_processes": (1, 64),
    "backup_recovery_point_seconds": (1, 86_400),
    "backup_recovery_time_seconds": (1, inf),
    "backup_retention_full": (1, 3650),
    "backup_vault_days": (1, 3650),
    "base_minimum_cores": (0, 1024),
    "base_minimum_memory_mb": (0, inf),
    "log_collector_max_mb": (64, inf),
    "log_collector_readable_days": (1, 3650),  # the reports of yesterday are made today
    "log_collector_retention_days": (1, 3650),
    "monitoring_backup_max_age_hours": (1, 8760),
    "monitoring_certificate_days": (1, 397),
    "monitoring_connections_percent": (1, 100),
    "monitoring_certified_within_days": (1, 400),
    "monitoring_drill_max_age_days": (1, 400),
    "monitoring_headroom_percent": (1, 100),
    "monitoring_log_delay_seconds": (60, 86_400),  # a shipper tells of it every 15 seconds, or when it has tried again
    "monitoring_minimum_requests_per_minute": (0.1, 100000),
    "monitoring_retention_days": (1, 3650),
    "monitoring_retention_mb": (256, inf),
    "monitoring_sample_limit": (2000, inf),  # a small server has as many
    "monitoring_scrape_interval_seconds": (5, 60),  # of five minutes, the rates need some samples
    "monitoring_uptime_percent": (90, 99.99),  # what a probe each 15 seconds can tell
    "nginx_certificate_minimum_days": (1, 397),
    "nginx_client_max_body_mb": (1, 10240),
    "nginx_cors_max_age": (0, 86400),  # browsers cap it at a day or less
    "nginx_hsts_max_age": (0, inf),
    "nginx_load_requests": (1, 1_000_000),
    "nginx_load_seconds": (0, 3600),
    "nginx_load_users": (1, 1000),
    "nginx_load_minimum_throughput": (0, inf),
    "nginx_cache_mb": (1, 1_048_576),
    "nginx_locations.cache_seconds": (1, 86_400),
    "nginx_locations.client_timeout": (1, 3600),
    "nginx_locations.max_body_mb": (1, 10_240),
    "nginx_locations.rate_burst": (1, 10_000),
    "nginx_locations.rate_per_second": (1, 10_000),
    "nginx_locations.upstream_timeout": (1, 86_400),
    "nginx_rate_api_burst": (1, 10_000),
    "nginx_rate_api_per_second": (1, 10_000),
    "nginx_rate_auth_minutes": (1, 1440),
    "nginx_rate_auth_requests": (1, 1000),
    "nginx_waf_body_limit_kb": (64, 1_048_576),
    "nginx_waf_paranoia_level": (1, 4),
    "nginx_worker_connections": (128, 1_048_576),
    "pgbouncer_default_pool_size": (1, 1000),
    "pgbouncer_max_client_connections": (1, 100_000),
    "pgbouncer_max_prepared_statements": (0, 10_000),
    "pgbouncer_min_pool_size": (0, 1000),
    "postgresql_hit_ratio_minimum": (0, 1),
    "postgresql_hit_ratio_minimum_reads": (0, inf),
    "postgresql_max_connections": (10, 10_000),
    "postgresql_memory_share": (0.05, 0.9),
    "postgresql_query_minimum_calls": (1, inf),
    "postgresql_slow_query_ms": (1, 60_000),
    # A certificate is issued for 397 days; who renews earlier than that issues one on each run.
    "tls_renew_before_days": (1, 300),
}

BY_ENDING: dict[str, tuple[float, float]] = {
    "_port": (1, 65535),
    "_percent": (0, 100),
    "_ratio": (0, 1),
    "_share": (0, 1),
}

OTHERWISE = (1, inf)


def range_of(name: str) -> tuple[float, float]:
    for known in (name, name.rpartition(".")[0]):
        if known in BY_NAME:
            return BY_NAME[known]
    return next((limits for ending, limits in BY_ENDING.items() if name.endswith(ending)), OTHERWISE)


def error(name: str, value: float) -> str | None:
    low, high = range_of(name)
    if low <= value <= high:
        return None
    wanted = f"at least {low:,}" if high == inf else f"a number from {low:,} to {high:,}"
    return f"{name} is {value}; write {wanted.replace(',', '')}"
