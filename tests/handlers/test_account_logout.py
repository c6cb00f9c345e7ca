"""Signing out: here, at the issuer, and never held up by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appserver.auth.stores.file import FileStore
from appserver.auth.stores.refused_tokens import fingerprint
from appserver.testing import RefreshState
from protocol.base import Secret
from tests.auth.disks import names
from tests.auth.store_kit import redeeming
from tests.handlers.accounts import said, store_login, stored, write_auth

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory

pytestmark = pytest.mark.anyio

LOGOUT, REVOKE_PATH, TOKEN_PATH = "account/logout", "/oauth/revoke", "/oauth/token"
DEVICE = {"type": "chatgptDeviceCode"}
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
    gate = backend.issuer.hold_answer(path=TOKEN_PATH)
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


@pytest.mark.parametrize("last", [None, {"scope": "local"}, {"scope": "everywhere"}], ids=["login", "local", "logout"])
async def test_a_login_after_the_logout_does_not_keep_what_the_refresh_brings_alive(
    server: ServerFactory, backend: FakeBackend, home: Path, last: dict[str, str] | None
) -> None:
    store_login(home, backend.grant())
    backend.expire_access_tokens()
    gate = backend.issuer.hold_answer(path=TOKEN_PATH)
    async with server() as peer:
        turn = await peer.start_turn(await peer.start_thread())
        await gate.reached.wait()
        await peer.result(LOGOUT)
        await peer.finished_turn(turn)
        await peer.result("account/login/start", DEVICE)
        await peer.notification("account/updated", authMode="chatgpt")
        second = stored(home)["tokens"]["refresh_token"]
        if last is not None:
            await peer.result(LOGOUT, last)
        gate.release()
        revoked = [first, successor] = await revocations(backend, 3 if last == {"scope": "everywhere"} else 2, second)
    assert {backend.tokens.refresh_state(token) for token in revoked} == {RefreshState.INVALIDATED}
    assert len({first, successor, second}) == 3
    assert (backend.tokens.refresh_state(second) is RefreshState.LIVE) == (last != {"scope": "everywhere"})
    assert names(home) <= {
        "auth.json",
        "config.toml",
        "threads.db",
        "threads.db-shm",
        "threads.db-wal",
        "threads.owners",
    }


async def revocations(backend: FakeBackend, count: int, but: str) -> list[str]:
    """Wait for so many revocations and return their tokens, but for one."""
    requests = await backend.requests.wait_for(REVOKE_PATH, count)
    return [token for request in requests if (token := request.json()["token"]) != but]


@pytest.mark.parametrize("replacement", ["apiKey", "chatgptDeviceCode"])
async def test_a_login_in_place_of_one_that_is_refreshed_revokes_nothing(
    server: ServerFactory, backend: FakeBackend, home: Path, replacement: str
) -> None:
    async with server() as peer:
        await peer.result("account/login/start", {"type": "apiKey", "apiKey": "sk-test"})
        await peer.result(LOGOUT)  # an earlier one, that ended everywhere, has no say
        store_login(home, backend.grant())
        backend.expire_access_tokens()
        gate = backend.issuer.hold_answer(path=TOKEN_PATH)
        turn = await peer.start_turn(await peer.start_thread())
        await gate.reached.wait()
        await peer.result("account/login/start", {"type": replacement, "apiKey": "sk-test"})
        await peer.notification("account/updated", authMode="apikey" if replacement == "apiKey" else "chatgpt")
        await peer.finished_turn(turn)
        gate.release()
    assert backend.requests.to(REVOKE_PATH) == []


@pytest.mark.parametrize("scope", ["local", "everywhere"])
async def test_a_logout_by_another_process_during_a_refresh_counts_as_it_was_meant(
    server: ServerFactory, backend: FakeBackend, home: Path, scope: str
) -> None:
    store_login(home, backend.grant())
    backend.expire_access_tokens()
    gate = backend.issuer.hold_answer(path=TOKEN_PATH)
    async with server() as refreshing, server() as other:
        turn = await refreshing.start_turn(await refreshing.start_thread())
        await gate.reached.wait()
        await other.result(LOGOUT, {"scope": scope})
        gate.release()
        assert (await refreshing.finished_turn(turn))["status"] == "failed"
        await refreshing.notification("account/updated", authMode=None)
    revoked = [request.json()["token"] for request in backend.requests.to(REVOKE_PATH)]
    assert len(revoked) == len(set(revoked)) == (2 if scope == "everywhere" else 0)
    assert not list(home.glob(".auth*"))


async def test_a_logout_revokes_what_another_process_has_stored_meanwhile(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    store_login(home, backend.grant())
    renewed = backend.grant()
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)  # which hide the other
        store_login(home, renewed)
        await peer.result(LOGOUT)
    assert [request.json()["token"] for request in backend.requests.to(REVOKE_PATH)] == [renewed.refresh_token]


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
    with redeeming(FileStore(str(home))) as redemption:
        redemption.write(
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
