"""What clients see of the account is the same whether the credential is in a file or in a slow database."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from appserver.auth import authentication
from appserver.auth.credentials import managed_tokens
from appserver.auth.stores.file import FileStore
from appserver.auth.stores.off_loop import OffLoopStore
from protocol.base import Secret
from tests.auth.slow_store import Database, SlowStore
from tests.handlers.accounts import said

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from appserver.auth.credentials import Credential, ManagedTokens
    from appserver.auth.stores.base import CredentialStore
    from appserver.testing import FakeBackend, Grant
    from tests.conftest import ServerFactory

pytestmark = pytest.mark.anyio

READ, START, LOGOUT, STATUS = "account/read", "account/login/start", "account/logout", "getAuthStatus"
KEY = {"type": "apiKey", "apiKey": "sk-test-0123456789"}
CHATGPT = {"type": "chatgpt", "email": "user@example.com", "planType": "pro"}
TOKEN_PATH, REVOKE_PATH = "/oauth/token", "/oauth/revoke"


@pytest.fixture(params=["file", "slow"])
def elsewhere(request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch) -> CredentialStore:
    """The store that the server uses, as another process has it."""
    database = Database()
    places: dict[str, Callable[[], CredentialStore]] = {
        "file": lambda: OffLoopStore(FileStore(str(home))),
        "slow": lambda: SlowStore(database),
    }
    monkeypatch.setattr(authentication, "open_store", lambda _: places[request.param]())
    return places[request.param]()


def login(grant: Grant) -> ManagedTokens:
    tokens = [Secret(token) for token in (grant.id_token, grant.access_token, grant.refresh_token)]
    return managed_tokens(*tokens, last_refresh="2026-01-01T00:00:00Z", account_id="org-1")


async def stored(store: CredentialStore) -> Credential | None:
    return (await store.load()).credential


async def test_signing_in_and_out_is_stored_before_it_is_answered(
    server: ServerFactory, elsewhere: CredentialStore
) -> None:
    async with server() as peer:
        assert (await peer.result(READ))["account"] is None
        assert await peer.result(START, KEY) == {"type": "apiKey"}
        there = await stored(elsewhere)
        assert there is not None
        assert there.bearer.reveal() == KEY["apiKey"]
        assert (await peer.result(READ))["account"] == {"type": "apiKey"}
        assert await peer.result(LOGOUT) == {}
        assert await stored(elsewhere) is None
        assert (await peer.result(READ))["account"] is None


async def test_requests_in_one_breath_are_answered_in_their_order(
    server: ServerFactory, elsewhere: CredentialStore
) -> None:
    calls = [(START, KEY), (STATUS, {}), (LOGOUT, {}), (STATUS, {}), (START, KEY), (READ, {})]
    asked = [{"id": 1000 + n, "method": method, "params": params} for n, (method, params) in enumerate(calls)]
    async with server() as peer:
        await peer.result(READ)
        await peer.send_raw(b"".join(json.dumps(one).encode() + b"\n" for one in asked))
        results = [(await peer.response(1000 + n))["result"] for n in range(len(asked))]
        order = [one["id"] for one in peer.messages if one.get("id", 0) >= 1000]
    assert order == [one["id"] for one in asked]
    assert [results[1]["authMethod"], results[3]["authMethod"]] == ["apikey", None]
    assert results[5]["account"] == {"type": "apiKey"}
    assert await stored(elsewhere) is not None


async def test_reads_that_refresh_at_the_same_time_redeem_once(
    server: ServerFactory, backend: FakeBackend, elsewhere: CredentialStore
) -> None:
    await elsewhere.save(old := login(backend.grant()))
    gate = backend.issuer.hold_next(path=TOKEN_PATH)
    async with server() as peer:
        ids = [await peer.post(READ, {"refreshToken": True}) for _ in range(8)]
        await gate.reached.wait()
        gate.release()
        for request_id in ids:
            assert (await peer.response(request_id))["result"]["account"] == CHATGPT
    assert len(backend.requests.to(TOKEN_PATH)) == 1
    assert await stored(elsewhere) not in (None, old)


async def test_a_logout_during_a_refresh_counts_and_what_it_brings_is_revoked(
    server: ServerFactory, backend: FakeBackend, elsewhere: CredentialStore
) -> None:
    await elsewhere.save(login(backend.grant()))
    gate = backend.issuer.hold_answer(path=TOKEN_PATH)
    async with server() as peer:
        reading = await peer.post(READ, {"refreshToken": True})
        await gate.reached.wait()
        assert await peer.result(LOGOUT) == {}
        assert (await peer.response(reading))["result"]["account"] is None
        gate.release()
        await backend.requests.wait_for(REVOKE_PATH, 2)
    assert await stored(elsewhere) is None
    assert not elsewhere.has_record()


async def test_a_login_by_another_process_is_announced_before_the_answer_that_shows_it(
    server: ServerFactory, backend: FakeBackend, elsewhere: CredentialStore
) -> None:
    async with server() as peer:
        assert (await peer.result(READ))["account"] is None
        start = len(peer.messages)
        await elsewhere.save(login(backend.grant()))
        assert (await peer.result(READ))["account"] == CHATGPT
        assert said(peer, start) == ["account/updated", "result"]


async def test_a_login_whose_refresh_token_is_refused_needs_another_also_for_the_next_process(
    server: ServerFactory, backend: FakeBackend, elsewhere: CredentialStore
) -> None:
    await elsewhere.save(login(backend.grant()))
    backend.tokens.expire_refresh_tokens()
    for _ in range(2):
        async with server() as peer:
            read = await peer.result(READ, {"refreshToken": True})
            assert "refresh token has expired" in read["needsLogin"]["reason"]
    assert len(backend.requests.to(TOKEN_PATH)) == 1


async def test_a_turn_waits_for_the_login_before_it(
    server: ServerFactory, backend: FakeBackend, elsewhere: CredentialStore
) -> None:
    async with server() as peer:
        thread = await peer.start_thread()
        await peer.post(START, KEY)
        turn = await peer.start_turn(thread)
        assert (await peer.finished_turn(turn))["status"] == "completed"
    assert [one.bearer for one in backend.requests.to("/v1/responses")] == [KEY["apiKey"]]
