"""Tokens of the application: asked of it once, and what becomes of its failures."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import anyio
import pytest

from appserver.client import AsyncAppServer, ServerError, TokenRequest, Tokens, TurnFailed
from appserver.client.tokens import SingleFlight
from protocol.base import Secret

if TYPE_CHECKING:
    from appserver.testing import FakeBackend
    from tests.client.conftest import Connect

pytestmark = pytest.mark.anyio

LOGIN = TokenRequest("login")


async def test_the_provider_signs_in_and_is_asked_again_when_the_backend_refuses(
    connect: Connect, backend: FakeBackend
) -> None:
    asked: list[TokenRequest] = []

    async def provide(request: TokenRequest) -> Tokens:
        asked.append(request)
        return Tokens(Secret(backend.grant().access_token))

    async with connect(token_provider=provide) as server:
        thread = await server.threads.start()
        backend.expire_access_tokens()
        assert (await thread.run("Hello")).final_response == "You said: Hello"
    assert asked == [LOGIN, TokenRequest("unauthorized", "org-1")]


async def test_a_provider_that_blocks_does_not_block_the_client(connect: Connect, backend: FakeBackend) -> None:
    threads: list[threading.Thread] = []

    def provide(request: TokenRequest) -> str:
        threads.append(threading.current_thread())
        return backend.grant().access_token

    async with connect(token_provider=provide):
        pass
    assert threads != [threading.main_thread()]


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (ServerError(-32055, "the vault is sealed"), "the vault is sealed (code=-32055)"),
        (LookupError("no vault"), "no vault"),
        (LookupError(), "LookupError"),
    ],
)
async def test_what_the_provider_raises_reaches_the_turns_error(
    connect: Connect, backend: FakeBackend, failure: Exception, told: str
) -> None:
    def provide(request: TokenRequest) -> str:
        if request.reason == "unauthorized":
            raise failure
        return backend.grant().access_token

    async with connect(token_provider=provide) as server:
        thread = await server.threads.start()
        backend.expire_access_tokens()
        with pytest.raises(TurnFailed) as failed:
            await thread.run("Hello")
    assert told in failed.value.message
    assert failed.value.info == "unauthorized"


async def test_what_the_provider_raises_at_the_start_comes_out_as_it_is(connect: Connect) -> None:
    def provide(request: TokenRequest) -> str:
        raise LookupError("no vault")

    with pytest.raises(LookupError, match=r"^no vault$"):
        async with connect(token_provider=provide):
            raise AssertionError


async def test_any_number_of_callers_cause_one_call() -> None:
    asked: list[TokenRequest] = []
    go = anyio.Event()
    found: list[Tokens] = []

    async def provide(request: TokenRequest) -> str:
        asked.append(request)
        await go.wait()
        return "token"

    flight = SingleFlight(provide)

    async def ask() -> None:
        found.append(await flight.tokens(LOGIN))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        go.set()
    assert (len(asked), len(found)) == (1, 20)
    assert await flight.tokens(LOGIN) == Tokens("token")
    assert len(asked) == 2


async def test_any_number_of_callers_get_one_failure() -> None:
    go = anyio.Event()
    failures: list[str] = []

    async def provide(request: TokenRequest) -> str:
        await go.wait()
        raise LookupError("no vault")

    flight = SingleFlight(provide)

    async def ask() -> None:
        try:
            await flight.tokens(LOGIN)
        except LookupError as exc:
            failures.append(str(exc))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        go.set()
    assert failures == ["no vault"] * 2


async def test_a_caller_that_is_cancelled_leaves_the_call_to_another() -> None:
    asked: list[TokenRequest] = []
    go = anyio.Event()
    found: list[Tokens] = []

    async def provide(request: TokenRequest) -> str:
        asked.append(request)
        await go.wait()
        return "token"

    flight = SingleFlight(provide)

    async def ask() -> None:
        found.append(await flight.tokens(LOGIN))

    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as first:
            tasks.start_soon(cancel_when_blocked, first)
            await flight.tokens(LOGIN)
        tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        go.set()
    assert (len(asked), found) == (2, [Tokens("token")])


async def cancel_when_blocked(scope: anyio.CancelScope) -> None:
    await anyio.wait_all_tasks_blocked()
    scope.cancel()


@pytest.mark.parametrize("answer", [None, "", {"accessToken": "x"}, 3])
async def test_what_is_no_token_is_refused_without_showing_it(answer: object) -> None:
    with pytest.raises(TypeError, match=f"returned {type(answer).__name__}, not tokens"):
        await SingleFlight(lambda request: answer).tokens(LOGIN)  # type: ignore[arg-type, return-value] # that is the point


def test_tokens_do_not_show_themselves() -> None:
    assert "secret" not in repr(Tokens("secret-a", id_token="secret-b", account_id="org-1"))


async def test_a_client_without_a_provider_is_not_signed_in(connect: Connect) -> None:
    async with connect(token_provider=None) as server:
        assert isinstance(server, AsyncAppServer)
        assert (await server.account.read()).account is None
