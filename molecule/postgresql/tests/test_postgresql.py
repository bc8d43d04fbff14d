"""What postgresql promises, seen by psql and by an intruder on the network."""

from __future__ import annotations

from testinfra.host import Host


def sql(host: Host, query: str) -> str:
    return host.check_output(f'runuser -u postgres -- psql -XAtc "{query}"')


def test_every_login_role_has_a_scram_secret(host: Host) -> None:
    query = "SELECT count(*) FROM pg_authid WHERE rolpassword NOT LIKE 'SCRAM-SHA-256%'"
    assert sql(host, query) == "0"


def test_nobody_is_trusted(host: Host) -> None:
    query = "SELECT DISTINCT auth_method FROM pg_hba_file_rules ORDER BY 1"
    assert set(sql(host, query).split()) <= {"peer", "reject", "scram-sha-256"}


def test_it_listens_where_nobody_else_can_reach_it(host: Host) -> None:
    assert host.socket("tcp://127.0.0.1:5432").is_listening
    assert not host.socket("tcp://0.0.0.0:5432").is_listening


def test_pages_have_checksums(host: Host) -> None:
    assert sql(host, "SHOW data_checksums") == "on"


def test_the_application_owns_its_database_and_nothing_else(host: Host) -> None:
    query = "SELECT datname FROM pg_database JOIN pg_roles ON datdba = pg_roles.oid WHERE rolname = 'app'"
    assert sql(host, query) == "app"
    assert sql(host, "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = 'app'") == "f"


def test_what_is_slow_is_in_the_log(host: Host) -> None:
    limit = int(sql(host, "SELECT setting FROM pg_settings WHERE name = 'log_min_duration_statement'"))
    assert 0 < limit <= 10_000
    sql(host, f"SELECT pg_sleep({limit / 1000 + 0.1})")
    assert "pg_sleep" in host.check_output("journalctl --sync; journalctl -t postgresql -o cat --since -1min")
