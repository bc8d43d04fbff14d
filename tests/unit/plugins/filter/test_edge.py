"""What holds at each path of the edge, whom it lets call it, and the policies that it hands out."""

from __future__ import annotations

import ipaddress
import re

import pytest
from ansible_collections.airworthy.stack.plugins.filter import edge
from ansible_collections.airworthy.stack.plugins.plugin_utils.cdn import NETWORKS

LISTS = {"api": ["/api/"], "auth": ["/api/auth/"], "static": ["/static/"], "burst": 100}


def test_without_entries_the_prefixes_say_it_all() -> None:
    root, api, auth, static = edge.edge_locations([], **LISTS)
    assert [each["path"] for each in (root, api, auth, static)] == ["/", "/api/", "/api/auth/", "/static/"]
    assert [bool(each["limit"]) for each in (root, api, auth, static)] == [False, True, True, False]
    assert [each["counted"] for each in (root, api, auth, static)] == [False, False, True, False]
    assert [each["static"] for each in (root, api, auth, static)] == [False, False, False, True]


def test_the_longest_path_counts_and_its_prefix_still_holds() -> None:
    entries = [{"path": "/api/", "max_body_mb": 1}, {"path": "/api/uploads/", "max_body_mb": 50, "methods": ["POST"]}]
    found = {each["path"]: each for each in edge.edge_locations(entries, **LISTS)}
    assert found["/api/auth/"]["max_body_mb"] == 1
    assert found["/api/uploads/"]["max_body_mb"] == 50
    assert found["/api/uploads/"]["limit"] == {"path": "/api/uploads/", "burst": 100, "probe_method": "POST"}
    assert "max_body_mb" not in found["/"]


def test_a_rate_of_its_own_has_a_zone_of_its_own() -> None:
    entries = [{"path": "/export/"}, {"path": "/search/", "rate_per_second": 2, "rate_burst": 5}]
    found = {each["path"]: each for each in edge.edge_locations(entries, **LISTS)}
    assert found["/export/"]["limit"] is None
    assert found["/search/"]["limit"]["burst"] == 5
    assert found["/search/"]["zone"] == "edge_api_2"
    assert found["/api/"]["zone"] == "edge_api"


def test_a_policy_of_its_own_leaves_the_others_alone() -> None:
    default = {"allowed_origins": ["https://a.example"], "max_age": 600}
    entries = [{"path": "/x/"}, {"path": "/embed/", "cors": {"allowed_origins": ["https://b.example"]}}]
    elsewhere, embed = edge.edge_cors(entries, default, "/")
    assert elsewhere == {"entries": [0, 1], "policy": {**default, "path": "/"}}
    assert embed["entries"] == [2]
    assert embed["policy"] == {"allowed_origins": ["https://b.example"], "max_age": 600, "path": "/embed/"}


@pytest.mark.parametrize(
    ("pattern", "origin", "allowed"),
    [
        ("https://app.example.org", "https://app.example.org", True),
        ("https://app.example.org", "https://app.example.org.evil.net", False),
        ("https://app.example.org", "https://appxexample.org", False),
        ("https://app.example.org", "https://app.example.org:8443", False),
        ("https://*.example.org", "https://a.example.org", True),
        ("https://*.example.org", "https://example.org", False),
        ("https://*.example.org", "https://.example.org", False),
        ("https://*.example.org", "https://a.b.example.org", False),
        ("https://*.example.org", "https://evil-example.org", False),
        ("https://*.example.org", "https://evil.net/.example.org", False),
        ("https://*.example.org", "https://evil.net#.example.org", False),
        ("https://*.example.org", "https://a.example.org.evil.net", False),
        ("https://*.example.org", "https://a.example.org\n", False),
        ("https://*.example.org", "http://a.example.org", False),
        ("https://pr-*.example.org:8443", "https://pr-7.example.org:8443", True),
        ("https://pr-*.example.org:8443", "https://pr-7.example.org", False),
        ("https://pr-*.example.org:8443", "https://xpr-7.example.org:8443", False),
    ],
)
def test_a_pattern_cannot_be_fooled(pattern: str, origin: str, allowed: bool) -> None:
    # PCRE's \z, the very end, is Python's \Z
    assert bool(re.match(edge.origin_regex(pattern).replace(r"\z", r"\Z"), origin)) is allowed


def test_a_policy_is_built_from_directives() -> None:
    defaults = {"default-src": ["'self'"], "object-src": ["'none'"], "upgrade-insecure-requests": True}
    assert edge.content_security_policy(defaults) == "default-src 'self'; object-src 'none'; upgrade-insecure-requests"
    changes = {"script-src": ["'nonce'", "'strict-dynamic'"], "object-src": [], "upgrade-insecure-requests": False}
    assert edge.content_security_policy(defaults, changes, report_to="/csp") == (
        "default-src 'self'; script-src 'nonce-$request_id' 'strict-dynamic'; report-uri /csp; report-to edge"
    )


def test_names_stand_for_networks() -> None:
    found = edge.proxy_networks(["10.0.0.9", "cloudflare"])
    assert found[0] == "10.0.0.9"
    assert "173.245.48.0/20" in found


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_each_network_is_one_and_none_overlaps(name: str) -> None:
    networks = [ipaddress.ip_network(network) for network in NETWORKS[name]]
    for number, network in enumerate(networks):
        assert not any(network.overlaps(other) for other in networks[number + 1 :] if other.version == network.version)
