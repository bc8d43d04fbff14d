# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files on the controller that only their owner may read: secrets, keys and what is issued beside them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator

from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import is_encrypted

PRIVATE = 0o600


def ensure_directory(path: str) -> None:
    """Make the directory for its owner alone; refuse one in which others could replace a file."""
    if os.path.lexists(path) and not os.path.isdir(path):
        raise AnsibleError(f"{path} is not a directory: move it away, or set airworthy_secrets_dir to one")
    os.makedirs(path, mode=0o700, exist_ok=True)
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if mode & 0o022:
        raise AnsibleError(f"{path} has mode {mode:04o}, so others can replace the secrets in it: chmod 0700 {path}")


@contextlib.contextmanager
def locked(directory: str) -> Iterator[None]:
    """One process at a time: Ansible's forks ask for the same secret and the same CA at once."""
    ensure_directory(directory)
    descriptor = os.open(os.path.join(directory, ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write(path: str, content: bytes, mode: int = PRIVATE) -> None:
    """Replace the file as a whole, so that a reader or a crash never sees half a secret."""
    descriptor, temporary = tempfile.mkstemp(prefix=".new-", dir=os.path.dirname(path))
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def read(path: str, loader: DataLoader) -> bytes:
    """The secret in a file. Plain text that others can read is refused: it is no secret any more."""
    with open(path, "rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        content = file.read()
    if mode & 0o077 and not is_encrypted(content):
        raise AnsibleError(
            f"{path} has mode {mode:04o}, so others can read the secret in it: "
            f"chmod 0600 {path}, or encrypt it with ansible-vault encrypt {path}"
        )
    return decrypt(content, path, loader)


def decrypt(content: bytes, path: str, loader: DataLoader) -> bytes:
    """The content of the file as it is, or decrypted when it is a vault."""
    if not is_encrypted(content):
        return content
    try:
        return loader._vault.decrypt(content)
    except AnsibleError as error:
        raise AnsibleError(
            f"{path} is encrypted with Ansible Vault and could not be decrypted ({str(error).strip()}): "
            "give the right password with --ask-vault-pass or --vault-password-file"
        ) from None  # Ansible would append its words, which are in there already
