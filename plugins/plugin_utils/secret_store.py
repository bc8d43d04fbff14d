# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The secrets of an inventory: a directory with one file for each name."""

from __future__ import annotations

import os
import re
import secrets
import string
from collections.abc import Callable

from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader

from . import private_files

try:
    import bcrypt
except ImportError:  # only who asks for a hash needs it
    bcrypt = None  # type: ignore[assignment]

ALPHABET = string.ascii_letters + string.digits + "-_"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
SHORTEST, LONGEST = 16, 1024
BCRYPT_READS = 72  # bytes; bcrypt would ignore the rest
# An exporter verifies the hash on each scrape. The secrets are random, so the rounds need not make up for weak ones.
BCRYPT_ROUNDS = 10


class SecretStore:
    """With `dry_run`, nothing is written, and what is missing is made up."""

    def __init__(self, directory: str, loader: DataLoader, dry_run: bool = False) -> None:
        self.directory = directory
        self.loader = loader
        self.dry_run = dry_run

    def secret(self, name: str, length: int = 32) -> str:
        """The secret of that name; made when there is none yet."""
        if not NAME.fullmatch(name):
            raise AnsibleError(f"{name!r} is no name of a secret: use letters, digits, - and _, the first no sign")
        if not SHORTEST <= length <= LONGEST:
            raise AnsibleError(f"secret {name}: length is {length}, wanted {SHORTEST} to {LONGEST}")
        return self._stored(name, self._content, lambda: generate(length))

    def bcrypt(self, name: str, length: int = 32) -> str:
        """A bcrypt hash of the secret, kept beside it, since a new salt would change the servers on each run."""
        if bcrypt is None:
            raise AnsibleError("hash='bcrypt' needs the Python library bcrypt on the controller: pip install bcrypt")
        secret = self.secret(name, length).encode()
        if len(secret) > BCRYPT_READS:
            raise AnsibleError(f"secret {name} has {len(secret)} bytes, bcrypt takes {BCRYPT_READS}: shorten it")

        def matching(path: str) -> str | None:
            kept = self._content(path)
            return kept if kept and matches(secret, kept) else None

        def make() -> str:
            return bcrypt.hashpw(secret, bcrypt.gensalt(BCRYPT_ROUNDS)).decode()

        return self._stored(f"{name}.bcrypt", matching, make)

    def _stored(self, name: str, read: Callable[[str], str | None], make: Callable[[], str]) -> str:
        path = os.path.join(self.directory, name)
        if (kept := read(path)) is not None:
            return kept
        if self.dry_run:
            return make()
        with private_files.locked(self.directory):
            if (kept := read(path)) is not None:  # another fork was first
                return kept
            made = make()
            private_files.write(path, made.encode() + b"\n")
            return made

    def _content(self, path: str) -> str | None:
        try:
            content = private_files.read(path, self.loader)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise AnsibleError(f"{path} cannot be read ({error.strerror}): let yourself read the file") from error
        try:
            secret = content.decode().strip("\r\n")
        except UnicodeDecodeError as error:
            raise AnsibleError(f"{path} is not UTF-8 text: write the secret as one line of text") from error
        if not secret.strip():
            raise AnsibleError(f"{path} is empty: write the secret into it, or remove it and a strong one is generated")
        if "\n" in secret:
            raise AnsibleError(f"{path} has several lines: a secret is one line of text")
        return secret


def generate(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _position in range(length))


def matches(secret: bytes, hashed: str) -> bool:
    try:
        return bcrypt.checkpw(secret, hashed.encode())
    except ValueError:  # not a hash at all: it is made anew, like a stale one
        return False
