# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rules about the edge. See rules.py for what a rule is."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from . import ranges, shapes

Values = Mapping[str, Any]

MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]*")
YEAR = 31_536_000

# Content Security Policy Level 3 with its companions, without what browsers have given up.
DIRECTIVES = {
    "base-uri",
    "child-src",
    "connect-src",
    "default-src",
    "font-src",
    "form-action",
    "frame-ancestors",
    "frame-src",
    "img-src",
    "manifest-src",
    "media-src",
    "object-src",
    "require-trusted-types-for",
    "sandbox",
    "script-src",
    "script-src-attr",
    "script-src-elem",
    "style-src",
    "style-src-attr",
    "style-src-elem",
    "trusted-types",
    "upgrade-insecure-requests",
    "worker-src",
}
# What a browser would take for a host name without its quotes.
KEYWORDS = re.compile(
    r"none|self|nonce|nonce-.*|sha(?:256|384|512)-.*|strict-dynamic|unsafe-(?:inline|eval|hashes)|wasm-unsafe-eval|report-sample"
)
WITHOUT_QUOTES = {"sandbox", "trusted-types"}


def policies_are_understood(values: Values) -> Iterator[str]:
    """A browser that does not understand a directive ignores it, and protects nobody."""
    for variable in ("nginx_content_security_policy", "nginx_content_security_policy_report_only"):
        for name, sources in (values.get(variable) or {}).items():
            if name not in DIRECTIVES:
                near = difflib.get_close_matches(str(name), DIRECTIVES, 1)
                hint = f"did you mean {near[0]}?" if near else f"write one of {', '.join(sorted(DIRECTIVES))}"
                yield f"{variable} has {name!r}, which is no directive; {hint}"
            elif not isinstance(sources, list | bool):
                yield f"{variable}.{name} is {sources!r}; write a list of sources, or true where there are none"
            elif isinstance(sources, list):
                for source in sources:
                    if wrong := _wrong_source(name, str(source), sources):
                        yield f"{variable}.{name} has {str(source)!r}; {wrong}"


def _wrong_source(directive: str, source: str, sources: list[Any]) -> str | None:
    if not re.fullmatch(r"[!#%&'()*+./0-9:=?@A-Z_a-z~-]+", source):
        return "write one source in each place of the list, without blanks, commas and semicolons"
    if directive not in WITHOUT_QUOTES and KEYWORDS.fullmatch(source):
        return f"""it needs quotes of its own: write "'{source}'" """.rstrip()
    if source == "'none'" and len(sources) > 1:
        return "'none' stands alone: leave it out, or all the others"
    return None


def policies_stand_in_one_place(values: Values) -> Iterator[str]:
    """The header would be there twice, or without what the other variable says."""
    for name in values.get("nginx_security_headers") or {}:
        if name.lower() in ("content-security-policy", "content-security-policy-report-only"):
            variable = f"nginx_{name.lower().replace('-', '_')}"
            yield f"nginx_security_headers has {name!r}; write {variable}, by directives"


def reports_go_somewhere(values: Values) -> Iterator[str]:
    target = values.get("nginx_report_to")
    if target and not re.fullmatch(r"(?:https://[a-z0-9.-]+(?::[0-9]+)?)?/[\w./~%+-]*", target):
        yield f"nginx_report_to is {target!r}; write a path, as in /api/csp-reports, or a URL with https"
    if values.get("nginx_content_security_policy_report_only") and target == "":
        yield "nginx_content_security_policy_report_only is set without nginx_report_to; write where browsers report"


def preload_is_accepted(values: Values) -> Iterator[str]:
    """The list of the browsers takes nothing else: https://hstspreload.org."""
    if not values.get("nginx_hsts_preload"):
        return
    if values.get("nginx_hsts_include_subdomains") is False:
        yield "nginx_hsts_preload is true without nginx_hsts_include_subdomains; write true for both, or false"
    if (age := values.get("nginx_hsts_max_age")) is not None and age < YEAR:
        yield f"nginx_hsts_max_age is {age}, and nginx_hsts_preload needs a year; write {YEAR} or more"


def credentials_have_origins(values: Values) -> Iterator[str]:
    """Cookies for nobody: the list of origins was forgotten."""
    if values.get("nginx_cors_allow_credentials") and values.get("nginx_cors_allowed_origins") == []:
        yield "nginx_cors_allow_credentials is true without nginx_cors_allowed_origins; list origins, or write false"


def prefixes_lead_one_way(values: Values) -> Iterator[str]:
    """The web server refuses a path that is static and limited at once."""
    for name in ("nginx_api_prefixes", "nginx_auth_prefixes"):
        for prefix in set(values.get(name) or ()) & set(values.get("nginx_static_prefixes") or ()):
            yield f"{name} has {prefix!r}, and so has nginx_static_prefixes; write it in one of them"


def sign_in_is_counted(values: Values) -> Iterator[str]:
    """The audit tries to sign in where the attempts are said to be counted."""
    path, prefixes = values.get("nginx_probe_auth"), values.get("nginx_auth_prefixes")
    if path and prefixes is not None and not path.startswith(tuple(prefixes)):
        yield f"nginx_probe_auth is {path!r}, which is below none of nginx_auth_prefixes; add its prefix"


def cookies_are_of_one_kind(values: Values) -> Iterator[str]:
    """Of two lines for a cookie the web server takes the first."""
    for cookie in set(values.get("nginx_strict_cookies") or ()) & set(values.get("nginx_readable_cookies") or ()):
        yield f"nginx_strict_cookies has {cookie!r}, and so has nginx_readable_cookies; write it in one of them"


def closed_origin_has_proxies(values: Values) -> Iterator[str]:
    """It would serve nobody."""
    if values.get("nginx_origin_closed") and values.get("nginx_trusted_proxies") == []:
        yield "nginx_origin_closed is true without nginx_trusted_proxies; list the proxies, or write false"


def locations_are_understood(values: Values) -> Iterator[str]:
    """What stands in an entry becomes a location of the web server."""
    entries = values.get("nginx_locations") or []
    counts = Counter(entry.get("path") for entry in entries)
    yield from (f"nginx_locations has {path!r} {times} times; write one" for path, times in counts.items() if times > 1)
    for number, entry in enumerate(entries):
        yield from (f"nginx_locations[{number}].{wrong}" for wrong in _wrong_in(entry, values))


def _wrong_in(entry: Mapping[str, Any], values: Values) -> Iterator[str]:
    path = entry.get("path")
    if path is not None and path != "/" and (wrong := shapes.path_prefix(path)):
        yield f"path is {path!r}; {wrong}"
    for name in ("max_body_mb", "client_timeout", "upstream_timeout", "cache_seconds", "rate_per_second", "rate_burst"):
        value = entry.get(name)
        if isinstance(value, int) and (wrong := ranges.error(f"nginx_locations.{name}", value)):
            yield wrong.removeprefix("nginx_locations.")
    if entry.get("methods") == []:
        yield "methods is empty, so nothing would be served; list some, or leave it out"
    if entry.get("content_types") == []:
        yield "content_types is empty; list some, as in [application/json], or leave it out"
    for text in entry.get("content_types") or []:
        if not MEDIA_TYPE.fullmatch(text):
            yield f"content_types has {text!r}; write a media type without parameters, as in application/json"
    if entry.get("rate_burst") and not entry.get("rate_per_second"):
        yield "rate_burst is set without rate_per_second; write both"
    if entry.get("cache_seconds"):
        yield from (f"cache_seconds is set {wrong}" for wrong in _wrong_to_keep(str(path), values))
    for text in (entry.get("cors") or {}).get("allowed_origins") or []:
        if wrong := shapes.allowed_origin(text):
            yield f"cors.allowed_origins has {text!r}; {wrong}"
    for text in (entry.get("cors") or {}).get("allowed_headers") or []:
        if wrong := shapes.token(text):
            yield f"cors.allowed_headers has {text!r}; {wrong}"


def _wrong_to_keep(path: str, values: Values) -> Iterator[str]:
    if any(path.startswith(prefix) for prefix in values.get("nginx_auth_prefixes") or ()):
        yield "where one signs in; no answer there is for everybody, so leave it out"
    policies = [values.get("nginx_content_security_policy"), values.get("nginx_content_security_policy_report_only")]
    if "'nonce'" in str(policies).replace('"', ""):
        yield "with a nonce in the policy; a page that is kept would have an old one, so leave one of them out"


def load_can_pass(values: Values) -> Iterator[str]:
    """Spread over so many seconds, the requests would be too few for the throughput that is wanted."""
    requests, seconds = values.get("nginx_load_requests"), values.get("nginx_load_seconds")
    wanted = values.get("nginx_load_minimum_throughput")
    if requests and seconds and wanted is not None and requests / seconds <= wanted:
        yield (
            f"nginx_load_requests is {requests} in nginx_load_seconds of {seconds}, which never are more than "
            f"{wanted:g} a second (nginx_load_minimum_throughput); write more requests than {wanted * seconds:g}"
        )


RULES = (
    policies_are_understood,
    policies_stand_in_one_place,
    reports_go_somewhere,
    preload_is_accepted,
    credentials_have_origins,
    prefixes_lead_one_way,
    sign_in_is_counted,
    cookies_are_of_one_kind,
    closed_origin_has_proxies,
    locations_are_understood,
    load_can_pass,
)
