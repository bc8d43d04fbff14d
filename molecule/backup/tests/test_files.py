"""The backups of files: what a server can do to them and what it cannot, and what becomes of them in bad times."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from live_server import eventually
from testinfra.host import Host

STATE = "/var/lib/airworthy/files"
REPOSITORIES = "/srv/backup/restic"
PROGRAM = "python3 -I /usr/local/lib/airworthy/backup_files.py"
METRICS = "/var/lib/prometheus/node-exporter"
TLS = "/etc/airworthy/tls"
CERTIFICATE = f"--cert {TLS}/server.crt --key {TLS}/server.key"


@pytest.fixture(scope="module")
def name(host: Host) -> str:
    return host.check_output("hostname")


@pytest.fixture(scope="module")
def repository(name: str) -> str:
    return f"{REPOSITORIES}/{name}"


def start(host: Host, unit: str) -> bool:
    """Whether a job succeeded."""
    return bool(host.run(f"systemctl start airworthy-files-{unit}.service").rc == 0)


def said(host: Host, unit: str) -> str:
    """The journal of a job's last run."""
    run = host.check_output(f"systemctl show -P InvocationID airworthy-files-{unit}.service")
    return str(host.check_output(f"journalctl --no-pager -o cat _SYSTEMD_INVOCATION_ID={run}"))


def figure(host: Host, file: str, series: str) -> float | None:
    lines = host.file(f"{METRICS}/{file}.prom").content_string.splitlines()
    values = [float(line.split()[-1]) for line in lines if line.startswith(f"airworthy_files_backup_{series} ")]
    return values[0] if values else None


def backed_up(host: Host) -> float | None:
    return figure(host, "airworthy_files_backup", "success")


def sums(keeper: Host, repository: str) -> str:
    files = "find . -path ./locks -prune -o -type f -exec sha256sum {} + | sort"
    return str(keeper.check_output(f"cd {repository} && {files}"))


def status(host: Host, method: str, path: str, *options: str) -> str:
    """What the repository host answers to the server's own name and password, or to others."""
    location = host.file("/etc/airworthy/backup/files_location").content_string.strip().removeprefix("rest:https://")
    login, _at, rest = location.rpartition("@")
    words = " ".join(options or (CERTIFICATE, f"--user '{login}'"))
    command = f"curl -s -o /dev/null -w '%{{http_code}}' --path-as-is --cacert {TLS}/ca.crt {words} -X {method}"
    return str(host.run(f"{command} 'https://{rest.split('/')[0]}{path}'").stdout)


def restic(host: Host, words: str) -> Any:
    """restic with all that the server has, as an intruder would use it."""
    host.check_output(f"umask 077; cat {TLS}/server.crt {TLS}/server.key > /run/intruder.pem")
    etc = "/etc/airworthy/backup"
    where = f"--repository-file {etc}/files_location --password-file {etc}/files_password"
    return host.run(f"restic {where} --cacert {TLS}/ca.crt --tls-client-cert /run/intruder.pem --no-cache {words}")


def test_files_are_backed_up_and_come_back(host: Host, name: str) -> None:
    """By day and by hand, with all that the server had; a link, an owner and a mode come back, too."""
    host.check_output("install -o www-data -m 0640 /etc/hostname '/srv/a [strange] *name'")
    host.check_output("ln -sfn hostname /srv/link")
    assert start(host, "backup"), said(host, "backup")
    assert backed_up(host) == 1
    host.check_output("rm -rf /run/back '/srv/a [strange] *name' /srv/link")
    host.check_output(f"{PROGRAM} restore latest /run/back '/srv/a [strange] *name' /srv/link /etc/airworthy")
    found = host.file("/run/back/srv/a [strange] *name")
    assert (found.content_string.strip(), found.user, found.mode) == (name, "www-data", 0o640)
    assert host.file("/run/back/srv/link").linked_to == "/run/back/srv/hostname"
    assert host.file("/run/back/etc/airworthy/tls/server.key").content == host.file(f"{TLS}/server.key").content


def test_a_path_that_is_missing_is_told(host: Host) -> None:
    told = json.loads(host.file("/etc/airworthy/backup/files.json").content_string)
    missing = [path for path in told["paths"] if not host.file(path).exists]
    assert figure(host, "airworthy_files_backup", "missing_paths") == len(missing)


def test_a_server_cannot_remove_what_it_stored(host: Host, keeper: Host, name: str, repository: str) -> None:
    before = sums(keeper, repository)
    for path in keeper.check_output(f"cd {REPOSITORIES} && find {name} -type f -not -path '*/locks/*'").splitlines():
        parts = path.split("/")
        address = "/".join([*parts[:2], parts[-1]]) if "data" in parts else path
        assert status(host, "DELETE", f"/{address}") == "403"
        assert status(host, "POST", f"/{address}") == "403"
    for trick in (f"/{name}/locks/../config", f"/{name}/locks/..%2fconfig", f"/{name}/", f"/{name}"):
        assert status(host, "DELETE", trick) not in ("200", "204")
    assert restic(host, "prune").rc == 0  # there is nothing that it may remove
    assert sums(keeper, repository) == before


def test_a_stranger_is_kept_out(host: Host, keeper: Host, name: str) -> None:
    others = keeper.check_output(f"ls {REPOSITORIES}").split()
    other = next((one for one in others if one != name), "another")
    assert status(host, "GET", f"/{name}/config") == "200"
    assert status(host, "GET", f"/{name}/config", f"--user {name}:guess {CERTIFICATE}") == "401"
    assert status(host, "GET", f"/{name}/config", CERTIFICATE) == "401"
    assert status(host, "GET", f"/{name}/config", f"--user {name}:guess") == "000"  # TLS does not come about
    for path in (f"/{other}/config", f"/{name}/../{other}/config", f"/{name}/%2e%2e/{other}/config", f"/{other}/keys/"):
        assert status(host, "GET", path) != "200"
        assert status(host, "POST", path) not in ("200", "201")


def test_secrets_stay_where_they_are(host: Host) -> None:
    for file in ("files_location", "files_password"):
        assert host.file(f"/etc/airworthy/backup/{file}").mode == 0o600
    password = host.file("/etc/airworthy/backup/files_location").content_string.split("@")[0].split(":")[-1]
    assert host.run(f"journalctl --no-pager -u 'airworthy-files-*' | grep -F -- '{password}'").rc == 1


def test_the_server_that_receives_has_no_privileges(keeper: Host) -> None:
    assert keeper.service("airworthy-files-server").is_enabled
    pid = keeper.check_output("systemctl show -P MainPID airworthy-files-server")
    seen = keeper.file(f"/proc/{pid}/status").content_string
    assert "NoNewPrivs:\t1" in seen
    assert "CapEff:\t0000000000000000" in seen
    assert keeper.check_output(f"stat -c %U /proc/{pid}") == "airworthy-files"


def test_a_forged_time_drives_nothing_out(host: Host, keeper: Host, name: str, repository: str) -> None:
    """Snapshots that say they are of the future, or of years ago: what counts is when they arrived."""
    real = set(keeper.check_output(f"ls {repository}/snapshots").split())
    for number, day in enumerate(("2036-01-01", "2036-01-02", "2001-01-01")):
        forged = restic(host, f"backup --time '{day} 00:00:0{number}' --host {name} /etc/hostname")
        assert forged.rc == 0, forged.stderr
    forged_names = set(keeper.check_output(f"ls {repository}/snapshots").split()) - real
    try:
        assert start(keeper, "prune"), said(keeper, "prune")
        assert real <= set(keeper.check_output(f"ls {repository}/snapshots").split())
        assert start(keeper, "check"), said(keeper, "check")
        assert figure(keeper, "airworthy_files_repository", f'repository_stray_snapshots{{client="{name}"}}') == 3
    finally:
        keeper.check_output(f"rm {' '.join(f'{repository}/snapshots/{one}' for one in forged_names)}")
    assert start(keeper, "check")


def test_old_snapshots_go_and_the_server_can_go_on(host: Host, keeper: Host, name: str, repository: str) -> None:
    """Of four snapshots of a day last week one stays. What the maintenance wrote, the server can read."""
    for _ in range(4):
        assert restic(host, f"backup --host {name} /etc/hostname").rc == 0
    newest_first = keeper.check_output(f"ls -t {repository}/snapshots").split()
    for number, one in enumerate(newest_first[:4]):
        keeper.check_output(f"touch -d '7 days ago 12:00:0{number}' {repository}/snapshots/{one}")
    assert start(keeper, "prune"), said(keeper, "prune")
    left = set(keeper.check_output(f"ls {repository}/snapshots").split())
    assert left == set(newest_first) - set(newest_first[:3])
    assert start(host, "backup"), said(host, "backup")
    keeper.check_output(f"rm {repository}/snapshots/{newest_first[3]}")  # it was not of last week


def test_a_flipped_byte_is_found_and_named(keeper: Host, name: str, repository: str) -> None:
    pack = keeper.check_output(f"find {repository}/data -type f -printf '%s %p\\n' | sort -n | tail -1").split()[1]
    keeper.check_output(f"cp -a {pack} /run/pack")
    # one bit, whatever it was
    flip = "import sys; f = open(sys.argv[1], 'r+b'); b = f.read(1001)[-1]; f.seek(1000); f.write(bytes([b ^ 1]))"
    keeper.check_output(f'python3 -c "{flip}" {pack}')
    try:
        assert not start(keeper, "check")
        assert pack.split("/")[-1][:8] in said(keeper, "check")
        assert figure(keeper, "airworthy_files_repository", f'check_success{{client="{name}"}}') == 0
        assert not start(keeper, "prune")  # nothing is removed from what is damaged
    finally:
        keeper.check_output(f"mv /run/pack {pack}")
    assert start(keeper, "check"), said(keeper, "check")
    assert start(keeper, "prune"), said(keeper, "prune")


@contextmanager
def small_disk(keeper: Host, megabytes: int) -> Iterator[None]:
    """The repositories lie on a disk with so much room left, and then on their own again."""
    used = int(keeper.check_output(f"du -sm {REPOSITORIES}").split()[0])
    keeper.check_output("systemctl stop airworthy-files-server")
    keeper.check_output(f"cp -a {REPOSITORIES} {REPOSITORIES}.aside")
    keeper.check_output(f"mount -t tmpfs -o size={used + megabytes}m tmpfs {REPOSITORIES}")
    keeper.check_output(f"cp -a {REPOSITORIES}.aside/. {REPOSITORIES} && systemctl start airworthy-files-server")
    try:
        yield
    finally:
        keeper.check_output(f"systemctl stop airworthy-files-server && umount {REPOSITORIES}")
        keeper.check_output(f"rm -r {REPOSITORIES}.aside && systemctl start airworthy-files-server")


def test_a_full_disk_is_said_and_the_next_run_catches_up(host: Host, keeper: Host, name: str) -> None:
    host.check_output("head -c 12000000 /dev/urandom > /srv/noise")
    try:
        with small_disk(keeper, 4):
            assert not start(host, "backup")
            assert "disk is full" in said(host, "backup")
            assert backed_up(host) == 0
            keeper.check_output(f"mount -o remount,size=512m {REPOSITORIES}")
            assert start(host, "backup"), said(host, "backup")
            assert backed_up(host) == 1
            assert start(keeper, "check"), said(keeper, "check")
    finally:
        host.check_output("rm /srv/noise")
    assert start(host, "backup"), said(host, "backup")


def test_a_backup_that_is_killed_leaves_nothing_in_the_way(host: Host, keeper: Host, repository: str) -> None:
    host.check_output("head -c 300000000 /dev/urandom > /srv/noise")
    try:
        keeper.check_output("touch /run/begun")
        host.check_output("systemctl start --no-block airworthy-files-backup.service")
        eventually(lambda: keeper.check_output(f"find {repository}/data -newer /run/begun -type f"), 60, pause=0.1)
        host.check_output("systemctl kill --kill-whom=main --signal=KILL airworthy-files-backup.service")
        eventually(lambda: backed_up(host) == 0, 30, pause=0.2)
        assert keeper.check_output(f"ls {repository}/locks") != ""
    finally:
        host.check_output("rm /srv/noise")
    begun = time.monotonic()
    assert start(host, "backup"), said(host, "backup")
    assert time.monotonic() - begun < 60
    assert keeper.check_output(f"ls {repository}/locks") == ""
    assert start(keeper, "check"), said(keeper, "check")


def test_a_server_that_dies_in_mid_upload_leaves_no_pieces(host: Host, keeper: Host, repository: str) -> None:
    """A piece under the name of an index would make the repository unreadable, and nobody could replace it."""
    keeper.check_output(f"head -c 100 /dev/urandom > {repository}/index/{'0' * 64}")
    keeper.check_output("systemctl kill --signal=KILL airworthy-files-server")
    eventually(lambda: keeper.socket("tcp://:::8000").is_listening, 30, pause=0.5)
    assert not keeper.file(f"{repository}/index/{'0' * 64}").exists
    assert start(host, "backup"), said(host, "backup")
    keeper.check_output(f"rm -r {REPOSITORIES}/.torn")


def test_a_lost_key_is_said(host: Host) -> None:
    key = "/etc/airworthy/backup/files_password"
    host.check_output(f"cp -a {key} /run/key && echo another > {key}")
    try:
        assert not start(host, "backup")
        assert "the key does not open the repository" in said(host, "backup")
    finally:
        host.check_output(f"mv /run/key {key}")
    assert start(host, "backup"), said(host, "backup")


def test_a_repository_that_is_gone_is_not_begun_anew(host: Host, keeper: Host, repository: str) -> None:
    """As when the disk of the repository host is not mounted: an empty repository would look like a good one."""
    keeper.check_output(f"mv {repository} {REPOSITORIES}/.aside")
    try:
        assert not start(host, "backup")
        assert "is gone from the repository host" in said(host, "backup")
        assert not keeper.file(repository).exists
    finally:
        keeper.check_output(f"mv {REPOSITORIES}/.aside {repository}")
    assert start(host, "backup"), said(host, "backup")
