"""The CA is made once, certificates are kept while they do, and keys are read by nobody else."""

from __future__ import annotations

import multiprocessing
from datetime import timedelta
from pathlib import Path

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible_collections.airworthy.stack.plugins.plugin_utils import pki, private_files
from ansible_collections.airworthy.stack.plugins.plugin_utils.certificate_store import CertificateStore, Entry

NAMES = ("web1", "10.0.0.5")


@pytest.fixture
def store(tmp_path: Path) -> CertificateStore:
    return CertificateStore(str(tmp_path / "pki"), DataLoader())


def converge(store: CertificateStore, names: tuple[str, ...] = NAMES, days: int = 397) -> tuple[str | None, Entry]:
    """What one task does: why the CA was made, and the certificate `server` of web1."""
    with private_files.locked(store.directory):
        authority, reason = store.authority("airworthy test CA", days)
        return reason, store.issued(authority, "web1", "server", pki.Subject(names), days, renew_before_days=30)


def test_the_first_run_issues_and_the_second_changes_nothing(store: CertificateStore) -> None:
    reason, entry = converge(store)
    assert (reason, entry.reason) == ("there was none", "there was none")
    assert entry.certificate == store.path("web1", "server.crt")

    before = Path(entry.certificate).read_bytes()
    reason, entry = converge(store)
    assert (reason, entry.reason) == (None, None)
    assert Path(entry.certificate).read_bytes() == before
    assert entry.result()["changed"] is False


def test_keys_are_private(store: CertificateStore) -> None:
    converge(store)
    files = [path for path in Path(store.directory).rglob("*") if path.is_file()]
    modes = {str(path.relative_to(store.directory)): path.stat().st_mode & 0o777 for path in files}
    keys = {".lock": 0o600, "ca.key": 0o600, "web1/server.key": 0o600}
    assert modes == keys | {"ca.crt": 0o644, "web1/server.crt": 0o644}


def test_other_names_need_another_certificate(store: CertificateStore) -> None:
    converge(store)
    _reason, entry = converge(store, (*NAMES, "web1.example.org"))
    assert entry.reason == "its names differ"


def test_a_certificate_is_renewed_before_it_expires(store: CertificateStore, monkeypatch: pytest.MonkeyPatch) -> None:
    converge(store)
    now = pki.now()
    monkeypatch.setattr(pki, "now", lambda: now + timedelta(days=365))
    assert converge(store)[1].reason is None
    monkeypatch.setattr(pki, "now", lambda: now + timedelta(days=368))
    reason, entry = converge(store)
    assert reason is None
    assert entry.reason is not None
    assert entry.reason.startswith("it expires on ")


def test_an_old_ca_is_succeeded_by_its_like(store: CertificateStore, monkeypatch: pytest.MonkeyPatch) -> None:
    converge(store)
    before = Path(store.path("ca.key")).read_bytes()
    now = pki.now()
    monkeypatch.setattr(pki, "now", lambda: now + timedelta(days=pki.AUTHORITY_DAYS - 300))
    reason, _entry = converge(store)
    assert reason is not None
    assert reason.startswith("it expires on ")
    assert Path(store.path("ca.key")).read_bytes() == before


def test_a_lost_ca_is_replaced_and_its_certificates_with_it(store: CertificateStore) -> None:
    converge(store)
    Path(store.path("ca.crt")).unlink()
    assert converge(store)[0] == "there was none"
    assert converge(store)[1].reason is None


def test_a_crash_between_key_and_certificate_is_mended(store: CertificateStore) -> None:
    converge(store)
    Path(store.path("web1", "server.key")).write_bytes(pki.key_pem(pki.create_authority("half written")))
    assert converge(store)[1].reason == "its key does not belong to it"
    Path(store.path("web1", "server.crt")).unlink()
    assert converge(store)[1].reason == "there was none"
    assert converge(store)[1].reason is None


def test_a_ca_whose_key_is_not_its_own_is_an_error(store: CertificateStore) -> None:
    converge(store)
    Path(store.path("ca.key")).write_bytes(pki.key_pem(pki.create_authority("another")))
    with pytest.raises(AnsibleError, match=r"ca\.key does not belong to .*ca\.crt: restore the pair from a backup"):
        converge(store)


def test_a_key_that_others_can_read_is_an_error(store: CertificateStore) -> None:
    converge(store)
    Path(store.path("ca.key")).chmod(0o644)
    with pytest.raises(AnsibleError, match=r"ca\.key has mode 0644"):
        converge(store)


def test_check_mode_writes_nothing(tmp_path: Path) -> None:
    store = CertificateStore(str(tmp_path / "pki"), DataLoader(), dry_run=True)
    authority, reason = store.authority("airworthy test CA", 397)
    entry = store.issued(authority, "web1", "server", pki.Subject(NAMES), 397, 30)
    assert (reason, entry.reason) == ("there was none", "there was none")
    assert not Path(store.directory).exists()


def bring(directory: Path, names: tuple[str, ...]) -> tuple[str, str]:
    pair = pki.issue(pki.create_authority("a public CA"), pki.Subject(names), 90)
    certificate, key = directory / "fullchain.pem", directory / "privkey.pem"
    certificate.write_bytes(pki.certificate_pem(pair))
    key.write_bytes(pki.key_pem(pair))
    key.chmod(0o600)
    return str(certificate), str(key)


def test_a_certificate_that_names_a_responder_says_so(
    store: CertificateStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pki, "has_responder", lambda certificate: True)
    certificate, key = bring(tmp_path, ("app.example.org",))
    assert store.brought(certificate, key, ["app.example.org"]).result()["has_responder"]


def test_a_certificate_that_was_brought_stays_where_it_is(store: CertificateStore, tmp_path: Path) -> None:
    certificate, key = bring(tmp_path, ("app.example.org",))
    entry = store.brought(certificate, key, ["app.example.org"])
    assert (entry.certificate, entry.private_key, entry.reason) == (certificate, key, None)
    assert not entry.has_responder
    assert not Path(store.directory).exists()


def test_what_is_wrong_with_it_names_the_file(store: CertificateStore, tmp_path: Path) -> None:
    certificate, key = bring(tmp_path, ("www.example.org",))
    with pytest.raises(AnsibleError, match=r"fullchain\.pem covers www\.example\.org; it has to cover app"):
        store.brought(certificate, key, ["app.example.org"])
    with pytest.raises(AnsibleError, match=r"nothing\.pem cannot be read: No such file or directory"):
        store.brought(str(tmp_path / "nothing.pem"), key, ["www.example.org"])
    with pytest.raises(AnsibleError, match=r"fullchain\.pem, .*: the private key is not one in PEM format"):
        Path(key).write_text("not a key")
        store.brought(certificate, key, ["www.example.org"])


def ask(directory: str) -> str | None:
    return converge(CertificateStore(directory, DataLoader()))[0]


def test_forks_that_ask_at_once_make_one_ca(store: CertificateStore) -> None:
    with multiprocessing.get_context("fork").Pool(8) as pool:
        reasons = pool.map(ask, [store.directory] * 16, chunksize=1)
    assert sorted(reasons, key=str) == [None] * 15 + ["there was none"]
