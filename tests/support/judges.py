"""What others say of an edge: testssl.sh, MDN's HTTP Observatory, and gixy.

The first two look from outside, from a container that has them; gixy reads what `nginx -T` prints.
"""

from __future__ import annotations

import fcntl
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LAB = ROOT / "lab/bin"
IMAGE = "localhost/airworthy-judges"

# A testssl.sh that could not do its work exits with one of these; the others count what it found.
TESTSSL_BROKE_OFF = 242
# Severities of testssl.sh that are not a finding.
TESTSSL_GOOD = {"OK", "INFO"}
# testssl.sh tries whether a session resumes, may hang up before it has its ticket, and then warns.
TESTSSL_RACES = {"sessionresumption_ticket", "sessionresumption_ID"}
# What testssl.sh finds at every certificate of an internal CA, which publishes no revocations.
OF_AN_INTERNAL_CA = {"cert_revocation"}

# gixy says nothing, and ends with 0, where it cannot read on. So it is asked again with a mistake at the very end.
CANARY = "\nlocation /canary { alias /srv/; }\n"


@dataclass(frozen=True)
class Edge:
    domain: str
    address: str
    ca_file: Path | None = None  # of an internal CA


@dataclass(frozen=True)
class Verdict:
    findings: tuple[str, ...]
    grade: str | None = None  # gixy gives none
    score: int = 0

    @property
    def content(self) -> bool:
        return not self.findings and self.grade in {None, "A+"}

    def __str__(self) -> str:
        grade = "" if self.grade is None else f"{self.grade or 'no grade'} ({self.score} points), "
        return "\n    ".join([f"{grade}{len(self.findings)} findings", *self.findings])


def prepare() -> None:
    """Build the container's image, once for all who ask at the same time; it takes a second when it is there."""
    build = ["build", "--quiet", "--network", "host", "--tag", IMAGE, ROOT / "tests/judges"]
    with (ROOT / "tests/judges/Containerfile").open() as recipe:
        fcntl.flock(recipe, fcntl.LOCK_EX)
        subprocess.run([LAB / "debian-image", "trixie"], check=True)
        subprocess.run([LAB / "podman", *build], check=True, stdout=subprocess.DEVNULL)


def testssl(edge: Edge, *only: str) -> Verdict:
    """All that counts for the grade, or only what the options say."""
    options = ["--nodns", "none", "--ip", edge.address, *(["--add-ca", "/ca.crt"] if edge.ca_file else [])]
    sections = only or ("-p", "-s", "-f", "-P", "-S", "-h", "-U", "-g")
    script = f'testssl --quiet --jsonfile-pretty /tmp/seen "$@" >&2 || [ $? -lt {TESTSSL_BROKE_OFF} ]; cat /tmp/seen'
    output = _look(edge, "sh", "-euc", script, "-", *options, *sections, edge.domain)
    return read_testssl(output, internal_ca=edge.ca_file is not None)


def read_testssl(output: str, internal_ca: bool) -> Verdict:
    [scan] = json.loads(output)["scanResult"]
    entries = [entry for section in scan.values() if isinstance(section, list) for entry in section]
    said = {entry["id"]: entry["finding"] for entry in entries}
    ignored = TESTSSL_RACES | (OF_AN_INTERNAL_CA if internal_ca else set())
    findings = (
        f"{entry['severity']} {entry['id']}: {entry['finding']}"
        for entry in entries
        if entry["severity"] not in TESTSSL_GOOD and entry["id"] not in ignored
    )
    return Verdict(tuple(findings), said.get("overall_grade", ""), int(said.get("final_score", 0)))


def observatory(edge: Edge) -> Verdict:
    scan = "node_modules/@mdn/mdn-http-observatory/src/scan.js"
    return read_observatory(_look(edge, "node", scan, edge.domain))


def read_observatory(output: str) -> Verdict:
    seen = json.loads(output)
    findings = (f"{name}: {test['result']}" for name, test in seen["tests"].items() if not test["pass"])
    return Verdict(tuple(findings), seen["scan"]["grade"], seen["scan"]["score"])


def gixy(configuration: str) -> Verdict:
    seen = _lint(configuration)
    if "# configuration file " not in configuration or _lint(configuration + CANARY) == seen:
        raise ValueError("gixy could not read the configuration to its end; is it what `nginx -T` printed?")
    return Verdict(tuple(f"{it['severity']} {it['plugin']}: {it['summary']} ({it['file']})" for it in seen))


def _lint(configuration: str) -> list[dict[str, Any]]:
    done = subprocess.run(["gixy", "-f", "json", "-"], input=configuration, capture_output=True, text=True)
    return json.loads(done.stdout)


def _look(edge: Edge, *command: str) -> str:
    run = [LAB / "podman", "run", "--rm", "--timeout", "900", "--network", "host"]
    run += ["--add-host", f"{edge.domain}:{edge.address}"]
    if edge.ca_file:
        run += ["--volume", f"{edge.ca_file.resolve()}:/ca.crt:ro", "--env", "NODE_EXTRA_CA_CERTS=/ca.crt"]
    run += [IMAGE, *command]
    done = subprocess.run(run, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]} in {IMAGE} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout
