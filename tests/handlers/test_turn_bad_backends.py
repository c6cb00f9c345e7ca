"""Backends that answer badly on purpose: each turn ends, once, and no client is told a library's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from appserver import http as stack
from appserver.llm import retry, sse
from appserver.settings import load_settings
from tests.peer import in_memory
from tests.wire import answering, chunked, head

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend

pytestmark = pytest.mark.anyio

IDLE_MS = 50
STREAM = head("content-type: text/event-stream", "transfer-encoding: chunked")


@pytest.fixture(autouse=True)
def bounds_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.0)
    monkeypatch.setattr(stack, "ERROR_BODY_SECONDS", IDLE_MS / 1000)


async def run(home: Path, backend: FakeBackend, url: str, **provider: object) -> tuple[dict[str, Any], list[bool]]:
    """Run a turn against the backend at this URL; return its error, and of each error told whether a retry follows."""
    keys = {"base_url": url, "stream_idle_timeout_ms": IDLE_MS, "request_max_retries": 1, "stream_max_retries": 1}
    backend.write_config(home, provider={**keys, "requires_openai_auth": False, **provider})
    async with in_memory(load_settings(backend.environ(home))) as peer:
        turn = await peer.turn(await peer.start_thread())
        told = [note["params"]["willRetry"] for note in peer.notifications if note["method"] == "error"]
        assert peer.methods.count("turn/completed") == 1
    error: dict[str, Any] = turn["error"]
    return error, told


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nx: "])
async def test_headers_that_come_byte_by_byte_end_the_turn(home: Path, backend: FakeBackend, begun: bytes) -> None:
    async with answering(begun, drip=b"HTTP/1.1 103 Early Hints\r\n\r\n" if not begun else b"x") as url:
        error, told = await run(home, backend, url)
    assert error["codexErrorInfo"] == {"responseStreamConnectionFailed": {"httpStatusCode": None}}
    assert "no answer in time" in error["message"]
    assert told == [True, False]


async def test_a_failed_answer_that_comes_byte_by_byte_ends_the_turn(home: Path, backend: FakeBackend) -> None:
    async with answering(head("content-length: 1000000", status=500), b"Out of order", drip=b".") as url:
        error, told = await run(home, backend, url)
    assert error["codexErrorInfo"] == "internalServerError"
    assert "Out of order." in error["message"]
    assert told == [True, False]


async def test_an_event_without_end_ends_the_turn(
    home: Path, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1_000_000)
    async with answering(STREAM, chunked([b"data: "]), forever=chunked([b"x" * 50_000])) as url:
        error, _ = await run(home, backend, url)
    assert "an event did not end" in error["message"]


@pytest.mark.parametrize("status", [301, 307, 308])
async def test_a_redirect_is_not_followed_with_the_credential(home: Path, backend: FakeBackend, status: int) -> None:
    async with answering(head(f"location: {backend.url}/v1/responses", "content-length: 0", status=status)) as url:
        error, told = await run(home, backend, url)
    assert error["codexErrorInfo"] == {"httpConnectionFailed": {"httpStatusCode": status}}
    assert told == [False]
    assert not backend.requests


async def test_an_upgrade_that_nobody_asked_for_ends_the_turn(home: Path, backend: FakeBackend) -> None:
    async with answering(head("upgrade: secret-0123456789", "connection: upgrade", status=101)) as url:
        error, _ = await run(home, backend, url)
    assert "secret" not in str(error)


async def test_a_compressed_stream_ends_the_turn_and_says_why(home: Path, backend: FakeBackend) -> None:
    async with answering(head("content-encoding: gzip", "content-length: 4") + b"\x1f\x8b\x08\x00") as url:
        error, told = await run(home, backend, url)
    assert "compressed" in error["message"]
    assert told == [False]


@pytest.mark.parametrize(
    "provider",
    [
        {"base_url": "http://127.0.0.1:99999/v1"},
        {"base_url": "ftp://127.0.0.1/v1"},
    ],
)
async def test_a_request_that_can_never_be_sent_is_sent_once_and_told_in_our_words(
    home: Path, backend: FakeBackend, provider: dict[str, object]
) -> None:
    async with answering(b"") as url:
        error, told = await run(home, backend, url, **provider)
    assert told == [False]
    assert "could not be reached" in error["message"]
    assert "secret" not in str(error)
