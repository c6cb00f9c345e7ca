"""A live connection, memory in place of pipes: nothing that a client sends can end it."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING

import anyio
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from appserver.settings import Settings
from tests.peer import in_memory

if TYPE_CHECKING:
    from pathlib import Path

METHODS = st.sampled_from(
    ["initialize", "initialized", "account/read", "getAuthStatus", "account/login/cancel", "thread/start", "nonsense"]
)
IDS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
VALUES = st.recursive(
    IDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["threadId", "loginId", "type", "input", "refreshToken"]), inner, max_size=3)
    ),
    max_leaves=8,
)
MESSAGES = st.fixed_dictionaries(
    {}, optional={"id": IDS, "method": METHODS | VALUES, "params": VALUES, "result": VALUES, "error": VALUES}
)
LINES = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
    (MESSAGES | st.lists(MESSAGES | VALUES, max_size=4)).map(lambda message: json.dumps(message).encode()),
)


async def survives(lines: list[bytes], home: str) -> None:
    # No credentials file in that home, and none is written: what is sent cannot sign in with these methods.
    async with in_memory(Settings(home, credentials_store="ephemeral")) as peer:
        for line in lines:
            await peer.send_raw(line + b"\n")
        await peer.send({"id": "the last", "method": "account/read"})
        await peer.wait(lambda one: "result" in one and one.get("id") == "the last")


@settings(max_examples=60, deadline=None)
@given(st.lists(LINES, max_size=6))
@example([b"[" * 100_000])
@example([b'{"id":1,"method":"thread/start","params":' + b'{"config":' * 400 + b"1" + b"}" * 400 + b"}"])
@example([b"[" + b"[]," * 1000 + b"[]]"])
def test_nothing_that_is_sent_ends_the_connection(lines: list[bytes]) -> None:
    anyio.run(functools.partial(survives, lines, "/nonexistent"))


@pytest.mark.anyio
async def test_what_is_no_request_is_answered_on_a_live_connection(tmp_path: Path) -> None:
    async with in_memory(Settings(str(tmp_path))) as peer:
        await peer.send_raw(b'garbage\n5\n{"id":"x"}\n\n[]\n')
        await peer.send({"id": "done", "method": "account/read"})
        await peer.wait(lambda one: one.get("id") == "done")
        errors = [(one["id"], one["error"]["code"]) for one in peer.messages if "error" in one]
    assert errors == [(None, -32700), (None, -32600), ("x", -32600), (None, -32600)]
