"""A secret is made once, kept where only its owner reads it, and never guessed at when something is wrong with it."""

from __future__ import annotations

import multiprocessing
import re
from pathlib import Path

import bcrypt
import pytest
from ansible.constants import DEFAULT_VAULT_ID_MATCH
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.airworthy.stack.plugins.plugin_utils.secret_store import SecretStore


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "secrets"


@pytest.fixture
def store(directory: Path) -> SecretStore:
    return SecretStore(str(directory), DataLoader())


def write(path: Path, content: bytes, mode: int = 0o600) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def encrypted(content: bytes, password: bytes) -> bytes:
    return VaultLib([(DEFAULT_VAULT_ID_MATCH, VaultSecret(password))]).encrypt(content)


def test_a_missing_secret_is_made_and_kept(store: SecretStore, directory: Path) -> None:
    made = store.secret("database_app")
    assert re.fullmatch(r"[A-Za-z0-9_-]{32}", made)
    assert store.secret("database_app") == made
    assert store.secret("exporters") != made
    assert (directory / "database_app").stat().st_mode & 0o777 == 0o600
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in directory.iterdir()} == {".lock", "database_app", "exporters"}


def test_the_length_is_for_secrets_that_are_made(store: SecretStore, directory: Path) -> None:
    assert len(store.secret("long", length=64)) == 64
    write(directory / "kept", b"a secret of the user's own\n")
    assert store.secret("kept", length=64) == "a secret of the user's own"


def test_check_mode_makes_up_what_is_missing_and_writes_nothing(directory: Path) -> None:
    store = SecretStore(str(directory), DataLoader(), dry_run=True)
    assert len(store.secret("database_app")) == 32
    assert store.bcrypt("exporters").startswith("$2b$")
    assert not directory.exists()


def test_check_mode_reads_what_is_there(store: SecretStore, directory: Path) -> None:
    kept, hashed = store.secret("exporters"), store.bcrypt("exporters")
    dry = SecretStore(str(directory), DataLoader(), dry_run=True)
    assert (dry.secret("exporters"), dry.bcrypt("exporters")) == (kept, hashed)


def test_a_hash_stays_until_the_secret_changes(store: SecretStore, directory: Path) -> None:
    hashed = store.bcrypt("exporters")
    assert bcrypt.checkpw(store.secret("exporters").encode(), hashed.encode())
    assert store.bcrypt("exporters") == hashed

    write(directory / "exporters", b"rotated-by-the-user\n")
    rotated = store.bcrypt("exporters")
    assert rotated != hashed
    assert bcrypt.checkpw(b"rotated-by-the-user", rotated.encode())
    assert (directory / "exporters.bcrypt").stat().st_mode & 0o777 == 0o600


def test_a_hash_that_is_none_is_made_anew(store: SecretStore, directory: Path) -> None:
    store.secret("exporters")
    write(directory / "exporters.bcrypt", b"not a hash\n")
    assert store.bcrypt("exporters").startswith("$2b$")


def test_a_vault_is_decrypted_whatever_its_mode(store: SecretStore, directory: Path) -> None:
    write(directory / "database_app", encrypted(b"from the vault\n", b"right"), mode=0o644)
    store.loader.set_vault_secrets([(DEFAULT_VAULT_ID_MATCH, VaultSecret(b"right"))])
    assert store.secret("database_app") == "from the vault"


@pytest.mark.parametrize("passwords", [[], [b"wrong"]], ids=["no password", "wrong password"])
def test_a_vault_without_its_password_is_an_error(store: SecretStore, directory: Path, passwords: list[bytes]) -> None:
    write(directory / "database_app", encrypted(b"from the vault", b"right"))
    store.loader.set_vault_secrets([(DEFAULT_VAULT_ID_MATCH, VaultSecret(password)) for password in passwords])
    with pytest.raises(AnsibleError, match=r"database_app is encrypted with Ansible Vault.*--ask-vault-pass"):
        store.secret("database_app")


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        (b"", 0o600, "is empty: write the secret into it, or remove it"),
        (b" \n", 0o600, "is empty"),
        (b"\xff\xfe", 0o600, "is not UTF-8 text"),
        (b"one\ntwo\n", 0o600, "has several lines"),
        (b"secret\n", 0o640, "has mode 0640, so others can read the secret in it: chmod 0600"),
        (b"secret\n", 0o604, "has mode 0604"),
    ],
)
def test_an_unusable_secret_is_an_error_and_left_alone(
    store: SecretStore, directory: Path, content: bytes, mode: int, message: str
) -> None:
    write(directory / "database_app", content, mode)
    with pytest.raises(AnsibleError, match=message):
        store.secret("database_app")
    assert (directory / "database_app").read_bytes() == content


@pytest.mark.parametrize("name", ["", "../ca", "a/b", ".hidden", "exporters.bcrypt", "a b", "-x", "x\n"])
def test_a_name_that_could_leave_the_directory_is_refused(store: SecretStore, directory: Path, name: str) -> None:
    with pytest.raises(AnsibleError, match="is no name of a secret"):
        store.secret(name)
    assert not directory.exists()


@pytest.mark.parametrize("length", [0, 15, 1025])
def test_a_length_that_makes_no_secret_is_refused(store: SecretStore, length: int) -> None:
    with pytest.raises(AnsibleError, match=f"length is {length}, wanted 16 to 1024"):
        store.secret("short", length)


def test_bcrypt_refuses_what_it_would_cut(store: SecretStore) -> None:
    with pytest.raises(AnsibleError, match="has 73 bytes, bcrypt takes 72"):
        store.bcrypt("long", length=73)


def test_a_directory_that_others_may_write_is_refused(store: SecretStore, directory: Path) -> None:
    directory.mkdir()
    directory.chmod(0o770)
    with pytest.raises(AnsibleError, match="has mode 0770, so others can replace the secrets in it: chmod 0700"):
        store.secret("database_app")


def test_a_file_in_place_of_the_directory_is_refused(store: SecretStore, directory: Path) -> None:
    directory.write_text("")
    with pytest.raises(AnsibleError, match=r"cannot be read \(Not a directory\)"):
        store.secret("database_app")


def ask(directory: str) -> tuple[str, str]:
    store = SecretStore(directory, DataLoader())
    return store.secret("shared"), store.bcrypt("shared")


def test_forks_that_ask_at_once_get_one_secret(directory: Path) -> None:
    with multiprocessing.get_context("fork").Pool(8) as pool:
        assert len(set(pool.map(ask, [str(directory)] * 32, chunksize=1))) == 1
