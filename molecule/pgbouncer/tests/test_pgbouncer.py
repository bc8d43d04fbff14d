"""What pgbouncer promises, seen by psql as a client."""

from __future__ import annotations

import os
import time
from pathlib import Path

from testinfra.host import Host

SECRETS = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"]) / "molecule/inventory/.secrets"

CLIENT = "psql -XAt 'host=127.0.0.1 port=6432 dbname=app user=app sslmode={mode} sslrootcert=/etc/airworthy/tls/ca.crt'"


def test_a_wrong_password_is_refused(host: Host) -> None:
    refused = host.run("PGPASSWORD=wrong " + CLIENT.format(mode="verify-full") + " -c 'SELECT 1'")
    assert refused.rc == 2
    assert "authentication failed" in refused.stderr


def test_plaintext_is_refused(host: Host) -> None:
    refused = host.run("PGPASSWORD=wrong " + CLIENT.format(mode="disable") + " -c 'SELECT 1'")
    assert refused.rc == 2
    assert "SSL required" in refused.stderr


def test_no_password_lies_readable(host: Host) -> None:
    users = host.file("/etc/pgbouncer/userlist.txt")
    assert users.mode & 0o007 == 0


def test_the_administrator_sees_the_limits(host: Host) -> None:
    console = "runuser -u postgres -- psql -w -XAtF, -U pgbouncer -p 6432 -h /run/postgresql pgbouncer -c "
    config = host.check_output(console + "'SHOW CONFIG'").splitlines()
    values = dict(line.split(",")[:2] for line in config)
    assert (values["pool_mode"], values["default_pool_size"], values["min_pool_size"]) == ("transaction", "20", "5")


def test_clients_are_served_as_soon_as_the_database_is_back(host: Host) -> None:
    """PgBouncer's default is to refuse everybody for fifteen seconds after it could not connect once."""
    password = (SECRETS / "database_app").read_text().strip()
    ask = f"PGPASSWORD={password} {CLIENT.format(mode='verify-full')} -c 'SELECT 1'"
    cluster = host.check_output("echo postgresql@$(ls /etc/postgresql)-main.service")
    host.check_output(f"systemctl stop {cluster}")
    try:
        assert host.run(ask).rc == 2
    finally:
        host.check_output(f"systemctl start {cluster}")
    begun = time.monotonic()
    while host.run(ask).rc:
        assert time.monotonic() - begun < 30
    assert time.monotonic() - begun < 5
