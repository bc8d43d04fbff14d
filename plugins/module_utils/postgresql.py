# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections to the local Postgres as its superuser, SQL literals, and SCRAM verifiers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import pwd
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

try:
    import psycopg2
    import psycopg2.extras

    PSYCOPG2_ERROR = None
except ImportError as error:
    psycopg2 = None
    PSYCOPG2_ERROR = str(error)

SOCKET_DIRECTORY = "/run/postgresql"
SUPERUSER = "postgres"
SCRAM_ITERATIONS = 4096

DECOY = "certainly not it"  # a password that nobody has

# Statements of ours carry verifiers and must not show up in the server's log or statistics.
SILENT = (
    "-c log_statement=none -c log_min_duration_statement=-1 -c log_min_error_statement=panic "
    "-c auto_explain.log_min_duration=-1 -c pg_stat_statements.track=none -c pg_stat_statements.track_utility=off"
)


class PostgresUnavailable(Exception):
    """There is no Postgres to talk to, or no driver; the message says which and what to do."""


@contextmanager
def acting_as(user: str) -> Iterator[None]:
    """Be that user while connecting: peer authentication looks at the effective user of the process that connects."""
    if os.geteuid() != 0:
        yield
        return
    entry = pwd.getpwnam(user)
    before = os.getegid()
    os.setegid(entry.pw_gid)
    os.seteuid(entry.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(before)


@contextmanager
def session(
    database: str = "postgres",
    port: int = 5432,
    silent: bool = False,
    autocommit: bool = False,
    user: str = SUPERUSER,
) -> Iterator[Any]:
    """A connection over the socket as the system's user postgres. The block commits, an exception rolls back."""
    if psycopg2 is None:
        raise PostgresUnavailable(
            f"the Python of this server cannot import psycopg2 ({PSYCOPG2_ERROR}); install python3-psycopg2"
        )
    if not socket_exists(port):
        raise PostgresUnavailable(
            f"nothing listens on {socket_path(port)}; start it (systemctl start postgresql, or pgbouncer), or correct "
            "the port"
        )
    try:
        with acting_as(SUPERUSER):
            connection = psycopg2.connect(
                host=SOCKET_DIRECTORY,
                port=port,
                user=user,
                dbname=database,
                application_name="airworthy",
                options=SILENT if silent else "",
            )
    except psycopg2.OperationalError as error:
        raise PostgresUnavailable(
            f"what listens on {socket_path(port)} does not let {user} into {database} by peer authentication: "
            f"{str(error).strip()}. "
            "Look at its log (journalctl -t postgresql; what it says at its start is in /var/log/postgresql)"
        ) from error
    try:
        if autocommit:
            connection.autocommit = True
            yield connection
        else:
            with connection:
                yield connection
    finally:
        connection.close()


@contextmanager
def client_session(**parameters: Any) -> Iterator[Any]:
    """A connection over TCP, as a client makes it: to localhost unless told otherwise, with no stored password."""
    if psycopg2 is None:
        raise PostgresUnavailable(f"psycopg2 cannot be imported ({PSYCOPG2_ERROR}); install python3-psycopg2")
    defaults = {
        "host": "localhost",
        "hostaddr": "127.0.0.1",
        "connect_timeout": 5,
        "passfile": "/dev/null",
        "gssencmode": "disable",
        "application_name": "airworthy",
    }
    connection = psycopg2.connect(**{**defaults, **parameters})
    try:
        connection.autocommit = True
        yield connection
    finally:
        connection.close()


def attempt(subject: str, wanted: str, reasons: list[str], **parameters: Any) -> dict[str, Any]:
    """Try to log in, and tell how it went; ``reasons`` are the refusals that count."""
    outcome: dict[str, Any] = {"subject": subject, "wanted": wanted, "reasons": reasons, "error": None}
    try:
        with client_session(**parameters) as connection:
            outcome["detail"] = f", {connection.info.ssl_attribute('protocol') or 'without TLS'}"
    except psycopg2.OperationalError as error:
        outcome["error"] = " ".join(str(error).split())
    return outcome


def socket_path(port: int) -> str:
    return f"{SOCKET_DIRECTORY}/.s.PGSQL.{port}"


def socket_exists(port: int) -> bool:
    return os.path.exists(socket_path(port))


def rows(connection: Any, sql: str, parameters: Any = None) -> list[dict[str, Any]]:
    """The result as dictionaries."""
    with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
        cursor.execute(sql, parameters)
        return [dict(row) for row in cursor.fetchall()]


def value(connection: Any, sql: str, parameters: Any = None) -> Any:
    """The first column of the only row."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchone()[0]


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def scram_verifier(password: str, salt: bytes | None = None, iterations: int = SCRAM_ITERATIONS) -> str:
    """What Postgres stores for a password (RFC 5803), so that the password itself never travels in a statement."""
    if not password.isascii():
        # SASLprep changes some of the others, and a verifier that differs by one byte locks the role out.
        raise ValueError("a database password has characters outside ASCII; use letters, digits and punctuation")
    salt = secrets.token_bytes(16) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    encoded = [base64.b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${iterations}:{encoded[0]}${encoded[1]}:{encoded[2]}"


def scram_matches(password: str, verifier: str | None) -> bool:
    """Whether the stored verifier is one of this password."""
    mechanism, _dollar, rest = (verifier or "").partition("$")
    if mechanism != "SCRAM-SHA-256":
        return False
    parameters, _dollar, _keys = rest.partition("$")
    iterations, _colon, salt = parameters.partition(":")
    expected = scram_verifier(password, base64.b64decode(salt), int(iterations))
    return hmac.compare_digest(expected, verifier or "")
