#!/usr/bin/python
# Copyright: the airworthy.stack maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: log_probe
short_description: Has the services of a host log something that can be recognised
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Writes a line into the journal, asks the edge for a page that does not exist, and reads from a temporary table, each
    with a name that is nowhere else. Beside each stands an e-mail address that must not leave the host.
  - Then it knocks at the collector as those would who may not send logs - without a certificate, and with one that
    another CA has issued.
  - M(airworthy.stack.log_delivery_audit) examines on the collector what has arrived of this.
extends_documentation_fragment: [airworthy.stack.logs.collector]
options:
  ca_file:
    description: The CA that vouches for the collector.
    type: path
    required: true
  domain:
    description: The name for which the edge on this host answers. Empty where there is no edge.
    type: str
    default: ""
  database:
    description: The database on this host. Empty where there is none.
    type: str
    default: ""
  database_port:
    description: Port of PostgreSQL.
    type: int
    default: 5432
  timeout:
    description: Seconds to wait for the collector's answer to who must get none.
    type: int
    default: 10
attributes:
  check_mode:
    support: full
    description: Logs the same.
  diff_mode:
    support: none
    description: Changes nothing.
"""

EXAMPLES = r"""
- name: The services of this host log something that can be recognised
  airworthy.stack.log_probe:
    collector: {address: 192.0.2.7, port: 2514, name: log1}
    ca_file: /etc/airworthy/tls/ca.crt
    domain: app.example.org
    database: app
  register: __log_shipping_probe
"""

RETURN = r"""
sent:
  description: What each service has logged.
  returned: always
  type: list
  elements: dict
  sample: [{service: journal, program: airworthy-probe, text: airworthy-0f3a}]
table:
  description: The table that was read; empty without a database.
  returned: always
  type: str
secret:
  description: What was logged beside it, and must not arrive.
  returned: always
  type: str
knocked:
  description: What the collector has answered to those who may not send logs; nothing, if it is right.
  returned: always
  type: dict
  sample: {no certificate: "", a certificate of another CA: ""}
"""

import secrets
import socket
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.logs import COLLECTOR_SPEC
from ansible_collections.airworthy.stack.plugins.module_utils.postgresql import session
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import Target, ask

PROGRAM = "airworthy-probe"
# https://www.rsyslog.com/doc/relp.html
OPEN = b"1 open 50 relp_version=0\nrelp_software=probe\ncommands=syslog\n"


class Sent(dict[str, str]):
    def __init__(self, service: str, program: str, text: str) -> None:
        super().__init__(service=service, program=program, text=text)


def log(module: AnsibleModule, name: str, secret: str) -> Iterator[Sent]:
    """The services of this host, each of which has something to say of that name."""
    email = f"{secret}@example.invalid"
    module.run_command(["logger", "--tag", PROGRAM, f"{name} of {email}"], check_rc=True)
    yield Sent("the journal", PROGRAM, name)
    if module.params["domain"]:
        ask(Target(module.params["domain"], "127.0.0.1"), f"/{name}?email={email}", secure=False)
        yield Sent("nginx", "nginx-access", f"/{name}")
    if module.params["database"]:
        database, port = module.params["database"], module.params["database_port"]
        with session(database, port) as connection, connection.cursor() as cursor:
            cursor.execute(f"DO $$ BEGIN RAISE LOG '{name} of {email}'; END $$")
            cursor.execute(f"CREATE TEMPORARY TABLE {table_of(name)} (email text) ON COMMIT DROP")
            cursor.execute(f"SELECT FROM {table_of(name)} WHERE email = '{email}'")
        yield Sent("PostgreSQL", "postgresql", name)


def table_of(name: str) -> str:
    return name.replace("-", "_")


def knock(collector: Mapping[str, Any], context: ssl.SSLContext, timeout: float) -> str:
    """What the collector answers. With TLS 1.3 a client learns only then that its certificate is not wanted."""
    try:
        with (
            socket.create_connection((collector["address"], collector["port"]), timeout) as plain,
            context.wrap_socket(plain, server_hostname=collector["name"]) as connection,
        ):
            connection.sendall(OPEN)
            return connection.recv(4096).decode(errors="replace")
    except TimeoutError:
        return f"nothing, but it was still listening after {timeout:g} s"
    except OSError:
        return ""


def strangers(module: AnsibleModule, directory: Path) -> Iterator[tuple[str, ssl.SSLContext]]:
    """Those who may not send logs, and what they bring along."""
    ca_file = module.params["ca_file"]
    yield "no certificate", ssl.create_default_context(cafile=ca_file)
    key, certificate = directory / "key", directory / "certificate"
    self_signed = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subject = ["-subj", f"/CN={module.params['collector']['name']}", "-keyout", str(key), "-out", str(certificate)]
    module.run_command([*self_signed, *subject], check_rc=True)
    context = ssl.create_default_context(cafile=ca_file)
    context.load_cert_chain(certificate, key)
    yield "a certificate of another CA", context


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "collector": COLLECTOR_SPEC,
            "ca_file": {"type": "path", "required": True},
            "domain": {"type": "str", "default": ""},
            "database": {"type": "str", "default": ""},
            "database_port": {"type": "int", "default": 5432},
            "timeout": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    collector, timeout = module.params["collector"], module.params["timeout"]
    name, secret = f"airworthy-{secrets.token_hex(8)}", secrets.token_hex(12)
    sent = list(log(module, name, secret))
    with tempfile.TemporaryDirectory() as directory:
        knocked = {who: knock(collector, context, timeout) for who, context in strangers(module, Path(directory))}
    table = table_of(name) if module.params["database"] else ""
    module.exit_json(changed=False, sent=sent, table=table, secret=secret, knocked=knocked)


if __name__ == "__main__":
    main()
