"""Requests that httpx, and OpenAI's own client, send with the account's credential."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import httpx
import openai
import pytest

from appserver.auth import Account, NotSignedIn, RefreshError, in_thread
from appserver.testing import running_backend
from tests.handlers.accounts import store_login

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.auth.library.conftest import Open

TOKEN_PATH, USAGE, RESPONSES = "/oauth/token", "/backend-api/wham/usage", "/v1/responses"
MODEL = {"model": "fake-model", "input": "Hi"}
CALLERS = 20


@pytest.fixture
async def account(open_account: Open, backend: FakeBackend, home: Path) -> AsyncIterator[Account]:
    """An account whose access token the backend does not accept any more, although it says that it is good."""
    store_login(home, backend.grant())
    backend.expire_access_tokens()
    async with open_account() as opened:
        yield opened


@pytest.mark.anyio
async def test_a_request_that_is_refused_is_sent_again_with_another_token(
    account: Account, backend: FakeBackend
) -> None:
    async with httpx.AsyncClient(auth=account.httpx_auth()) as client:
        response = await client.get(f"{backend.url}{USAGE}")
        assert response.status_code == httpx.codes.OK
        assert (await client.get(f"{backend.url}{USAGE}")).status_code == httpx.codes.OK
    bearers = [request.bearer for request in backend.requests.to(USAGE)]
    assert len(bearers) == 3
    assert bearers[1] == bearers[2] == await account.access_token() != bearers[0]
    assert all(request.headers["chatgpt-account-id"] == "org-1" for request in backend.requests.to(USAGE))
    assert len(backend.requests.to(TOKEN_PATH)) == 1


@pytest.mark.anyio
async def test_the_body_is_sent_again(account: Account, backend: FakeBackend) -> None:
    async with httpx.AsyncClient(auth=account.httpx_auth()) as client:
        assert (await client.post(f"{backend.url}{RESPONSES}", json=MODEL)).status_code == httpx.codes.OK
    assert [request.json() for request in backend.requests.to(RESPONSES)] == [MODEL, MODEL]


@pytest.mark.anyio
async def test_a_body_that_cannot_be_sent_again_is_not_and_the_next_request_has_the_new_token(
    account: Account, backend: FakeBackend
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"{}"

    async with httpx.AsyncClient(auth=account.httpx_auth()) as client:
        first = await client.post(f"{backend.url}{RESPONSES}", content=body())
        assert first.status_code == httpx.codes.UNAUTHORIZED
        assert (await client.post(f"{backend.url}{RESPONSES}", json=MODEL)).status_code == httpx.codes.OK
    assert len(backend.requests.to(RESPONSES)) == 2


@pytest.mark.anyio
async def test_any_number_of_requests_that_are_refused_cause_one_refresh(
    account: Account, backend: FakeBackend
) -> None:
    statuses = []
    async with httpx.AsyncClient(auth=account.httpx_auth()) as client, anyio.create_task_group() as group:

        async def ask() -> None:
            statuses.append((await client.get(f"{backend.url}{USAGE}")).status_code)

        for _ in range(CALLERS):
            group.start_soon(ask)
    assert statuses == [httpx.codes.OK] * CALLERS
    assert len(backend.requests.to(TOKEN_PATH)) == 1


@pytest.mark.anyio
async def test_a_second_refusal_is_returned(account: Account, backend: FakeBackend) -> None:
    backend.model.fail_next(401, path=USAGE, times=2)
    async with httpx.AsyncClient(auth=account.httpx_auth()) as client:
        assert (await client.get(f"{backend.url}{USAGE}")).status_code == httpx.codes.UNAUTHORIZED
    assert len(backend.requests.to(USAGE)) == 2


@pytest.mark.anyio
async def test_the_refusal_of_an_api_key_is_returned(open_account: Open, backend: FakeBackend) -> None:
    async with open_account() as account, httpx.AsyncClient(auth=account.httpx_auth()) as client:
        await account.login_api_key("sk-test-0123456789")
        backend.tokens.reject("sk-test-0123456789")
        assert (await client.get(f"{backend.url}{USAGE}")).status_code == httpx.codes.UNAUTHORIZED
    assert len(backend.requests.to(USAGE)) == 1


@pytest.mark.anyio
async def test_a_login_that_has_ended_is_told_as_what_it_is(account: Account, backend: FakeBackend) -> None:
    backend.tokens.expire_refresh_tokens()
    async with httpx.AsyncClient(auth=account.httpx_auth()) as client:
        with pytest.raises(RefreshError, match="Sign in again"):
            await client.get(f"{backend.url}{USAGE}")
        await account.logout()
        with pytest.raises(NotSignedIn):
            await client.get(f"{backend.url}{USAGE}")
    assert len(backend.requests.to(USAGE)) == 1


@pytest.mark.anyio
async def test_a_blocking_client_in_another_thread_waits_for_the_event_loop(
    account: Account, backend: FakeBackend
) -> None:
    def ask() -> int:
        with httpx.Client(auth=account.httpx_auth()) as client:
            return client.get(f"{backend.url}{USAGE}").status_code

    assert await anyio.to_thread.run_sync(ask) == httpx.codes.OK
    assert len(backend.requests.to(TOKEN_PATH)) == 1


@pytest.mark.anyio
async def test_a_blocking_client_in_the_event_loops_thread_is_an_error_and_no_deadlock(
    account: Account, backend: FakeBackend
) -> None:
    with httpx.Client(auth=account.httpx_auth()) as client, pytest.raises(RuntimeError, match="event loop thread"):
        client.get(f"{backend.url}{USAGE}")  # noqa: ASYNC212 - that is the mistake


# OpenAI's own client


async def answer(client: openai.AsyncOpenAI) -> str:
    """What the model says."""
    stream = await client.responses.create(model="fake-model", input="Hi", stream=True)
    return "".join([event.delta async for event in stream if event.type == "response.output_text.delta"])


@pytest.mark.anyio
async def test_openais_client_takes_the_token_as_its_key(open_account: Open, backend: FakeBackend, home: Path) -> None:
    store_login(home, backend.grant(expires_in=-1))
    async with open_account() as account:
        async with openai.AsyncOpenAI(api_key=account.access_token, base_url=backend.base_url, max_retries=0) as client:
            assert await answer(client) == "You said: Hi"
        [request] = backend.requests.to(RESPONSES)
        assert request.bearer == await account.access_token()
    assert len(backend.requests.to(TOKEN_PATH)) == 1


@pytest.mark.anyio
async def test_openais_client_alone_does_not_get_past_a_refusal(account: Account, backend: FakeBackend) -> None:
    async with openai.AsyncOpenAI(api_key=account.access_token, base_url=backend.base_url) as client:
        with pytest.raises(openai.AuthenticationError):
            await answer(client)
        await account.refresh(await account.access_token())
        assert await answer(client) == "You said: Hi"


@pytest.mark.anyio
async def test_openais_client_over_an_authorized_one_gets_past_a_refusal(
    account: Account, backend: FakeBackend
) -> None:
    async with (
        httpx.AsyncClient(auth=account.httpx_auth()) as http,
        openai.AsyncOpenAI(
            api_key=account.access_token,
            base_url=backend.base_url,
            http_client=http,  # type: ignore[arg-type] # it takes clients of httpx, and its types name httpx2 alone
            max_retries=0,
        ) as client,
    ):
        assert await answer(client) == "You said: Hi"
    assert len(backend.requests.to(RESPONSES)) == 2
    assert len(backend.requests.to(TOKEN_PATH)) == 1


# Without an event loop


@pytest.fixture
def threaded(tmp_path: Path) -> Iterator[FakeBackend]:
    """A backend for programs without an event loop; the home is signed in, with an access token that has expired."""
    with running_backend() as backend:
        store_login(tmp_path, backend.grant(expires_in=-1))
        yield backend


def test_a_program_without_an_event_loop_opens_an_account_in_a_thread(threaded: FakeBackend, tmp_path: Path) -> None:
    with in_thread(Account.open(tmp_path, issuer=threaded.url, environ={})) as account:
        assert account.from_thread(account.read).email == "user@example.com"
        token = account.access_token_from_thread()
        assert account.from_thread(account.headers)["Authorization"] == f"Bearer {token}"
        account.from_thread(partial(account.logout, revoke=False))
        with pytest.raises(NotSignedIn):
            account.access_token_from_thread()
    with pytest.raises(RuntimeError, match="not open"):
        account.access_token_from_thread()


def test_openais_blocking_client_takes_the_token_as_its_key(threaded: FakeBackend, tmp_path: Path) -> None:
    with (
        in_thread(Account.open(tmp_path, issuer=threaded.url, environ={})) as account,
        openai.OpenAI(api_key=account.access_token_from_thread, base_url=threaded.base_url, max_retries=0) as client,
    ):
        stream = client.responses.create(model="fake-model", input="Hi", stream=True)
        said = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
    assert said == "You said: Hi"
    assert len(threaded.requests.to(TOKEN_PATH)) == 1
