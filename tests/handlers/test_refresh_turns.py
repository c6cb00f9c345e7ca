"""Turns whose token is refused: one refresh, one retry, and what the client's answer, error or silence makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from appserver.testing import http_error
from tests.handlers.accounts import said

if TYPE_CHECKING:
    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory
    from tests.peer import Message, Peer

pytestmark = pytest.mark.anyio

REFRESH = "account/chatgptAuthTokens/refresh"
RESPONSES = "/v1/responses"
TURNS = 64


class Expired:
    """A client whose first token is refused, and which has a better one."""

    def __init__(self, backend: FakeBackend) -> None:
        self.old = backend.grant().access_token
        backend.expire_access_tokens()
        self.new = backend.grant().access_token

    async def sign_in(self, peer: Peer) -> str:
        """Sign in with the old token and start a thread."""
        await peer.login_with_tokens(self.old)
        return await peer.start_thread()

    def answer(self, _: Message) -> Message:
        """Give the new token."""
        return {"result": {"accessToken": self.new, "chatgptAccountId": "org-1", "chatgptPlanType": "pro"}}


@pytest.fixture
def expired(backend: FakeBackend) -> Expired:
    return Expired(backend)


def bearers(backend: FakeBackend) -> list[str | None]:
    return [request.bearer for request in backend.requests.to(RESPONSES)]


async def test_a_refused_token_is_renewed_by_the_parent_and_the_request_repeated(
    server: ServerFactory, backend: FakeBackend, expired: Expired
) -> None:
    async with server() as peer:
        peer.responders[REFRESH] = expired.answer
        turn = await peer.turn(await expired.sign_in(peer))
        assert turn["status"] == "completed", turn
        [request] = peer.requests
        assert request["method"] == REFRESH
        assert request["params"] == {"reason": "unauthorized", "previousAccountId": "org-1"}
    assert bearers(backend) == [expired.old, expired.new]
    first, second = backend.requests.to(RESPONSES)
    assert first.body == second.body
    assert second.headers["chatgpt-account-id"] == "org-1"


async def test_a_refresh_happens_between_the_users_message_and_the_answer_and_is_not_announced(
    server: ServerFactory, expired: Expired
) -> None:
    async with server() as peer:
        peer.responders[REFRESH] = expired.answer
        thread = await expired.sign_in(peer)
        await peer.notification("thread/started")
        start = len(peer.messages)
        await peer.turn(thread)
        methods = [one for one in said(peer, start) if one not in ("result", "item/agentMessage/delta")]
        told = methods.index(REFRESH)
        assert methods[told - 2 : told] == ["item/started", "item/completed"]
        assert methods[-1] == "turn/completed"
        assert methods.count("turn/completed") == 1
        assert "account/updated" not in methods
        assert "error" not in methods


@pytest.mark.parametrize("shape", ["id token", "account id", "neither"])
async def test_the_parent_may_answer_in_either_shape(
    server: ServerFactory, backend: FakeBackend, expired: Expired, shape: str
) -> None:
    members = {"id token": {"idToken": backend.grant().id_token}, "account id": {"chatgptAccountId": "org-1"}}
    async with server() as peer:
        peer.responders[REFRESH] = lambda _: {"result": {"accessToken": expired.new, **members.get(shape, {})}}
        assert (await peer.turn(await expired.sign_in(peer)))["status"] == "completed"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"error": {"code": -32000, "message": "user signed out"}}, "user signed out"),
        ({"error": {"code": -32000, "message": "user signed out", "data": {"any": "thing"}}}, "code=-32000"),
        ({"error": {"message": "user signed out"}}, "user signed out"),
        ({"error": {"code": "E_SIGNED_OUT", "message": "user signed out"}}, "user signed out"),
        ({"error": "user signed out"}, "user signed out"),
        ({"error": ["user signed out"]}, "user signed out"),
        ({"error": {}}, "no message"),
        ({"error": None}, "auth refresh request failed"),
        ({"error": {"code": 1, "message": "user signed out"}, "result": None}, "user signed out"),
        ({"result": None}, "Invalid result"),
        ({"result": {}}, "accessToken"),
        ({"result": {"accessToken": 7}}, "accessToken"),
        ({"result": "a-secret-string"}, "Invalid result"),
        ({"result": {"accessToken": "no-jwt-secret"}}, "not a JWT"),
        ({"result": {"accessToken": ""}}, "not a JWT"),
    ],
)
async def test_what_is_wrong_with_the_parents_answer_ends_the_turn_at_once_with_its_words(
    server: ServerFactory, backend: FakeBackend, expired: Expired, answer: dict[str, Any], words: str
) -> None:
    async with server("appserver.refresh_timeout=3600") as peer:
        peer.responders[REFRESH] = lambda _: answer
        turn = await peer.turn(await expired.sign_in(peer))
        assert turn["status"] == "failed"
        assert words in turn["error"]["message"]
        assert "secret" not in turn["error"]["message"]
        error = next(message["params"] for message in peer.notifications if message["method"] == "error")
        assert error["error"] == turn["error"]
        assert error["willRetry"] is False
    assert bearers(backend) == [expired.old]


async def test_an_account_id_in_the_clients_answer_that_is_not_the_tokens_is_passed_over(
    server: ServerFactory, backend: FakeBackend, expired: Expired
) -> None:
    async with server() as peer:
        peer.responders[REFRESH] = lambda _: {"result": {"accessToken": expired.new, "chatgptAccountId": "a@b.c"}}
        assert (await peer.turn(await expired.sign_in(peer)))["status"] == "completed"
    assert backend.requests.to("/v1/responses")[-1].headers["chatgpt-account-id"] == "org-1"


async def test_a_failed_refresh_is_asked_for_again_by_the_next_turn(server: ServerFactory, expired: Expired) -> None:
    async with server() as peer:
        peer.responders[REFRESH] = lambda _: {"error": {"code": -32000, "message": "try later"}}
        thread = await expired.sign_in(peer)
        assert (await peer.turn(thread))["status"] == "failed"
        peer.responders[REFRESH] = expired.answer
        assert (await peer.turn(thread))["status"] == "completed"
        assert [request["id"] for request in peer.requests] == [0, 1]


async def test_silence_of_the_parent_ends_the_turn_and_its_late_answer_serves_the_next(
    server: ServerFactory, backend: FakeBackend, expired: Expired
) -> None:
    async with server("appserver.refresh_timeout=0.2") as peer:
        thread = await expired.sign_in(peer)
        turn = await peer.turn(thread)
        assert turn["status"] == "failed"
        assert turn["error"]["message"] == "auth refresh request timed out after 0.2s"
        await peer.send({"id": peer.requests[0]["id"], **expired.answer({})})
        assert (await peer.turn(thread))["status"] == "completed"
        assert len(peer.requests) == 1
    assert bearers(backend) == [expired.old, expired.new]


@pytest.mark.parametrize(
    "late", [{"error": {"message": "sorry"}}, {"result": {"accessToken": "no-jwt"}}, {"result": 7}]
)
async def test_a_late_answer_of_no_use_is_ignored(
    server: ServerFactory, expired: Expired, late: dict[str, Any]
) -> None:
    async with server("appserver.refresh_timeout=0.2") as peer:
        thread = await expired.sign_in(peer)
        await peer.turn(thread)
        await peer.send({"id": peer.requests[0]["id"], **late})
        peer.responders[REFRESH] = expired.answer
        assert (await peer.turn(thread))["status"] == "completed"


async def test_a_second_refusal_fails_the_turn_without_a_second_refresh(
    server: ServerFactory, backend: FakeBackend, expired: Expired
) -> None:
    backend.tokens.reject(expired.new)
    async with server() as peer:
        peer.responders[REFRESH] = expired.answer
        turn = await peer.turn(await expired.sign_in(peer))
        assert turn["status"] == "failed"
        assert turn["error"]["codexErrorInfo"] == "unauthorized"
        assert len(peer.requests) == 1
    assert bearers(backend) == [expired.old, expired.new]


async def test_another_failure_than_a_refusal_asks_for_no_refresh(server: ServerFactory, backend: FakeBackend) -> None:
    backend.script(http_error(403), http_error(500))
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        thread = await peer.start_thread()
        for _ in range(2):
            assert (await peer.turn(thread))["status"] == "failed"
        assert peer.requests == []


async def test_any_number_of_turns_on_one_expired_token_ask_the_parent_once(
    server: ServerFactory, backend: FakeBackend, expired: Expired
) -> None:
    async with server() as peer:
        await peer.login_with_tokens(expired.old)
        threads = [await peer.start_thread() for _ in range(TURNS)]
        turns = [await peer.start_turn(thread) for thread in threads]
        request = await peer.request(REFRESH)
        await backend.requests.wait_for(RESPONSES, TURNS)
        await peer.send({"id": request["id"], **expired.answer({})})
        for turn in turns:
            assert (await peer.finished_turn(turn))["status"] == "completed"
        assert len(peer.requests) == 1


async def test_an_interrupt_during_a_refresh_ends_the_turn_at_once_and_the_answer_is_kept(
    server: ServerFactory, backend: FakeBackend, expired: Expired
) -> None:
    async with server() as peer:
        thread = await expired.sign_in(peer)
        turn = await peer.start_turn(thread)
        request = await peer.request(REFRESH)
        await peer.result("turn/interrupt", {"threadId": thread, "turnId": turn})
        assert (await peer.finished_turn(turn))["status"] == "interrupted"
        await peer.send({"id": request["id"], **expired.answer({})})
        assert (await peer.turn(thread))["status"] == "completed"
        assert len(peer.requests) == 1
    assert bearers(backend) == [expired.old, expired.new]


async def test_a_logout_during_a_refresh_ends_the_turn_and_stays_a_logout(
    server: ServerFactory, backend: FakeBackend, expired: Expired
) -> None:
    async with server() as peer:
        thread = await expired.sign_in(peer)
        turn = await peer.start_turn(thread)
        request = await peer.request(REFRESH)
        await peer.result("account/logout")
        await peer.send({"id": request["id"], **expired.answer({})})
        finished = await peer.finished_turn(turn)
        assert finished["status"] == "failed"
        assert "Signed out" in finished["error"]["message"]
        assert (await peer.result("account/read"))["account"] is None
    assert bearers(backend) == [expired.old]


async def test_a_login_during_a_refresh_serves_the_turn_that_waits(
    server: ServerFactory, backend: FakeBackend, expired: Expired
) -> None:
    login = backend.grant(account="org-2").access_token
    async with server() as peer:
        thread = await expired.sign_in(peer)
        turn = await peer.start_turn(thread)
        request = await peer.request(REFRESH)
        await peer.login_with_tokens(login)
        await peer.send({"id": request["id"], "error": {"code": -32000, "message": "user signed out"}})
        assert (await peer.finished_turn(turn))["status"] == "completed"
    assert bearers(backend) == [expired.old, login]


async def test_a_shutdown_during_a_refresh_still_ends_the_turn_once(
    server: ServerFactory, expired: Expired, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appserver.server.serve.SETTLE_SECONDS", 0.05)
    async with server() as peer:
        await peer.start_turn(await expired.sign_in(peer))
        await peer.request(REFRESH)
    completed = [message for message in peer.notifications if message["method"] == "turn/completed"]
    assert [one["params"]["turn"]["status"] for one in completed] == ["interrupted"]


async def test_tokens_that_will_expire_are_renewed_before_they_are_refused(
    server: ServerFactory, backend: FakeBackend
) -> None:
    old, new = backend.grant(expires_in=60).access_token, backend.grant().access_token
    async with server() as peer:
        peer.responders[REFRESH] = lambda _: {"result": {"accessToken": new}}
        await peer.login_with_tokens(old)
        assert (await peer.turn(await peer.start_thread()))["status"] == "completed"
        assert len(peer.requests) == 1
    assert bearers(backend) == [new]


async def test_a_parent_that_cannot_renew_ahead_of_time_keeps_its_token_while_it_is_valid(
    server: ServerFactory, backend: FakeBackend
) -> None:
    old = backend.grant(expires_in=60).access_token
    async with server() as peer:
        peer.responders[REFRESH] = lambda _: {"error": {"code": -32000, "message": "not now"}}
        await peer.login_with_tokens(old)
        thread = await peer.start_thread()
        for _ in range(2):
            assert (await peer.turn(thread))["status"] == "completed"
        assert len(peer.requests) == 1
    assert bearers(backend) == [old, old]
