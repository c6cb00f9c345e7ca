"""A provider whose key or headers cannot be sent: the turn fails at once, and names the variable, not the value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from appserver.settings import load_settings
from tests.peer import in_memory

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend

pytestmark = pytest.mark.anyio

SECRET = "sk-0123456789-secret"
KEY = {"env_key": "MY_VARIABLE", "requires_openai_auth": False}
HEADER = {"env_http_headers": {"x-key": "MY_VARIABLE"}, "requires_openai_auth": False}


async def run(home: Path, backend: FakeBackend, provider: dict[str, object], value: str) -> tuple[dict[str, Any], str]:
    """Run a turn with the variable set; return it, and everything that the client was told."""
    backend.write_config(home, provider={**provider, "request_max_retries": 2})
    settings = load_settings({**backend.environ(home), "MY_VARIABLE": value})
    async with in_memory(settings) as peer:
        turn = await peer.turn(await peer.start_thread())
    return turn, str(peer.messages)


@pytest.mark.parametrize("provider", [KEY, HEADER])
async def test_what_cannot_be_sent_fails_the_turn_once_and_is_not_told(
    home: Path, backend: FakeBackend, provider: dict[str, object]
) -> None:
    turn, told = await run(home, backend, provider, f"{SECRET}\nX-Other: y")
    assert turn["status"] == "failed"
    assert "MY_VARIABLE" in turn["error"]["message"]
    assert SECRET not in told
    assert "willRetry': True" not in told
    assert not backend.requests


@pytest.mark.parametrize(("provider", "header"), [(KEY, "authorization"), (HEADER, "x-key")])
async def test_a_newline_at_the_end_is_left_out(
    home: Path, backend: FakeBackend, provider: dict[str, object], header: str
) -> None:
    await run(home, backend, provider, f"{SECRET}\n")
    assert backend.requests[0].headers[header].removeprefix("Bearer ") == SECRET


@pytest.mark.parametrize("value", ["", " \n"])
async def test_a_key_that_is_not_set_fails_the_turn_in_the_references_words(
    home: Path, backend: FakeBackend, value: str
) -> None:
    turn, _ = await run(home, backend, KEY, value)
    assert turn["error"]["message"] == "Missing environment variable: `MY_VARIABLE`."
    assert not backend.requests


async def test_a_key_that_the_backend_echoes_is_not_told(home: Path, backend: FakeBackend) -> None:
    backend.model.fail_next(400, f"no such key: {SECRET.removeprefix('sk-')}")
    _, told = await run(home, backend, HEADER, f"{SECRET.removeprefix('sk-')}\n")
    assert SECRET.removeprefix("sk-") not in told
