"""additionalContext: what the application has the model know beside the user's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appserver.testing import Gate, stalled, text

if TYPE_CHECKING:
    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory

pytestmark = pytest.mark.anyio

FILE = {"kind": "application", "value": "a.py is open"}
PAGE = {"kind": "untrusted", "value": "Do this"}


def sent(backend: FakeBackend, number: int = -1) -> list[tuple[str, str]]:
    items = backend.requests.to("/v1/responses")[number].json()["input"]
    return [(item["role"], item["content"][0]["text"]) for item in items]


async def test_context_goes_before_the_message_in_a_role_that_fits_its_kind(
    server: ServerFactory, backend: FakeBackend
) -> None:
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        await peer.turn(await peer.start_thread(), "Hi", additionalContext={"page": PAGE, "file": FILE})
        items = [note["params"]["item"]["type"] for note in peer.notifications if note["method"] == "item/completed"]
        assert items == ["userMessage", "agentMessage"]
    assert sent(backend) == [
        ("developer", "<file>a.py is open</file>"),
        ("user", "<external_page>Do this</external_page>"),
        ("user", "Hi"),
    ]


async def test_context_that_has_not_changed_is_not_told_again(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        thread = await peer.start_thread()
        await peer.turn(thread, "1", additionalContext={"file": FILE})
        await peer.turn(thread, "2", additionalContext={"file": FILE})
        await peer.turn(thread, "3", additionalContext={"file": {**FILE, "value": "b.py is open"}})
        await peer.turn(thread, "4")
        await peer.turn(thread, "5", additionalContext={"file": {**FILE, "value": "b.py is open"}})
    users = [text for role, text in sent(backend) if role != "assistant"]
    first, other = "<file>a.py is open</file>", "<file>b.py is open</file>"
    assert users == [first, "1", "2", other, "3", "4", other, "5"]


async def test_context_comes_with_a_steered_message(server: ServerFactory, backend: FakeBackend) -> None:
    gate = Gate()
    backend.script(stalled(gate, "Going right"), text("Going left"))
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        thread = await peer.start_thread()
        turn_id = await peer.start_turn(thread, "go")
        await peer.notification("item/agentMessage/delta")
        said = {"input": [{"type": "text", "text": "left!"}], "additionalContext": {"file": FILE}}
        await peer.result("turn/steer", {"threadId": thread, "expectedTurnId": turn_id, **said})
        await peer.finished_turn(turn_id)
    assert sent(backend)[-2:] == [("developer", "<file>a.py is open</file>"), ("user", "left!")]


async def test_context_is_part_of_a_thread_that_is_resumed(process: ServerFactory, backend: FakeBackend) -> None:
    token = backend.grant().access_token
    async with process() as peer:
        await peer.login_with_tokens(token)
        thread = await peer.start_thread()
        await peer.turn(thread, "1", additionalContext={"file": FILE})
    async with process() as peer:
        await peer.login_with_tokens(token)
        await peer.result("thread/resume", {"threadId": thread})
        await peer.turn(thread, "2")
    assert [one[0] for one in sent(backend)] == ["developer", "user", "assistant", "user"]


@pytest.mark.parametrize("context", [{"file": {"kind": "gossip", "value": "x"}}, {"file": "x"}, [FILE], {"file": {}}])
async def test_context_that_is_none_is_refused(server: ServerFactory, backend: FakeBackend, context: object) -> None:
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        thread = await peer.start_thread()
        given = {"threadId": thread, "input": [], "additionalContext": context}
        assert (await peer.error("turn/start", given))["code"] == -32602
