"""Many requests about threads at once: what needs only the store is not refused as overload."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from appserver.rpc.in_flight import MAX_IN_FLIGHT

if TYPE_CHECKING:
    from tests.conftest import ServerFactory

pytestmark = pytest.mark.anyio

MANY = 3 * MAX_IN_FLIGHT


@pytest.mark.parametrize("batch", [False, True])
async def test_a_client_may_send_many_requests_without_waiting_for_answers(server: ServerFactory, batch: bool) -> None:
    async with server() as peer:
        thread = await peer.start_thread()
        requests = [
            {"id": f"r{number}", "method": "thread/read", "params": {"threadId": thread}} for number in range(MANY)
        ]
        if batch:
            await peer.send(requests)
        else:
            await peer.send_raw(b"".join(json.dumps(one).encode() + b"\n" for one in requests))
        await peer.until(lambda: sum(str(one.get("id", "")).startswith("r") for one in peer.messages) == MANY)
        assert not [one for one in peer.messages if "error" in one]
