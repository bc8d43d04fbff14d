"""Further repositories, each opened by the role and used: a bucket of an S3 service, a directory of an SFTP server."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
import testinfra
from ansible_collections.airworthy.stack.plugins.plugin_utils import pki
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from testinfra.host import Host
from werkzeug.serving import WSGIRequestHandler, make_server

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[3]
Info = Callable[[], dict[str, Any]]
Sql = Callable[[str], str]
ACCESS = {"access_key": "AKIDEXAMPLE", "secret_key": "wJalrXUtnFEMI"}
SERVICE = "objects"    # of one word, since moto takes the first of several for a bucket


@pytest.fixture(scope="module")
def apply(host: Host, keeper: Host) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The role on this pair of hosts, with these repositories besides the first one."""
    pair = [end.check_output("hostname") for end in (host, keeper)]
    others = [f"airworthy-{kind}{release}" for kind in ("recovery", "keeper") for release in (12, 13)]
    addresses = {name: testinfra.get_host(f"podman://{name}").check_output("hostname -I").split()[0] for name in others}

    def run(*repositories: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        # The other pair takes part in no play, and yet is let in by the host that keeps its files.
        given = {"backup_repositories": repositories, "addresses": addresses}
        given["airworthy_address"] = "{{ addresses[inventory_hostname] }}"
        command = ["ansible-playbook", "molecule/backup/converge.yml", "-i", "molecule/inventory"]
        command += ["--limit", ",".join(pair), "-e", json.dumps(given)]
        return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=600)

    return run


class Handler(WSGIRequestHandler):
    """Ends a connection as TLS demands, which pgBackRest does, too."""

    def finish(self) -> None:
        super().finish()
        with suppress(OSError):
            self.connection.unwrap()


@pytest.fixture
def bucket(keeper: Host, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A bucket on this machine, reached from the lab's network as S3 is: by name, with TLS, of a private CA."""
    authority = pki.create_authority("the CA of a service")
    gateway = keeper.check_output("ip -4 route show default").split()[2]
    pair = pki.issue(authority, pki.Subject((SERVICE, gateway)), days=1)
    (tmp_path / "ca.crt").write_bytes(pki.certificate_pem(authority))
    (tmp_path / "server.pem").write_bytes(pki.certificate_pem(pair) + pki.key_pem(pair))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "server.pem")
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server(gateway, 0, application, threaded=True, request_handler=Handler, ssl_context=tls)
    keeper.check_output(f"grep -qw {SERVICE} /etc/hosts || echo {gateway} {SERVICE} >> /etc/hosts")
    keeper.check_output("echo %s > /srv/s3.crt", (tmp_path / "ca.crt").read_text())
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        client = boto3.client(
            "s3",
            endpoint_url=f"https://{gateway}:{server.port}",
            region_name="eu-1",
            verify=tmp_path / "ca.crt",
            aws_access_key_id=ACCESS["access_key"],
            aws_secret_access_key=ACCESS["secret_key"],
        )
        client.create_bucket(Bucket="backups", CreateBucketConfiguration={"LocationConstraint": "eu-1"})
        yield {
            "repository": {
                "type": "s3",
                "endpoint": f"{SERVICE}:{server.port}",
                "bucket": "backups",
                "region": "eu-1",
                "uri_style": "path",
                "ca_file": "/srv/s3.crt",
                **ACCESS,
            },
            "client": client,
        }
    finally:
        server.shutdown()
        thread.join()


@pytest.fixture
def directory(keeper: Host) -> Iterator[dict[str, Any]]:
    """A directory of an SFTP server, on the host itself, with a key of its own."""
    keys, port = "/etc/pgbackrest-sftp", 2222
    for statement in (
        f"install -d -m 755 {keys} && ssh-keygen -q -t ed25519 -N '' -f {keys}/server",
        f"ssh-keygen -q -t ed25519 -N '' -f {keys}/client && chown postgres: {keys}/client",
        "useradd --create-home --shell /bin/sh depot && usermod --password '*' depot",
        "install -d -o depot -m 700 ~depot/.ssh",
        f"install -o depot -m 600 {keys}/client.pub ~depot/.ssh/authorized_keys",
        f"systemd-run --quiet --unit test-sftp /usr/sbin/sshd -D -f /dev/null -p {port} -h {keys}/server "
        "-o Subsystem='sftp internal-sftp' -o ListenAddress=127.0.0.1 -o PidFile=none",
    ):
        keeper.check_output(statement)
    fingerprint = keeper.check_output(f"cut -d' ' -f2 {keys}/server.pub | base64 -d | sha256sum | cut -d' ' -f1")
    try:
        yield {
            "type": "sftp",
            "host": "127.0.0.1",
            "port": port,
            "user": "depot",
            "path": "/home/depot/pgbackrest",
            "private_key_file": f"{keys}/client",
            "fingerprint": fingerprint,
        }
    finally:
        keeper.check_output(f"systemctl stop test-sftp; userdel --remove depot 2>/dev/null; rm -r {keys}")


def holds_a_backup(info: Info, number: int) -> bool:
    return any(backup["database"]["repo-key"] == number for backup in info()["backup"])


def restored(host: Host, number: int) -> str:
    """The newest backup of one repository, restored beside the database: the names in its directory."""
    scratch = "/var/lib/postgresql/scratch"
    host.check_output(f"install -d -o postgres -m 700 {scratch}")
    try:
        host.check_output(
            f"runuser -u postgres -- pgbackrest --stanza=app --repo={number} --pg1-path={scratch} --archive-mode=off "
            "--type=immediate --log-level-console=warn restore"
        )
        return host.check_output(f"ls {scratch}")
    finally:
        host.check_output(f"rm -r {scratch}")


def test_a_bucket_takes_backups_and_gives_them_back(
    host: Host, keeper: Host, sql: Sql, archived: Callable[..., float], info: Info, bucket: dict[str, Any], apply: Any
) -> None:
    """The service sees names and sizes, not one readable byte of the database."""
    sql("CREATE TABLE IF NOT EXISTS marked_for_service (text text)")
    sql("INSERT INTO marked_for_service VALUES ('a-row-that-no-service-may-read')")
    try:
        result = apply(bucket["repository"])
        assert result.returncode == 0, result.stdout
        assert holds_a_backup(info, 2)
        archived()
        keeper.check_output("systemctl start airworthy-backup@verify")
        client = bucket["client"]
        pages = client.get_paginator("list_objects_v2").paginate(Bucket="backups")
        keys = [stored["Key"] for page in pages for stored in page.get("Contents", [])]
        bodies = [client.get_object(Bucket="backups", Key=key)["Body"].read() for key in keys]
        assert any("/archive/" in key for key in keys) and any("/backup/" in key for key in keys)
        assert all(body.startswith(b"Salted__") for body in bodies if body)
        assert not any(b"a-row-that-no-service-may-read" in body for body in bodies)
        assert "PG_VERSION" in restored(host, 2)
    finally:
        assert apply().returncode == 0
    assert not holds_a_backup(info, 2)


def test_an_sftp_server_takes_backups_and_gives_them_back(
    host: Host, info: Info, directory: dict[str, Any], apply: Any
) -> None:
    """Debian 12's pgBackRest has no SFTP: there it is refused, with what to do instead."""
    if host.system_info.release == "12":
        refused = apply(directory)
        assert refused.returncode != 0
        assert "which pgBackRest of Debian 12 does not know" in refused.stdout
        return
    try:
        result = apply(directory)
        assert result.returncode == 0, result.stdout
        assert holds_a_backup(info, 2)
        assert "PG_VERSION" in restored(host, 2)
    finally:
        assert apply().returncode == 0
