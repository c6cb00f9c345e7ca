from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from appserver.rpc.in_flight import MAX_IN_FLIGHT
from tests.rpc.rig import BOUND, INLINE, WAITING, Rig, code, request

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio


@pytest.fixture
def full() -> Iterator[Rig]:
    """A server that takes no further request that waits."""
    rig = Rig()
    rig.feed(*[request(number, WAITING) for number in range(MAX_IN_FLIGHT)])
    assert rig.taken() == []
    yield rig
    rig.dispatcher.close()


def test_one_request_too_many_is_refused_and_told_when_to_come_back(full: Rig) -> None:
    answer = full.ask(request("more", WAITING))
    assert answer["id"] == "more"
    assert answer["error"] == {
        "code": -32001,
        "message": "Server overloaded; retry later.",
        "data": {"codex_error_info": "server_overloaded", "retryAfterMs": 250},
    }


def test_what_does_not_wait_is_never_refused_for_load(full: Rig) -> None:
    assert full.ask(request(1, INLINE))["result"] == {"read": {}}
    assert code(full.ask(request(2, "nonsense"))) == -32601


async def test_replies_still_find_who_waits_for_them(full: Rig) -> None:
    async with full.running():
        with anyio.fail_after(BOUND):
            async with anyio.create_task_group() as group:
                group.start_soon(ask_parent, full)
                sent = await full.wait(lambda one: one.get("method") == "account/chatgptAuthTokens/refresh")
                full.feed({"id": sent["id"], "result": {"accessToken": "t", "chatgptAccountId": "org-1"}})


async def ask_parent(rig: Rig) -> None:
    result = await rig.parent.request("account/chatgptAuthTokens/refresh", {}, timeout=BOUND)
    assert result["chatgptAccountId"] == "org-1"


async def test_once_there_is_room_requests_are_taken_again(full: Rig) -> None:
    async with full.running():
        full.gate.set()
        with anyio.fail_after(BOUND):
            await full.dispatcher.idle()
        full.feed(request("more", WAITING))
        assert "result" in await full.answer("more")
        answered = {one["id"] for one in full.sent if "result" in one}
    assert answered == {*range(MAX_IN_FLIGHT), "more"}
