"""A token is on the client's socket before the next one is read from the backend."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from appserver.testing import Gate, Message, Stream, stalled
from appserver.testing.signals import WAIT_SECONDS
from tests.gateway.rig import RESPONSES

if TYPE_CHECKING:
    from tests.gateway.rig import Running

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"
REQUESTS = [
    (RESPONSES, {"model": "m", "input": "Hi", "stream": True}),
    (CHAT, {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}),
]


@pytest.mark.parametrize(("path", "request_"), REQUESTS)
async def test_each_token_reaches_the_client_while_the_backend_has_not_sent_the_next(
    api: Running, path: str, request_: dict[str, Any]
) -> None:
    gate, seen = Gate(), list[str]()
    api.backend.script(Stream((Message(("Hel", "lo")),), hold_after=1, gate=gate))
    with anyio.fail_after(WAIT_SECONDS):
        async with api.http.stream("POST", path, json=request_) as answer:
            async for line in answer.aiter_lines():
                seen.append(line)
                if '"Hel"' in line:
                    gate.release()
    assert '"lo"' in "".join(seen)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no list of open descriptors")
@pytest.mark.parametrize(("path", "request_"), REQUESTS)
async def test_a_write_does_not_wait_for_the_client_to_acknowledge_the_one_before(
    api: Running, path: str, request_: dict[str, Any]
) -> None:
    gate = Gate()
    api.backend.script(stalled(gate, "Hel"))
    async with api.http.stream("POST", path, json=request_) as answer:
        await gate.reached.wait()
        client: Any = answer.extensions["network_stream"]
        with gateways_end(client.get_extra_info("client_addr")) as connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        gate.release()


def gateways_end(client: tuple[str, int]) -> socket.socket:
    """Return the socket of this process's gateway that is connected to a client's address."""
    for descriptor in map(int, os.listdir("/dev/fd")):
        with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as found:  # no socket, or not connected
            if found.getpeername() == client:
                return found.dup()
    raise AssertionError("the gateway is not connected to this client")
