"""Signing out: here, at the issuer, and never held up by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appserver.auth.dead_tokens import fingerprint
from appserver.auth.file_store import FileStore
from appserver.testing.ledger import RefreshState
from protocol.base import Secret
from tests.handlers.accounts import said, store_login, stored, write_auth

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory

pytestmark = pytest.mark.anyio

LOGOUT, REVOKE_PATH, TOKEN_PATH = "account/logout", "/oauth/revoke", "/oauth/token"
IN_ORDER = ["result", "account/updated"]


async def test_a_logout_says_what_the_reference_says(server: ServerFactory, home: Path) -> None:
    async with server() as peer:
        await peer.result("account/login/start", {"type": "apiKey", "apiKey": "sk-test"})
        await peer.notification("account/updated")
        start = len(peer.messages)
        assert await peer.result(LOGOUT) == {}
        await peer.notification("account/updated", authMode=None, planType=None)
        assert said(peer, start) == IN_ORDER
        assert await peer.result("account/read") == {"account": None, "requiresOpenaiAuth": True}
    assert stored(home) is None


async def test_a_logout_without_a_login_is_no_error(server: ServerFactory) -> None:
    async with server() as peer:
        assert await peer.result(LOGOUT) == {}
        await peer.notification("account/updated", authMode=None, planType=None)


@pytest.mark.parametrize("params", [None, {}, {"scope": "everywhere"}, {"scope": None}])
async def test_a_logout_revokes_the_refresh_token(
    server: ServerFactory, backend: FakeBackend, home: Path, params: object
) -> None:
    grant = backend.grant()
    store_login(home, grant)
    async with server() as peer:
        await peer.result(LOGOUT, params)
        [request] = await backend.requests.wait_for(REVOKE_PATH)
    body = request.json()
    assert body.pop("client_id")
    assert body == {"token": grant.refresh_token, "token_type_hint": "refresh_token"}
    assert backend.tokens.refresh_state(grant.refresh_token) is RefreshState.INVALIDATED


async def test_a_login_without_a_refresh_token_revokes_its_access_token(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    grant = backend.grant()
    store_login(home, grant)
    document = stored(home)
    document["tokens"]["refresh_token"] = ""
    write_auth(home, document)
    async with server() as peer:
        await peer.result(LOGOUT)
        [request] = await backend.requests.wait_for(REVOKE_PATH)
    assert request.json()["token"] == grant.access_token
    assert request.json()["token_type_hint"] == "access_token"


async def test_a_local_logout_leaves_the_login_of_other_machines_alone(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    grant = backend.grant()
    store_login(home, grant)
    async with server() as peer:
        assert await peer.result(LOGOUT, {"scope": "local"}) == {}
        await peer.notification("account/updated", authMode=None)
    assert stored(home) is None
    assert backend.requests.to(REVOKE_PATH) == []
    assert backend.tokens.refresh_state(grant.refresh_token) is RefreshState.LIVE


async def test_tokens_of_the_parent_and_api_keys_are_not_ours_to_revoke(
    server: ServerFactory, backend: FakeBackend
) -> None:
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        await peer.result(LOGOUT)
        await peer.result("account/login/start", {"type": "apiKey", "apiKey": "sk-test"})
        await peer.result(LOGOUT)
    assert backend.requests.to(REVOKE_PATH) == []


async def test_a_logout_of_the_parents_tokens_ends_the_login_behind_them_too(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    grant = backend.grant()
    store_login(home, grant)
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        assert await peer.result(LOGOUT) == {}
        assert stored(home) is None
    assert backend.tokens.refresh_state(grant.refresh_token) is RefreshState.INVALIDATED
    async with server() as peer:
        assert (await peer.result("account/read"))["account"] is None


async def test_a_logout_revokes_what_a_refresh_under_way_brings(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    store_login(home, backend.grant())
    backend.expire_access_tokens()
    gate = backend.issuer.hold_next(path=TOKEN_PATH)
    async with server() as peer:
        turn = await peer.start_turn(await peer.start_thread())
        await gate.reached.wait()
        assert await peer.result(LOGOUT) == {}
        assert (await peer.finished_turn(turn))["status"] == "failed"
        gate.release()
        await backend.requests.wait_for(REVOKE_PATH, 2)
    revoked = [request.json()["token"] for request in backend.requests.to(REVOKE_PATH)]
    assert len(set(revoked)) == 2
    assert backend.tokens.refresh_state(revoked[1]) is RefreshState.INVALIDATED
    assert not (home / ".auth.json.redeemed").exists()


async def test_a_local_logout_does_not_revoke_it(server: ServerFactory, backend: FakeBackend, home: Path) -> None:
    store_login(home, backend.grant())
    backend.expire_access_tokens()
    gate = backend.issuer.hold_next(path=TOKEN_PATH)
    async with server() as peer:
        turn = await peer.start_turn(await peer.start_thread())
        await gate.reached.wait()
        await peer.result(LOGOUT, {"scope": "local"})
        await peer.finished_turn(turn)
        gate.release()
    assert stored(home) is None
    assert backend.requests.to(REVOKE_PATH) == []


async def test_a_logout_revokes_what_a_dead_process_had_redeemed(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    old, successor = backend.grant(), backend.grant()
    store_login(home, old)
    with FileStore(str(home)).journal.opened() as write:
        write(
            {
                "redeemed_sha256": fingerprint(Secret(old.refresh_token)),
                "access_token": successor.access_token,
                "refresh_token": successor.refresh_token,
            }
        )
    async with server() as peer:
        await peer.post(LOGOUT)
    assert backend.tokens.refresh_state(successor.refresh_token) is RefreshState.INVALIDATED
    assert stored(home) is None
    assert not (home / ".auth.json.redeemed").exists()


@pytest.mark.parametrize("fault", ["500", "cut"])
async def test_a_failing_revocation_does_not_keep_anybody_in(
    server: ServerFactory, backend: FakeBackend, home: Path, fault: str
) -> None:
    store_login(home, backend.grant())
    if fault == "cut":
        backend.issuer.cut_next(path=REVOKE_PATH)
    else:
        backend.issuer.fail_next(500, path=REVOKE_PATH)
    async with server() as peer:
        start = len(peer.messages)
        assert await peer.result(LOGOUT) == {}
        await peer.notification("account/updated", authMode=None)
        assert said(peer, start) == IN_ORDER
        await backend.requests.wait_for(REVOKE_PATH)
    assert stored(home) is None


async def test_a_logout_does_not_wait_for_the_issuer(server: ServerFactory, backend: FakeBackend, home: Path) -> None:
    store_login(home, backend.grant())
    gate = backend.issuer.hold_next(path=REVOKE_PATH)
    async with server() as peer:
        assert await peer.result(LOGOUT) == {}
        await peer.notification("account/updated", authMode=None)
        await gate.reached.wait()
        gate.release()


async def test_a_logout_just_before_the_end_still_revokes(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    grant = backend.grant()
    store_login(home, grant)
    async with server() as peer:
        await peer.post(LOGOUT)
    assert backend.tokens.refresh_state(grant.refresh_token) is RefreshState.INVALIDATED


async def test_a_corrupt_login_can_be_signed_out_of(server: ServerFactory, home: Path) -> None:
    (home / "auth.json").write_text("{ not json")
    async with server() as peer:
        assert "needsLogin" in await peer.result("account/read")
        assert await peer.result(LOGOUT) == {}
        assert await peer.result("account/read") == {"account": None, "requiresOpenaiAuth": True}
    assert not (home / "auth.json").exists()


async def test_a_directory_in_place_of_the_login_is_told_and_left_and_keeps_nobody_in(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    store_login(home, backend.grant())
    async with server() as peer:
        assert (await peer.result("account/read"))["account"]["type"] == "chatgpt"
        (home / "auth.json").unlink()
        (home / "auth.json").mkdir()
        assert await peer.result(LOGOUT) == {}
        read = await peer.result("account/read")
        assert read["account"] is None
        assert "it is a directory" in read["needsLogin"]["reason"]
        error = await peer.error("account/login/start", {"type": "apiKey", "apiKey": "sk-test"})
        assert error["code"] == -32603
        assert "it is left as it is" in error["message"]
    assert (home / "auth.json").is_dir()


async def test_a_turn_after_a_logout_says_that_nobody_is_signed_in(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        thread = await peer.start_thread()
        await peer.result(LOGOUT)
        turn = await peer.turn(thread)
        assert turn["status"] == "failed"
        assert "Not signed in" in turn["error"]["message"]
    assert backend.requests.to("/v1/responses") == []


@pytest.mark.parametrize("scope", ["galaxy", 1, ["local"]])
async def test_an_unknown_scope_is_invalid_params_and_signs_nobody_out(
    server: ServerFactory, home: Path, scope: object
) -> None:
    async with server() as peer:
        await peer.result("account/login/start", {"type": "apiKey", "apiKey": "sk-test"})
        assert (await peer.error(LOGOUT, {"scope": scope}))["code"] == -32602
    assert stored(home) is not None
