"""Users ask as browsers do, go on until they are told to stop, and what becomes of each request is known."""

from __future__ import annotations

import itertools
import socket
import struct
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler

import pytest
from ansible_collections.airworthy.stack.plugins.module_utils.web_client import Target
from ansible_collections.airworthy.stack.plugins.module_utils.web_load import User, under_load
from tls_server import DOMAIN, Page, accepting, answering, serving


class Plain(Target):
    """Without TLS, which these tests are not about."""

    def open(self, secure: bool = False) -> socket.socket:
        return super().open(secure)


def plain(port: int) -> Target:
    return Plain(DOMAIN, "127.0.0.1", http_port=port, timeout=5)


@pytest.mark.parametrize("reset", [False, True])
def test_a_connection_that_was_closed_while_idle_is_made_anew(reset: bool) -> None:
    replies: Iterator[int] = itertools.count()

    def once(connection: socket.socket) -> None:
        next(replies)
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        if reset:  # the next request is already on its way
            connection.recv(4096)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with accepting(once) as port:
        user = User(plain(port))
        assert [user.ask("/").failure for _ in range(3)] == ["", "", ""]
    assert next(replies) == 3


def test_an_answer_that_is_an_error_has_its_status() -> None:
    with serving(answering(lambda _request: Page(401))) as port:
        outcome = User(plain(port)).ask("/")
    assert (outcome.status, outcome.failure) == (401, "status 401")


def test_users_ask_for_all_paths_until_the_block_ends() -> None:
    clients = set()

    def answer(request: BaseHTTPRequestHandler) -> Page:
        clients.add(request.headers["X-Airworthy-Probe"])
        return Page()

    with serving(answering(answer)) as port, under_load(replace(plain(port), probe_key="key"), ["/a", "/b"], 3) as load:
        load.wait_for_more(30, timeout=10)
    asked = len(load.requests)
    assert {request.path for request in load.requests} == {"/a", "/b"}
    assert {request.outcome.status for request in load.requests} == {200}
    assert len(clients) == asked >= 30, "each request is that of a new client"
    assert len(load.requests) == asked, "nobody asks any more"


def test_a_user_who_gets_no_answer_goes_on() -> None:
    def hang_up(connection: socket.socket) -> None:
        connection.recv(4096)

    with accepting(hang_up) as port, under_load(plain(port), ["/"], 2) as load:
        load.wait_for_more(6, timeout=10)
    assert all("closed connection" in request.outcome.failure for request in load.requests)


def test_a_server_that_says_nothing_is_not_waited_for_forever() -> None:
    with accepting(lambda connection: connection.settimeout(None)) as port:
        target = Plain(DOMAIN, "127.0.0.1", http_port=port, timeout=0.3)
        with under_load(target, ["/"], 2) as load, pytest.raises(TimeoutError, match="of 1000 requests had no outcome"):
            load.wait_for_more(1000, timeout=0.1)
