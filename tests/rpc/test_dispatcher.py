"""What comes in is answered in order, whatever it is. Batches and load have files of their own."""

from __future__ import annotations

import json
import logging
from contextvars import copy_context
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver import json_text
from appserver.rpc.router import Reply
from appserver.transport.framing import Oversized
from tests.rpc.rig import INLINE, LOGIN, STRICT, WAITING, Message, Rig, code, request, waiting

pytestmark = pytest.mark.anyio

DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    "line",
    [
        b"garbage",
        b"{",
        b'{"id":1,"method":"account/read"',
        b'{"id":1,"method":"account/read"} trailing',
        b'{"id":1}{"id":2}',
        b"\xff\xfe\x00",
        b'{"id":1,"method":"\xff"}',
        b" \xef\xbb\xbf{}",
        DEEP,
        DEEP + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"NaN",
        b'{"id":1,"method":"account/read","params":{"x":NaN}}',
        b'{"id":1,"method":"account/read","params":{"x":-Infinity}}',
        b'{"id":1,"method":"account/read","params":{"x":1e999}}',
        b'{"id":' + b"9" * 100_000 + b',"method":"account/read"}',
        b"'single'",
        b"\x00",
    ],
    ids=lambda line: repr(line[:24]),
)
def test_what_is_no_json_is_a_parse_error_without_an_id_and_does_not_end_anything(line: bytes) -> None:
    rig = Rig()
    rig.feed_raw(line)
    answer = rig.only()
    assert (answer["id"], code(answer)) == (None, -32700)
    assert answer["error"]["message"].startswith("Parse error")
    assert rig.ask(request(2))["result"] == {"read": {}}


@pytest.mark.parametrize("levels", [json_text.MAX_DEPTH, 500, 100_000])
def test_what_is_nested_too_deeply_is_refused_with_its_id(levels: int) -> None:
    rig = Rig()
    rig.feed_raw(b'{"id":1,"method":"account/read","params":' + b'{"x":' * levels + b"1" + b"}" * levels + b"}")
    answer = rig.only()
    assert (answer["id"], code(answer)) == (1, -32700)
    assert "128 levels" in answer["error"]["message"]


def test_what_is_nested_as_deeply_as_may_be_is_taken() -> None:
    deep: object = {}
    for _ in range(json_text.MAX_DEPTH - 2):
        deep = [deep]
    assert "result" in Rig().ask(request(1, INLINE, {"x": deep}))


def test_a_parse_error_does_not_repeat_the_input() -> None:
    rig = Rig()
    rig.feed_raw(b'{"apiKey": "sk-secret"')
    rig.feed_raw(b"sk-secret")
    rig.feed_raw(b'"sk-secret\xff"')
    assert len(rig.taken()) == 3
    assert "sk-secret" not in json.dumps(rig.sent)


@pytest.mark.parametrize("line", [b"5", b'"text"', b"true", b"null", b"1.5", b"[]", b'""'])
def test_what_is_neither_an_object_nor_a_batch_is_an_invalid_request(line: bytes) -> None:
    rig = Rig()
    rig.feed_raw(line)
    answer = rig.only()
    assert (answer["id"], code(answer)) == (None, -32600)


@pytest.mark.parametrize("line", [b"\n", b"\r\n", b"   \n", b"\t\n", b"\n\n\n"])
def test_empty_lines_are_passed_over(line: bytes) -> None:
    rig = Rig()
    rig.feed_raw(line)
    assert rig.taken() == []


@pytest.mark.parametrize(
    ("message", "request_id"),
    [
        ({}, None),
        ({"id": 1}, 1),
        ({"id": "a", "method": 5}, "a"),
        ({"id": 7, "method": INLINE, "params": "text"}, 7),
        ({"id": 7, "method": INLINE, "params": True}, 7),
        ({"id": True, "method": INLINE}, None),
        ({"id": 1.0, "method": INLINE}, None),
        ({"id": None, "method": INLINE}, None),
        ({"id": [1], "method": INLINE}, None),
        ({"result": 5}, None),
        ({"id": 1.5, "result": 5}, None),
        ({"id": None, "error": {"code": -32600, "message": "m"}}, None),
    ],
)
def test_a_wrong_envelope_is_refused_with_its_id_where_it_has_one(message: Message, request_id: object) -> None:
    answer = Rig().ask(message)
    assert (answer["id"], code(answer)) == (request_id, -32600)
    assert type(answer["id"]) is type(request_id)


@pytest.mark.parametrize("request_id", [0, -5, 10**60, 2**63, "", "a", "\ud800", "ü\u2028", "0", "null"])
def test_any_string_or_integer_comes_back_as_the_id_it_was(request_id: object) -> None:
    answer = Rig().ask(request(request_id))
    assert answer == {"id": request_id, "result": {"read": {}}}
    assert type(answer["id"]) is type(request_id)


def test_requests_with_the_same_id_are_each_answered() -> None:
    rig = Rig()
    rig.feed(request(1), request(1, STRICT, {"loginId": "x"}))
    assert [one["result"] for one in rig.taken()] == [{"read": {}}, {"status": "x"}]


def test_a_member_given_twice_counts_as_its_last() -> None:
    rig = Rig()
    rig.feed_raw(b'{"id":1,"id":2,"method":"account/read"}')
    assert rig.only()["id"] == 2


def test_inline_requests_are_answered_in_the_order_of_their_arrival() -> None:
    rig = Rig()
    rig.feed(*[request(number, "nonsense" if number % 3 else INLINE) for number in range(20)])
    assert [one["id"] for one in rig.taken()] == list(range(20))


async def test_a_request_that_waits_does_not_delay_one_that_does_not() -> None:
    rig = Rig()
    async with rig.running():
        rig.feed(request(1, WAITING), request(2))
        assert await rig.answer(2)
        assert [one["id"] for one in rig.sent] == [2]
        rig.gate.set()
        assert await rig.answer(1) == {"id": 1, "result": {"waited": {}}}


async def test_requests_that_wait_do_not_delay_each_other() -> None:
    async def second(_: object) -> Message:
        return {"quick": True}

    rig = Rig({"getAuthStatus": second})
    async with rig.running():
        rig.feed(request(1, WAITING), request(2, "getAuthStatus"))
        assert (await rig.answer(2))["result"] == {"quick": True}
        assert [one["id"] for one in rig.sent] == [2]


async def test_idle_waits_for_what_is_in_flight() -> None:
    rig = Rig()
    async with rig.running():
        await rig.dispatcher.idle()
        rig.feed(request(1, WAITING), request(2, WAITING))
        rig.gate.set()
        with anyio.fail_after(10):
            await rig.dispatcher.idle()
        assert sorted(one["id"] for one in rig.taken()) == [1, 2]


def test_notifications_are_not_answered_known_or_not() -> None:
    rig = Rig()
    rig.feed({"method": "initialized"}, {"method": "nonsense", "params": [1]}, {"method": INLINE, "jsonrpc": "2.0"})
    assert rig.taken() == []


@pytest.mark.parametrize("version", [True, False])
def test_answers_and_notifications_have_the_jsonrpc_member_if_the_first_message_has_it(version: bool) -> None:
    rig = Rig()
    member = {"jsonrpc": "2.0"} if version else {}
    rig.feed({**request(1), **member}, {**request(2), **({} if version else {"jsonrpc": "2.0"})}, 5)
    rig.parent.notify("account/updated", {})
    assert len(rig.taken()) == 4
    assert all(("jsonrpc" in one) is version for one in rig.sent)
    if version:
        assert {one["jsonrpc"] for one in rig.sent} == {"2.0"}


@pytest.mark.parametrize("version", [True, False])
async def test_a_request_that_waits_is_answered_in_kind_too(version: bool) -> None:
    rig = Rig()
    rig.gate.set()
    async with rig.running():
        rig.feed({**request(1, WAITING), **({"jsonrpc": "2.0"} if version else {})})
        assert ("jsonrpc" in await rig.answer(1)) is version


@pytest.mark.parametrize("waits", [False, True])
async def test_what_follows_an_answer_follows_it_in_both_lanes(waits: bool) -> None:
    def handle(_: object) -> object:
        return Reply({"done": True}, then=lambda: rig.parent.notify("account/updated", {}))

    rig = Rig({WAITING: waiting(handle) if waits else handle})
    async with rig.running():
        rig.feed(request(1, WAITING))
        await rig.wait(lambda one: "method" in one)
        assert [one.get("id") for one in rig.sent] == [1, None]


@pytest.mark.parametrize("waits", [False, True])
async def test_a_fault_in_what_follows_an_answer_is_logged_and_ends_nothing(
    waits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ValueError("after the answer")

    def answer(_: object) -> Reply:
        return Reply({}, then=fail)

    rig = Rig({WAITING: waiting(answer) if waits else answer})
    async with rig.running():
        rig.feed(request(1, WAITING))
        assert (await rig.answer(1))["result"] == {}
        assert rig.ask(request(2))["id"] == 2
    assert "after the answer" in caplog.text


@pytest.mark.parametrize("waits", [False, True])
async def test_an_unexpected_exception_is_internal_to_the_peer_and_told_to_the_log(
    waits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> object:
        raise LookupError("what went wrong")

    rig = Rig({WAITING: waiting(fail) if waits else fail})
    with caplog.at_level(logging.ERROR):
        async with rig.running():
            rig.feed(request(1, WAITING))
            assert await rig.answer(1) == {"id": 1, "error": {"code": -32603, "message": "Internal error"}}
    assert "what went wrong" in caplog.text
    assert "Traceback" in caplog.text


@pytest.mark.parametrize(
    ("head", "request_id"),
    [
        (b'{"id":7,"method":"turn/start","params":"', 7),
        (b'{"jsonrpc": "2.0", "id": "a\\"b", "method": "', 'a"b'),
        (b'{"jsonrpc":"2.0","method":"turn/start","id":-3,"params":{"', -3),
        (b'{"method":"turn/start","params":{"id":5,"', None),
        (b'{"id":1.5,"method":"', None),
        (b'{"id":true,"', None),
        (b'{"id":' + b"9" * 4096, None),
        (b'[{"id":1,"method":"', None),
        (b"\xff" * 4096, None),
    ],
)
def test_a_line_that_was_too_long_is_refused_with_its_id_where_it_can_be_read(head: bytes, request_id: object) -> None:
    rig = Rig()
    rig.dispatcher.receive(Oversized(head, 40_000_000))
    answer = rig.only()
    assert (answer["id"], code(answer)) == (request_id, -32600)
    assert "too large" in answer["error"]["message"]


@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,idmethod0123 \\u', max_size=60).map(str.encode))
def test_any_line_is_a_value_or_a_value_error(line: bytes) -> None:
    try:
        found: Any = json_text.decode(line)
    except ValueError:
        return
    json.dumps(found, allow_nan=False)


def test_the_context_of_a_request_which_its_tasks_keep_holds_no_secret_of_its_params() -> None:
    contexts: list[str] = []

    def login(params: Message) -> Message:
        contexts.extend(repr(value) for value in copy_context().values())
        return {"type": params["type"]}

    rig = Rig({LOGIN: login})
    rig.ask(request(1, LOGIN, {"type": "apiKey", "apiKey": "sk-not-to-be-kept"}))
    assert contexts
    assert not [one for one in contexts if "sk-not-to-be-kept" in one]
