# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The internal CA and what it issued, in a directory on the controller:

ca.crt, ca.key, and for each host <host>/<name>.crt and <host>/<name>.key.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta

from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader

from . import pki, private_files

PUBLIC = 0o644


@dataclass(frozen=True)
class Entry:
    """A certificate (with its chain) and its key, by their paths on the controller."""

    certificate: str
    private_key: str
    not_after: str
    reason: str | None  # why it was made anew
    has_responder: bool = False

    def result(self) -> dict[str, object]:
        return {
            "certificate": self.certificate,
            "private_key": self.private_key,
            "not_after": self.not_after,
            "changed": self.reason is not None,
            "reason": self.reason,
            "has_responder": self.has_responder,
        }


class CertificateStore:
    """With `dry_run`, nothing is written: what would be made is made in memory."""

    def __init__(self, directory: str, loader: DataLoader, dry_run: bool = False) -> None:
        self.directory = directory
        self.loader = loader
        self.dry_run = dry_run

    def path(self, *parts: str) -> str:
        return os.path.join(self.directory, *parts)

    def authority(self, common_name: str, days: int) -> tuple[pki.Pair, str | None]:
        """The CA, good for another `days`, and why it was made."""
        kept = self._read(self.path("ca"))
        if kept is None:
            reason, key = "there was none", None
        elif kept.certificate.public_key() != kept.key.public_key():
            raise AnsibleError(
                f"{self.path('ca.key')} does not belong to {self.path('ca.crt')}: restore the pair from a backup, "
                "or remove both, and every certificate is issued anew by a new CA"
            )
        elif kept.certificate.not_valid_after_utc - pki.now() < timedelta(days=days):
            reason, key = f"it expires on {pki.day(kept.certificate.not_valid_after_utc)}", kept.key
        else:
            return kept, None
        made = pki.create_authority(common_name, key)
        self._write(self.path("ca"), made)
        return made, reason

    def issued(
        self, authority: pki.Pair, host: str, name: str, subject: pki.Subject, days: int, renew_before_days: int
    ) -> Entry:
        """The certificate `name` of the host, made anew where it does not do any longer."""
        stem = self.path(host, name)
        pair = self._read(stem)
        reason = pki.reason_to_reissue(pair, authority, subject, renew_before_days) if pair else "there was none"
        if pair is None or reason:
            pair = pki.issue(authority, subject, days)
            self._write(stem, pair)
        return Entry(f"{stem}.crt", f"{stem}.key", pair.certificate.not_valid_after_utc.isoformat(), reason)

    def brought(self, certificate_file: str, private_key_file: str, names: list[str]) -> Entry:
        """A certificate of the user's own, examined and left where it is."""
        pair = read_pair(certificate_file, private_key_file, self.loader)
        if faults := pki.faults(pair, names):
            raise AnsibleError("\n".join(f"{certificate_file} {fault}" for fault in faults))
        not_after = pair.certificate.not_valid_after_utc.isoformat()
        return Entry(certificate_file, private_key_file, not_after, None, pki.has_responder(pair.certificate))

    def _read(self, stem: str) -> pki.Pair | None:
        certificate_file, key_file = f"{stem}.crt", f"{stem}.key"
        # The key is written first, so a crash leaves a key alone: then both are made anew.
        if not os.path.exists(certificate_file):
            return None
        return read_pair(certificate_file, key_file, self.loader)

    def _write(self, stem: str, pair: pki.Pair) -> None:
        if self.dry_run:
            return
        private_files.ensure_directory(os.path.dirname(stem))
        private_files.write(f"{stem}.key", pki.key_pem(pair))
        private_files.write(f"{stem}.crt", pki.certificate_pem(pair), PUBLIC)


def read_pair(certificate_file: str, private_key_file: str, loader: DataLoader) -> pki.Pair:
    try:
        with open(certificate_file, "rb") as file:
            certificates = private_files.decrypt(file.read(), certificate_file, loader)
        key = private_files.read(private_key_file, loader)
    except OSError as error:
        raise AnsibleError(f"{error.filename} cannot be read: {error.strerror}; name one on the controller") from error
    try:
        return pki.parse(certificates, key)
    except ValueError as error:
        raise AnsibleError(f"{certificate_file}, {private_key_file}: {error}") from error
