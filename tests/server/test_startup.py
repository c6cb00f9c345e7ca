"""What is answered without an event loop, and what is imported ahead of its use."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import pytest

from appserver.server import startup
from appserver.server.serve import Server
from appserver.server.startup import answer_first_lines
from appserver.settings import Settings
from appserver.transport.base import TransportClosed
from appserver.transport.stdio import Stdio
from tests.e2e.run import HELLO, decoded, lines

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.transport.framing import Line

HANDSHAKE = {"id": 1, "method": "initialize", "params": {"clientInfo": {"name": "tests", "version": "1"}}}


@pytest.mark.skipif(sys.platform == "win32", reason="pipes have no readiness there")
@pytest.mark.parametrize("missing", ["anyio._backends._renamed", "there_is_no_such_library"])
def test_a_module_that_cannot_be_imported_ahead_costs_no_answer(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(startup, "AHEAD_OF_USE", (missing, "anyio"))
    read_fd, to_server = os.pipe()
    from_server, write_fd = os.pipe()
    try:
        os.write(to_server, lines(HELLO))
        stdio = Stdio(read_fd, write_fd, max_line_bytes=65536)
        assert answer_first_lines(Server(Settings(home=str(tmp_path))).connection(), stdio), "there is more to come"
        (answer,) = decoded(os.read(from_server, 65536))
        assert answer["id"] == 0
    finally:
        for fd in (read_fd, to_server, from_server, write_fd):
            os.close(fd)


class Pipes:
    """In place of standard input and output: everything comes in one read; `broken`: nobody reads what is sent."""

    def __init__(self, *messages: object, broken: bool = False) -> None:
        self.sent: list[dict[str, object]] = []
        self._reads: list[list[Line] | None] = [[json.dumps(one).encode() for one in messages], None]
        self._broken = broken

    def input_comes(self, within: float) -> bool:
        return True

    def receive_blocking(self) -> list[Line] | None:
        return self._reads.pop(0)

    def send_blocking(self, data: bytes) -> None:
        if self._broken:
            raise TransportClosed
        self.sent += map(json.loads, data.splitlines())


def test_what_needs_no_waiting_is_answered_before_there_is_an_event_loop(tmp_path: Path) -> None:
    connection = Server(Settings(str(tmp_path))).connection()
    stdio = Pipes(HANDSHAKE, {"id": 2, "method": "account/read", "params": {"refreshToken": False}})
    assert not answer_first_lines(connection, stdio)  # the client is done
    assert [one["id"] for one in stdio.sent] == [1, 2]
    assert stdio.sent[1]["result"] == {"account": None, "requiresOpenaiAuth": True}


@pytest.mark.parametrize(
    "request_",
    [{"id": 2, "method": "account/rateLimits/read"}, [{"id": 2, "method": "account/read"}]],
    ids=["request", "batch"],
)
def test_what_waits_makes_the_event_loop_take_over(request_: object, tmp_path: Path) -> None:
    connection = Server(Settings(str(tmp_path))).connection()
    stdio = Pipes(HANDSHAKE, request_)
    assert answer_first_lines(connection, stdio)
    assert [one["id"] for one in stdio.sent] == [1]
    connection.dispatcher.close()


def test_what_waits_is_given_up_if_the_parent_has_gone(tmp_path: Path) -> None:
    connection = Server(Settings(str(tmp_path))).connection()
    stdio = Pipes(HANDSHAKE, {"id": 2, "method": "account/rateLimits/read"}, broken=True)
    with pytest.raises(TransportClosed):
        answer_first_lines(connection, stdio)
    assert connection.tasks.waiting  # and Python does not warn of a coroutine that was never awaited
