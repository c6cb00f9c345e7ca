from __future__ import annotations

from typing import Any

import pytest

from appserver.errors import MethodNotFound, Overloaded, RequestError
from appserver.rpc.router import Handler, Reply, Router
from appserver.session import Session
from tests.rpc.rig import INLINE, LOGIN, STRICT, WAITING, Rig, code, request

pytestmark = pytest.mark.anyio

SECRET = "sk-very-secret-value"


def test_before_the_handshake_everything_else_is_refused() -> None:
    rig = Rig(initialized=False)
    for method in (INLINE, WAITING, "nonsense", ""):
        assert rig.ask(request(1, method))["error"] == {"code": -32600, "message": "Not initialized"}
    assert not rig.session.initialized


def test_the_handshake_opens_the_gate_once() -> None:
    rig = Rig(initialized=False)
    assert rig.ask(request(1, "initialize", {"a": 1}))["result"] == {"hello": {"a": 1}}
    assert rig.ask(request(2, "initialize", {}))["error"] == {"code": -32600, "message": "Already initialized"}
    assert "result" in rig.ask(request(3))


def test_the_table_is_not_made_before_the_handshake() -> None:
    made = []

    def routes() -> dict[str, Handler]:
        made.append(1)
        return {}

    session = Session()
    router = Router(lambda _: session.begin("tests", "1", frozenset()), routes, session)
    with pytest.raises(RequestError):
        router.call(INLINE, None)
    assert not made
    router.call("initialize", None)
    for _ in range(2):
        with pytest.raises(MethodNotFound):
            router.call(INLINE, None)
    assert made == [1]


@pytest.mark.parametrize("method", ["nonsense", "", "initialized", "__class__", "account/read ", "\ud800", "x" * 5000])
def test_an_unknown_method_is_not_found(method: str) -> None:
    answer = Rig().ask(request(1, method))
    assert code(answer) == -32601
    assert answer["error"]["message"] == f"Method not found: unknown variant `{method}`"


@pytest.mark.parametrize(
    ("method", "params", "field"),
    [
        (STRICT, {}, "loginId"),
        (STRICT, {"loginId": 5}, "loginId"),
        (STRICT, [SECRET], None),
        (STRICT, None, "loginId"),
        (INLINE, {"refreshToken": SECRET}, "refreshToken"),
        (LOGIN, {"type": "apiKey"}, "apiKey"),
        (LOGIN, {"type": "apiKey", "apiKey": [SECRET]}, "apiKey"),
        (LOGIN, {"type": "chatgptAuthTokens", "accessToken": {"t": SECRET}}, "accessToken"),
        (LOGIN, {"type": "chatgptAuthTokens", "accessToken": SECRET, "idToken": 5}, "idToken"),
        (LOGIN, {"apiKey": SECRET}, "type"),
        (LOGIN, {"type": {SECRET: SECRET}}, "type"),
        (LOGIN, {}, "type"),
    ],
)
def test_bad_params_name_the_field_and_never_the_value(method: str, params: object, field: str | None) -> None:
    answer = Rig().ask(request(1, method, params))
    assert code(answer) == -32602
    told = str(answer["error"])
    assert f"Invalid params for {method}" in told
    assert field is None or field in told
    assert SECRET not in told


def test_an_unknown_tag_is_not_repeated() -> None:
    answer = Rig().ask(request(1, LOGIN, {"type": SECRET}))
    assert code(answer) == -32602
    assert SECRET not in str(answer)


def test_unknown_members_of_params_are_ignored() -> None:
    answer = Rig().ask(request(1, STRICT, {"loginId": "x", "unknown": {"a": [1]}}))
    assert answer["result"] == {"status": "x"}


def test_a_method_without_params_takes_whatever_it_is_sent() -> None:
    rig = Rig({WAITING: lambda params: {"got": params}})
    for params in (None, {}, [], {"unknown": 1}, [1]):
        assert rig.ask(request(1, WAITING, params))["result"] == {"got": {}}


def test_refusals_carry_their_words_and_data() -> None:
    def refuse(_: object) -> object:
        raise RequestError("no", {"activeTurnId": "t"})

    def overload(_: object) -> object:
        raise Overloaded(5)

    rig = Rig({INLINE: refuse, STRICT: overload})
    assert rig.ask(request(1))["error"] == {"code": -32600, "message": "no", "data": {"activeTurnId": "t"}}
    assert rig.ask(request(1, STRICT, {"loginId": ""}))["error"]["data"]["retryAfterMs"] == 5


def test_a_reply_with_a_sequel_answers_with_its_result() -> None:
    order: list[Any] = []
    rig = Rig({INLINE: lambda _: Reply({"a": 1}, then=lambda: order.extend(rig.taken()))})
    rig.feed(request(1))
    assert order == [{"id": 1, "result": {"a": 1}}]


async def test_a_cancelled_request_has_no_answer() -> None:
    rig = Rig()
    async with rig.running():
        rig.feed(request(1, WAITING), request(2))
        await rig.answer(2)
    assert [one["id"] for one in rig.taken()] == [2]
