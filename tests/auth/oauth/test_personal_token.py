"""Personal access tokens: how they are stored, and how it is found out whose they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from appserver.auth.claims import Claims
from appserver.auth.credentials import ApiKey, PersonalToken
from appserver.auth.stores.auth_json import credential_in, document_with
from protocol.base import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory

pytestmark = pytest.mark.anyio

TOKEN = Secret("at-0123456789")
OWNER = Claims(email="user@example.com", plan="pro", user_id="user-1", account_id="org-1")


def test_a_token_is_stored_as_the_reference_stores_it_and_its_owner_beside_it() -> None:
    document = document_with({"auth_mode": "apikey", "tokens": {}, "other": 1}, PersonalToken(TOKEN, OWNER))
    assert document["personal_access_token"] == TOKEN.reveal()
    assert document["OPENAI_API_KEY"] is None
    assert document["other"] == 1
    assert not document.keys() & {"auth_mode", "tokens", "last_refresh"}
    assert credential_in(json.loads(json.dumps(document))) == PersonalToken(TOKEN, OWNER)


@pytest.mark.parametrize("owner", [None, 5, {"email": 5, "account_id": ""}])
def test_a_token_that_the_reference_has_stored_is_nobodys_yet(owner: object) -> None:
    document: dict[str, Any] = {"OPENAI_API_KEY": None, "personal_access_token": TOKEN.reveal()}
    if owner is not None:
        document["personal_access_token_owner"] = owner
    assert credential_in(document) == PersonalToken(TOKEN)
    assert credential_in({**document, "OPENAI_API_KEY": "sk-1"}) == PersonalToken(TOKEN)
    assert credential_in({**document, "auth_mode": "personalAccessToken"}) == PersonalToken(TOKEN)
    assert credential_in({**document, "auth_mode": "apikey", "OPENAI_API_KEY": "sk-1"}) == ApiKey(Secret("sk-1"))


def test_another_login_takes_the_token_away() -> None:
    document = document_with(document_with({}, PersonalToken(TOKEN, OWNER)), ApiKey(Secret("sk-1")))
    assert document == {"auth_mode": "apikey", "OPENAI_API_KEY": "sk-1"}


# In a server


def store(home: Path, token: str) -> None:
    (home / "auth.json").write_text(json.dumps({"OPENAI_API_KEY": None, "personal_access_token": token}), "utf-8")


async def test_whose_a_token_is_is_asked_once_before_it_is_used(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    token = backend.personal_access_token(account="org-7")
    store(home, token)
    async with server() as peer:
        told = await peer.result("account/read", {})
        assert told["account"] == {"type": "chatgpt", "email": None, "planType": None}
        threads = [await peer.start_thread() for _ in range(4)]
        turns = [await peer.start_turn(thread) for thread in threads]
        for turn in turns:
            assert (await peer.finished_turn(turn))["status"] == "completed"
        updated = await peer.notification("account/updated")
        assert updated == {"authMode": "personalAccessToken", "planType": "pro"}
        told = await peer.result("account/read", {"refreshToken": True})
        assert told["account"] == {"type": "chatgpt", "email": "user@example.com", "planType": "pro"}
        status = await peer.result("getAuthStatus", {"includeToken": True})
        assert (status["authMethod"], status["authToken"]) == ("personalAccessToken", None)
        assert await peer.result("account/rateLimits/read") is not None
    sent = backend.requests.to("/v1/responses")
    assert {(one.bearer, one.headers["chatgpt-account-id"]) for one in sent} == {(token, "org-7")}
    async with server() as peer:
        assert (await peer.result("account/read", {}))["account"]["email"] == "user@example.com"
        await peer.turn(await peer.start_thread())
    assert len(backend.requests.to("/api/accounts/v1/user-auth-credential/whoami")) == 1


async def test_a_token_that_is_refused_fails_the_turn_at_once(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    token = backend.personal_access_token()
    store(home, token)
    async with server() as peer:
        thread = await peer.start_thread()
        await peer.turn(thread)
        backend.tokens.reject(token)
        turn = await peer.turn(thread)
        assert turn["error"]["message"] == "The personal access token is not accepted"
    store(home, "at-of-nobody")
    async with server() as peer:
        turn = await peer.turn(await peer.start_thread())
        assert turn["error"]["message"].startswith("The personal access token is not accepted: ")
        assert "at-of-nobody" not in str(peer.messages)


async def test_a_token_of_a_workspace_that_is_not_allowed_is_not_used(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    store(home, backend.personal_access_token(account="org-7"))
    async with server("forced_chatgpt_workspace_id=org-1") as peer:
        turn = await peer.turn(await peer.start_thread())
        assert "Login is restricted to workspace(s) org-1" in turn["error"]["message"]
        assert (await peer.result("account/read", {}))["account"] is None
    assert not backend.requests.to("/v1/responses")
