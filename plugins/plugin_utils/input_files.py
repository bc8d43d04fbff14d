# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is wrong with the files on the controller that variables name: secrets, certificates, sources."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader

from . import pki, rules, shapes
from .certificate_store import CertificateStore
from .secret_store import SecretStore

Values = Mapping[str, Any]


def errors(values: Values, loader: DataLoader) -> list[str]:
    return [
        *_secrets(values, loader),
        *_edge_certificate(values, loader),
        *_acme_ca(values),
        *_log_targets(values),
        *_application(values, loader),
    ]


def _secrets(values: Values, loader: DataLoader) -> Iterator[str]:
    """A secret that is there is one that can be used; one that is not there will be generated."""
    directory = values.get("airworthy_secrets_dir")
    if not directory or not os.path.lexists(directory):
        return
    if not os.path.isdir(directory):
        yield f"airworthy_secrets_dir is {directory!r}, which is no directory; write the one in which secrets are kept"
        return
    store = SecretStore(directory, loader, dry_run=True)
    for name in sorted(os.listdir(directory)):
        if name.startswith(".") or name.endswith(".bcrypt") or os.path.isdir(os.path.join(directory, name)):
            continue
        try:
            store.secret(name)
        except AnsibleError as error:
            yield f"airworthy_secrets_dir: {error}"


def _edge_certificate(values: Values, loader: DataLoader) -> Iterator[str]:
    """The user's own certificate is one that browsers will accept for the domain."""
    certificate, key = values.get("airworthy_edge_certificate_file"), values.get("airworthy_edge_private_key_file")
    if bool(certificate) != bool(key):
        lacking = "airworthy_edge_private_key_file" if certificate else "airworthy_edge_certificate_file"
        given = "airworthy_edge_certificate_file" if certificate else "airworthy_edge_private_key_file"
        yield f"{lacking} is missing, while {given} is {certificate or key!r}; write both, or neither"
    if not certificate or not key or "edge" not in rules.tiers(values) or "airworthy_domain" not in values:
        return
    names = [values["airworthy_domain"], *values.get("airworthy_domain_aliases", ())]
    try:
        CertificateStore("", loader).brought(certificate, key, names)
    except AnsibleError as error:
        yield from (f"airworthy_edge_certificate_file: {line}" for line in str(error).splitlines())


def _acme_ca(values: Values) -> Iterator[str]:
    """Who vouches for a private ACME service is written in a file with certificates."""
    file = values.get("airworthy_acme_ca_file")
    if file and "edge" in rules.tiers(values):
        yield from _ca("airworthy_acme_ca_file", file)


def _log_targets(values: Values) -> Iterator[str]:
    """So is who vouches for a private system that logs are forwarded to."""
    targets = values.get("log_collector_forward_to") or [] if "logs" in rules.tiers(values) else []
    for number, target in enumerate(targets):
        if isinstance(target, Mapping) and (file := target.get("ca_file")):
            name = f"log_collector_forward_to[{number}].ca_file"
            wrong = shapes.absolute_path(str(file))
            yield from [f"{name} is {file!r}; {wrong}"] if wrong else _ca(name, str(file))


def _ca(name: str, file: str) -> Iterator[str]:
    try:
        with open(file, "rb") as content:
            pki.authorities(content.read())
    except OSError as error:
        yield f"{name} is {file!r}, which cannot be read ({error.strerror}); write the file of a CA"
    except ValueError:
        yield f"{name} is {file!r}, which holds no certificate in PEM format; write the file of a CA"


def _application(values: Values, loader: DataLoader) -> Iterator[str]:
    """Where the sources should be, there are some, of a Node.js application."""
    source = values.get("app_source")
    if not source or "app" not in rules.tiers(values):
        return
    directory = loader.path_dwim(source)
    if not os.path.isdir(directory):
        yield f"app_source is {source!r}, and {directory} is no directory; write the one with the application's sources"
    elif not os.path.isfile(os.path.join(directory, "package.json")):
        yield f"app_source is {source!r}, and {directory} has no package.json; write the directory that holds it"
