"""Faults of the backend, as a client sees them: retries, and the names of failures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from appserver import log
from appserver.llm import retry
from appserver.testing import (
    Reply,
    Stream,
    cut,
    error_event,
    failed,
    function_call,
    http_error,
    message,
    text,
    usage_limit,
)
from protocol.base import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory
    from tests.peer import Peer

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def retries_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.0)


@pytest.fixture
def retrying(home: Path, backend: FakeBackend, server: ServerFactory) -> ServerFactory:
    """A server that asks twice again, of each kind."""
    backend.write_config(home, provider={"request_max_retries": 2, "stream_max_retries": 2})
    return server


async def run(peer: Peer, backend: FakeBackend, **params: object) -> dict[str, Any]:
    await peer.login_with_tokens(backend.grant().access_token)
    return await peer.turn(await peer.start_thread(**params))


def errors(peer: Peer) -> list[dict[str, Any]]:
    return [note["params"] for note in peer.notifications if note["method"] == "error"]


FAILURES = [
    (http_error(500), "internalServerError"),
    (http_error(503), {"httpConnectionFailed": {"httpStatusCode": 503}}),
    (http_error(403), {"httpConnectionFailed": {"httpStatusCode": 403}}),
    (http_error(400, {"error": {"message": "bad", "code": "invalid_prompt"}}), "other"),
    (http_error(400, {"error": {"message": "long", "code": "context_length_exceeded"}}), "contextWindowExceeded"),
    (http_error(429), "rateLimitExceeded"),
    (usage_limit(), "usageLimitExceeded"),
    (failed("context_length_exceeded"), "contextWindowExceeded"),
    (failed("insufficient_quota"), "usageLimitExceeded"),
    (failed("rate_limit_exceeded"), "rateLimitExceeded"),
    (failed("server_is_overloaded"), "serverOverloaded"),
    (error_event("slow_down"), "serverOverloaded"),
    (cut("Hel"), {"responseStreamDisconnected": {"httpStatusCode": None}}),
    (Stream(unfinished=True), {"responseStreamDisconnected": {"httpStatusCode": None}}),
]


@pytest.mark.parametrize(("reply", "info"), FAILURES)
async def test_a_failure_has_its_name_and_ends_the_turn_once(
    server: ServerFactory, backend: FakeBackend, reply: Reply, info: object
) -> None:
    backend.script(reply)
    async with server() as peer:
        turn = await run(peer, backend)
        assert (turn["status"], turn["error"]["codexErrorInfo"]) == ("failed", info)
        assert [error["willRetry"] for error in errors(peer)] == [False]
        assert peer.methods.count("turn/completed") == 1
        assert (await peer.turn(await peer.start_thread()))["status"] == "completed"


async def test_a_refused_connection_fails_the_turn(home: Path, server: ServerFactory, backend: FakeBackend) -> None:
    backend.write_config(home, provider={"base_url": "http://127.0.0.1:1/v1"})
    async with server() as peer:
        turn = await run(peer, backend)
        assert turn["error"]["codexErrorInfo"] == {"responseStreamConnectionFailed": {"httpStatusCode": None}}


async def test_a_usage_limit_tells_when_it_resets_and_is_not_retried(
    retrying: ServerFactory, backend: FakeBackend
) -> None:
    backend.script(usage_limit(resets_at=1_893_456_000))
    async with retrying() as peer:
        turn = await run(peer, backend)
        assert turn["error"]["resetsAt"] == 1_893_456_000
        assert len(backend.requests.to("/v1/responses")) == 1


RECOVERABLE = [http_error(500), http_error(503), http_error(429), failed("server_is_overloaded"), cut("Hel")]


@pytest.mark.parametrize("reply", RECOVERABLE)
async def test_what_a_retry_can_help_is_retried_and_told(
    retrying: ServerFactory, backend: FakeBackend, reply: Reply
) -> None:
    backend.script(reply, reply, text("Hello"))
    async with retrying() as peer:
        turn = await run(peer, backend)
        assert (turn["status"], turn["items"][0]["text"]) == ("completed", "Hello")
        assert [error["willRetry"] for error in errors(peer)] == [True, True]
        assert [error["error"]["message"] for error in errors(peer)] == ["Reconnecting... 1/2", "Reconnecting... 2/2"]


async def test_retries_end(retrying: ServerFactory, backend: FakeBackend) -> None:
    backend.script(*[cut("Hel")] * 5)
    async with retrying() as peer:
        turn = await run(peer, backend)
        assert turn["status"] == "failed"
        assert [error["willRetry"] for error in errors(peer)] == [True, True, False]
        assert backend.model.unplayed == 2


async def test_a_cut_stream_does_not_repeat_finished_work(retrying: ServerFactory, backend: FakeBackend) -> None:
    tool = {"type": "function", "name": "pay", "description": "d", "inputSchema": {}}
    items = (message("First I pay. "), function_call("pay", {}), message("Then I"))
    backend.script(Stream(items, cut_after=3), text("Paid."))
    async with retrying() as peer:
        peer.responders["item/tool/call"] = lambda _: {
            "result": {"contentItems": [{"type": "inputText", "text": "paid"}], "success": True}
        }
        turn = await run(peer, backend, dynamicTools=[tool])
        assert turn["items"][0]["text"] == "Paid."
        assert len(peer.requests) == 1
        history = backend.requests.to("/v1/responses")[1].json()["input"]
        kinds = [item["type"] for item in history]
        assert kinds == ["message", "message", "function_call", "function_call_output"]


async def test_a_stream_that_is_silent_for_too_long_was_cut(
    home: Path, server: ServerFactory, backend: FakeBackend
) -> None:
    settings = {"stream_idle_timeout_ms": 50, "stream_max_retries": 1, "request_max_retries": 1}
    backend.write_config(home, provider=settings)
    gate = backend.model.hold_next()
    backend.script(text("Hello"))
    async with server() as peer:
        turn = await run(peer, backend)
        assert turn["status"] == "completed"
        assert "no answer in time" in errors(peer)[0]["error"]["additionalDetails"]
        gate.release()


async def test_a_retry_waits_for_no_longer_than_the_bound(retrying: ServerFactory, backend: FakeBackend) -> None:
    backend.script(http_error(503, headers={"retry-after": "3600"}))
    async with retrying() as peer:
        turn = await run(peer, backend)
        assert turn["status"] == "failed"
        assert [error["willRetry"] for error in errors(peer)] == [False]


async def test_a_key_that_was_stored_long_ago_is_not_repeated(server: ServerFactory, backend: FakeBackend) -> None:
    key = "gateway/key+of=no.known.shape"
    backend.script(text("Hello"), http_error(400, {"error": {"message": f"Incorrect API key provided: {key}"}}))
    async with server() as peer:
        await peer.result("account/login/start", {"type": "apiKey", "apiKey": key})
        thread = await peer.start_thread()
        await peer.turn(thread)
        others = log.HiddenSecrets()
        for number in range(2 * log.MAX_HIDDEN):
            others.hide(Secret(f"another-secret-{number}"))
        turn = await peer.turn(thread)
    assert turn["error"]["message"].endswith("Incorrect API key provided: ***")
