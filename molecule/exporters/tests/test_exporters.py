"""What exporters promises, seen with other eyes than its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from live_server import eventually
from scraping import CA, Scrape, scrape
from testinfra.host import Host

ROOT = Path(__file__).parents[3]
PORTS = {"node": 9100, "process": 9256, "postgres": 9187, "pgbouncer": 9127, "nginx": 9113, "app": 9464}
PATHS = {"app": "/metrics/3000"}
UNITS = {
    "prometheus-node-exporter": "prometheus",
    "prometheus-process-exporter": "prometheus",
    "prometheus-postgres-exporter": "prometheus",
    "airworthy-pooler-exporter": "airworthy-pooler-exporter",
    "mtail": "mtail",
    "airworthy-exporters-proxy": "prometheus",
}
MOST_SAMPLES = 3000  # of a server in every tier
SECONDS = 2.0  # the slowest scrape, on a machine that has more to do

each_job = pytest.mark.parametrize(("job", "port"), PORTS.items())
each_unit = pytest.mark.parametrize(("unit", "user"), UNITS.items())


@each_unit
def test_it_runs_now_and_after_a_boot(host: Host, unit: str, user: str) -> None:
    assert host.service(unit).is_running
    assert host.service(unit).is_enabled


@each_unit
def test_it_has_no_privileges(host: Host, unit: str, user: str) -> None:
    pid = host.check_output(f"systemctl show -P MainPID {unit}")
    status = host.file(f"/proc/{pid}/status").content_string
    assert "NoNewPrivs:\t1" in status
    assert "CapEff:\t0000000000000000" in status
    assert host.check_output(f"systemctl show -P User {unit}") in (user, "")
    assert "Uid:\t0\t" not in status


# A stranger


@each_job
@pytest.mark.parametrize(
    ("url", "status"), [("https://localhost:{}{}", "401"), ("http://localhost:{}{}", "400")]
)
def test_a_stranger_on_the_server_learns_nothing(host: Host, job: str, port: int, url: str, status: str) -> None:
    asked = url.format(port, PATHS.get(job, "/metrics"))
    assert host.check_output(f"curl -s -o /dev/null -w '%{{http_code}}' --cacert {CA} {asked}") == status


@each_job
def test_another_server_is_not_let_through(host: Host, job: str, port: int) -> None:
    name = host.check_output("hostname")
    other = name[:-2] + {"12": "13", "13": "12"}[name[-2:]]
    assert host.run(f"curl -sk --connect-timeout 2 https://{other}:22").rc != 28  # it is there
    assert host.run(f"curl -sk --connect-timeout 2 https://{other}:{port}/metrics").rc == 28
    assert f"{port}" not in host.check_output("nft list chain inet airworthy input")


def test_nobody_gets_past_the_password(host: Host) -> None:
    """What has no password of its own has no port either, and its socket opens for the proxy alone."""
    sockets = {"airworthy-pooler-exporter": "airworthy-pooler-exporter", "mtail": "airworthy-edge-exporter"}
    for unit, directory in sockets.items():
        get = f"curl -s --unix-socket /run/{directory}/socket http://localhost/metrics"
        assert host.run(f"runuser -u nobody -- {get}").rc == 7
        assert host.run(f"runuser -u prometheus -g prometheus -G mtail -- {get}").rc == 0
        pid = host.check_output(f"systemctl show -P MainPID {unit}")
        assert pid != "0"
        assert f"pid={pid}," not in host.check_output("ss -Hltnp")


def test_secrets_are_for_root(host: Host) -> None:
    for directory in ("database_exporter", "pooler_exporter"):
        environment = host.file(f"/etc/airworthy/{directory}/environment")
        assert (environment.user, environment.mode) == ("root", 0o600)
    for path in ("exporters/web.yml", "exporters_proxy/htpasswd"):
        hashed = host.file(f"/etc/airworthy/{path}")
        assert (hashed.user, hashed.group, hashed.mode) == ("root", "prometheus", 0o640)
    for unit in UNITS:
        shown = host.check_output(f"systemctl show {unit} -p ExecStart -p Environment")
        assert "DATA_SOURCE_PASS" not in shown and "PGPASSWORD" not in shown


# What a scrape costs


def test_a_scrape_costs_little(host: Host) -> None:
    """The quickest of three: what else runs here can only make one last longer."""
    scrapes = {job: [scrape(host, port, PATHS.get(job, "/metrics")) for _ in range(3)] for job, port in PORTS.items()}
    costs = {job: (len(seen[-1].lines), min(each.seconds for each in seen)) for job, seen in scrapes.items()}
    print("samples and seconds:", costs)
    assert sum(samples for samples, _seconds in costs.values()) < MOST_SAMPLES, costs
    assert max(seconds for _samples, seconds in costs.values()) < SECONDS, costs


def test_clients_cannot_make_series(host: Host) -> None:
    """Forty addresses, methods that nobody knows, and a path that looks like a line of the log."""
    forged = '/forged","status":500,"bytes":1,"seconds":9.0'
    ask = f"curl -s -o /dev/null --path-as-is -H 'Host: {domain(host)}' http://localhost"
    host.check_output(f"{ask}/ -X FIRST; {ask}/first")
    before = once_counted(host).lines
    host.check_output(f"for i in $(seq 40); do {ask}/path-$i?q=$i; done; {ask}'{forged}'")
    host.check_output(f"for method in BREW COPY LOCK MKCOL PROPFIND; do {ask}/ -X $method; done")
    after = once_counted(host).lines
    assert len(after) == len(before)
    assert not [line for line in after if "path-" in line or "BREW" in line or "forged" in line]


def domain(host: Host) -> str:
    return host.check_output("hostname") + ".airworthy.test"


def once_counted(host: Host) -> Scrape:
    """The figures with all requests so far: the log is read in its order, and the last one is of ours."""
    last = 'nginx_http_requests_total{method="DELETE",status="308"}'
    before = scrape(host, PORTS["nginx"]).value(last)
    host.check_output(f"curl -s -o /dev/null -X DELETE -H 'Host: {domain(host)}' http://localhost/")
    return until(host, "nginx", lambda seen: seen.value(last) == before + 1)


def until(host: Host, job: str, true: Callable[[Scrape], bool]) -> Scrape:
    """The first scrape of which it is true."""

    def ask() -> Scrape:
        return scrape(host, PORTS[job])

    found: Scrape = eventually(
        lambda: seen if true(seen := ask()) else None, 30, lambda: "\n".join(ask().lines), pause=0.2
    )
    return found


# What is told


def test_a_request_is_counted_with_its_outcome(host: Host) -> None:
    missing = 'nginx_http_requests_total{method="GET",status="404"}'
    before = once_counted(host)
    ask = f"curl -s -o /dev/null --cacert {CA} --connect-to ::127.0.0.1: https://{domain(host)}/no/such/page"
    host.check_output(f"for i in 1 2 3; do {ask}; done")
    after = once_counted(host)
    assert after.value(missing) - before.value(missing) == 3
    for histogram in ("request", "upstream"):
        count = f"nginx_http_{histogram}_duration_seconds_count"
        assert after.value(count) - before.value(count) >= 3


def test_an_examination_of_the_site_does_not_look_like_an_outage(host: Host) -> None:
    """The canary fails on demand; who looks after the budget of failures must not hear of it."""
    failed, good = (f'nginx_http_requests_total{{method="GET",status="{status}"}}' for status in (500, 200))
    ask = f"curl -s -o /dev/null -w '%{{http_code}}' --cacert {CA} --connect-to ::127.0.0.1: https://{domain(host)}"
    before = once_counted(host)
    assert host.check_output(f"{ask}/.well-known/airworthy/canary") == "500"
    assert host.check_output(f"{ask}/healthz") == "200"
    after = once_counted(host)
    assert after.value(failed) == before.value(failed)
    assert after.value(good) > before.value(good)


def test_the_requests_of_a_fire_drill_are_counted_as_such(host: Host) -> None:
    drilled = 'nginx_http_requests_total{method="drill",status="502"}'
    ask = "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.3/.well-known/airworthy/fire/errors/1"
    before = scrape(host, PORTS["nginx"]).value(drilled)
    assert host.check_output(ask) == "502"
    until(host, "nginx", lambda seen: seen.value(drilled) == before + 1)


def test_the_log_may_be_rotated(host: Host) -> None:
    redirected = 'nginx_http_requests_total{method="other",status="308"}'
    before = once_counted(host).value(redirected)
    writes_to = "ls -l $(pgrep -x nginx | sed 's,.*,/proc/&/fd,') | grep --quiet '/nginx/{}$'"
    assert host.run(writes_to.format("access.log")).rc == 0
    host.check_output("logrotate --force /etc/logrotate.d/nginx")
    eventually(lambda: host.run(writes_to.format("access.log.1")).rc == 1, 30, pause=0.2)
    host.check_output(f"curl -s -o /dev/null -X ROTATED -H 'Host: {domain(host)}' http://localhost/")
    until(host, "nginx", lambda seen: seen.value(redirected) == before + 1)


def test_the_databases_figures_are_those_of_the_queries(host: Host) -> None:
    """The exporter's own ones have other names in each release, and more series than anybody counts."""
    queries = yaml.safe_load(host.file("/etc/airworthy/database_exporter/queries.yml").content_string)
    promised = {
        f"{name}_{column}"
        for name, query in queries.items()
        for metric in query["metrics"]
        for column, meaning in metric.items()
        if meaning["usage"] != "LABEL"
    }
    told = {name for name in scrape(host, PORTS["postgres"]).names if name.startswith("pg_")}
    own = {name for name in told if name == "pg_up" or name.startswith("pg_exporter_")}
    assert told - own <= promised
    missing = {name for name in promised - told if not name.startswith("pg_replication_slots_")}
    assert not missing


def test_who_waits_for_whom_is_told(host: Host) -> None:
    """One session holds a lock until it is told to stop, and another one wants it."""
    postgres = '{server="localhost:5432"}'
    waiting, longest, oldest = (
        f"pg_transactions_{name}{postgres}"
        for name in ("waiting_for_lock", "longest_lock_wait_seconds", "oldest_seconds")
    )
    psql = "runuser -u postgres -- psql -qd app -c 'SELECT pg_advisory_lock(4711){}' >/dev/null 2>&1 &"
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND granted"
    host.check_output(psql.format(", pg_sleep(100)"))
    eventually(lambda: host.check_output(f'runuser -u postgres -- psql -Atd app -c "{held}"') == "1", pause=0.2)
    host.check_output(psql.format(""))
    try:
        during = until(host, "postgres", lambda seen: seen.value(waiting) == 1 and seen.value(longest) > 1)
        assert during.value(longest) < during.value(oldest) < 100
        assert during.value('pg_stat_activity_count{datname="app",server="localhost:5432",state="active"}') == 2
    finally:
        cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_advisory_lock%'"
        host.check_output(f'runuser -u postgres -- psql -qd app -c "{cancel}"')
    until(host, "postgres", lambda seen: seen.value(waiting) == 0)


def test_a_client_of_the_pooler_is_told_of(host: Host) -> None:
    client = "set -a; . /etc/airworthy/pooler_exporter/environment; PGDATABASE=app psql -qc 'SELECT pg_sleep(5)'"
    active = 'pgbouncer_pools_client_active_connections{database="app",user="exporter"}'
    host.check_output(f"({client}) >/dev/null 2>&1 &")
    until(host, "pgbouncer", lambda seen: seen.value(active) == 1)
    until(host, "pgbouncer", lambda seen: seen.value(active) == 0)


def test_each_instance_of_the_application_is_asked_by_its_own_path(host: Host) -> None:
    for port in (3000, 3001):
        pid = host.check_output(f"systemctl show -P MainPID app@{port}.service")
        started = host.check_output(f"date -d \"$(ps -o lstart= -p {pid})\" +%s")
        told = scrape(host, PORTS["app"], f"/metrics/{port}")
        assert abs(told.value("process_start_time_seconds") - float(started)) < 5
        assert told.value("process_resident_memory_bytes") > 10_000_000


def test_of_the_applications_port_nothing_else_is_behind_it(host: Host) -> None:
    """Neither its pages nor an instance that is not there, and no way to write."""
    password = (ROOT / "molecule/inventory/.secrets/exporters").read_text().strip()
    curl = f"curl -s -K - -o /dev/null -w '%{{http_code}}' --cacert {CA}"
    ask = f"printf 'user = \"prometheus:%s\"\\n' '{password}' | {curl}"
    for path, status in (("/", "404"), ("/metrics", "404"), ("/metrics/3002", "404"), ("/metrics/3000/healthz", "404")):
        assert host.check_output(f"{ask} https://localhost:{PORTS['app']}{path}") == status
    assert host.check_output(f"{ask} -X POST https://localhost:{PORTS['app']}/metrics/3000") == "403"


def test_pending_updates_are_those_of_apt(host: Host) -> None:
    host.check_output("systemctl start airworthy-updates.service")
    listed = host.check_output("apt list --upgradable 2>/dev/null | grep -c upgradable || :")
    node = scrape(host, PORTS["node"])
    counted = sum(node.value(f'airworthy_updates_pending{{kind="{kind}"}}') for kind in ("security", "other"))
    assert counted == float(listed)
    assert node.value("airworthy_updates_lists_timestamp_seconds") > 0
    assert host.check_output("apt-config dump --format '%v' APT::Periodic::Update-Package-Lists") == "1"
    assert host.service("apt-daily.timer").is_running


def test_a_unit_that_fails_is_told_of(host: Host) -> None:
    failed = 'node_systemd_units{state="failed"}'
    before = scrape(host, PORTS["node"]).value(failed)
    host.run("systemd-run --unit=airworthy-fails-once --wait -- false")
    try:
        after = scrape(host, PORTS["node"])
        assert after.value(failed) == before + 1
        named = 'node_systemd_unit_state{name="airworthy-fails-once.service",state="failed"'
        assert [line[-1] for line in after.lines if line.startswith(named)] == ["1"]
    finally:
        host.check_output("systemctl reset-failed airworthy-fails-once")


def test_of_a_service_with_a_limit_its_memory_is_told(host: Host) -> None:
    node, most = scrape(host, PORTS["node"]), host.check_output("systemctl show --property=MemoryMax --value mtail")
    assert node.value('airworthy_unit_memory_limit_bytes{unit="mtail"}') == float(most)
    assert 1 << 20 < node.value('airworthy_unit_memory_bytes{unit="mtail"}') < float(most)


def test_figures_of_ones_own_have_a_place(host: Host) -> None:
    assert host.file("/var/lib/prometheus/node-exporter").is_directory
