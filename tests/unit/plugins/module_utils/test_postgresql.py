# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""SCRAM verifiers as Postgres stores them, and text that goes into statements."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils import postgresql

# Of a Postgres 17: ALTER ROLE app PASSWORD 'pencil', then SELECT rolpassword FROM pg_authid.
SERVERS_OWN = (
    "SCRAM-SHA-256$4096:lvupdnnx2wFk5Km/xHvBdQ=="
    "$s3/a9v7gkCeZya6jHd8pCjKLnIQ9nDIeAAtwMEThoc0=:L5Tt9ObWWwOmPpc9VgkL6sgQHkEjyIwH3RfUE2qsZ/8="
)


def test_a_password_is_known_by_the_verifier_that_the_server_made_of_it() -> None:
    assert postgresql.scram_matches("pencil", SERVERS_OWN)


def test_a_verifier_of_ours_is_the_one_that_the_server_would_have_made() -> None:
    salt = base64.b64decode(SERVERS_OWN.split("$")[1].partition(":")[2])
    assert postgresql.scram_verifier("pencil", salt) == SERVERS_OWN


STRANGERS = [
    ("pencils", SERVERS_OWN),
    ("", SERVERS_OWN),
    ("pencil", None),
    ("pencil", "md5aa5f27c1ff9e5a2c7ed2d4b5c0c8e1f2"),
    ("pencil", "pencil"),
]


@pytest.mark.parametrize(("password", "verifier"), STRANGERS)
def test_another_password_or_kind_of_verifier_does_not_match(password: str, verifier: str | None) -> None:
    assert not postgresql.scram_matches(password, verifier)


def test_two_verifiers_of_one_password_differ_and_both_match() -> None:
    one, other = postgresql.scram_verifier("pencil"), postgresql.scram_verifier("pencil")
    assert one != other
    assert postgresql.scram_matches("pencil", one)
    assert postgresql.scram_matches("pencil", other)


def test_iterations_are_read_from_the_verifier() -> None:
    assert postgresql.scram_matches("pencil", postgresql.scram_verifier("pencil", iterations=8192))


def test_a_password_outside_ascii_is_refused_without_being_shown() -> None:
    with pytest.raises(ValueError, match="outside ASCII") as refusal:
        postgresql.scram_verifier("schlüssel")
    assert "schl" not in str(refusal.value)


def test_names_and_texts_cannot_leave_their_quotes() -> None:
    assert postgresql.identifier('a"; DROP ROLE b') == '"a""; DROP ROLE b"'
    assert postgresql.literal("it's") == "'it''s'"


def test_a_server_that_does_not_run_is_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "SOCKET_DIRECTORY", str(tmp_path))
    with (
        pytest.raises(postgresql.PostgresUnavailable, match=r"\.s\.PGSQL\.5433; start it .* or correct the port"),
        postgresql.session(port=5433),
    ):
        pass


def test_a_missing_driver_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "psycopg2", None)
    monkeypatch.setattr(postgresql, "PSYCOPG2_ERROR", "No module named 'psycopg2'")
    with pytest.raises(postgresql.PostgresUnavailable, match="install python3-psycopg2"), postgresql.session():
        pass
