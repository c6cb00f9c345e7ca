"""An account in a program, without a server: who is signed in, tokens, and several accounts side by side."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import anyio
import pytest

from appserver.auth import Account, AccountInfo, ConfigError, MemoryStore, NotSignedIn, RefreshError, StoreBusy
from appserver.auth.stores.file import FileStore
from appserver.errors import AuthError
from appserver.testing import RefreshState
from tests.auth.slow_store import Database, SlowStore
from tests.handlers.accounts import store_login, stored

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.auth.library.conftest import Open
    from tests.conftest import ServerFactory

pytestmark = pytest.mark.anyio

TOKEN_PATH = "/oauth/token"
CALLERS = 20
PROCESSES = 4
WAIT_SECONDS = 30.0
"""What a test waits for something that should come at once, on a busy machine."""

ASK = """
import sys, anyio
from appserver.auth import Account

async def main():
    async with Account.open(sys.argv[1], issuer=sys.argv[2]) as account:
        print(await account.access_token())

anyio.run(main)
"""


# Who is signed in


async def test_where_nothing_is_stored_no_user_is_signed_in(open_account: Open) -> None:
    async with open_account() as account:
        assert await account.read() == AccountInfo()
        assert not (await account.read()).signed_in
        with pytest.raises(NotSignedIn):
            await account.access_token()


async def test_a_stored_login_tells_whose_it_is(open_account: Open, backend: FakeBackend, home: Path) -> None:
    store_login(home, backend.grant(account="org-2", user="user-2", email="two@example.com", plan="team"), "org-2")
    async with open_account() as account:
        info = await account.read()
    assert (info.mode, info.email, info.plan) == ("chatgpt", "two@example.com", "team")
    assert (info.account_id, info.user_id) == ("org-2", "user-2")
    assert info.expires_at is not None
    assert info.expires_at > time.time()
    assert (info.signed_in, info.is_renewable, info.needs_login) == (True, True, None)
    assert backend.requests.to(TOKEN_PATH) == []


async def test_an_api_key_is_told_without_an_account(open_account: Open) -> None:
    async with open_account() as account:
        await account.login_api_key("sk-test-0123456789")
        assert await account.read() == AccountInfo(mode="apikey")
        assert await account.headers() == {"Authorization": "Bearer sk-test-0123456789"}


async def test_a_stored_credential_that_makes_no_sense_is_told_and_a_login_takes_its_place(
    open_account: Open, home: Path
) -> None:
    (home / "auth.json").write_text("no JSON")
    async with open_account() as account:
        assert "not JSON" in ((await account.read()).needs_login or "")
        with pytest.raises(NotSignedIn, match="not JSON"):
            await account.access_token()
        await account.login_api_key("sk-test-0123456789")
        assert (await account.read()).mode == "apikey"


async def test_what_another_process_has_stored_is_used_without_opening_the_account_again(
    open_account: Open, backend: FakeBackend, home: Path
) -> None:
    async with open_account() as account:
        assert not (await account.read()).signed_in
        grant = backend.grant()
        store_login(home, grant)
        assert await account.access_token() == grant.access_token


async def test_nothing_of_an_account_shows_a_credential(open_account: Open, backend: FakeBackend, home: Path) -> None:
    grant = backend.grant()
    store_login(home, grant)
    async with open_account() as account:
        await account.access_token()
        shown = f"{account!r} {await account.read()!r} {vars(account)!r}"
    assert not any(token in shown for token in (grant.access_token, grant.refresh_token, grant.id_token))


# Tokens


async def test_a_token_that_is_about_to_expire_is_refreshed_before_its_use(
    open_account: Open, backend: FakeBackend, home: Path
) -> None:
    grant = backend.grant(expires_in=60)
    store_login(home, grant)
    async with open_account(refresh_skew=30) as account:
        assert await account.access_token() == grant.access_token
    async with open_account(refresh_skew=90) as account:
        token = await account.access_token()
    assert token != grant.access_token
    assert stored(home)["tokens"]["access_token"] == token
    assert backend.tokens.accepts(token)


async def test_any_number_of_callers_cause_one_refresh(open_account: Open, backend: FakeBackend, home: Path) -> None:
    store_login(home, backend.grant(expires_in=-1))
    tokens = []
    async with open_account() as account, anyio.create_task_group() as group:

        async def ask() -> None:
            tokens.append(await account.access_token())

        for _ in range(CALLERS):
            group.start_soon(ask)
    assert len(tokens) == CALLERS
    assert len(set(tokens)) == 1
    assert len(backend.requests.to(TOKEN_PATH)) == 1


async def test_a_refused_token_is_refreshed_once_and_an_older_one_not_at_all(
    open_account: Open, backend: FakeBackend, home: Path
) -> None:
    old = backend.grant()
    store_login(home, old)
    async with open_account() as account:
        new = await account.refresh(old.access_token)
        assert new != old.access_token
        assert await account.refresh(old.access_token) == new
        assert await account.access_token() == new
    assert len(backend.requests.to(TOKEN_PATH)) == 1


async def test_a_login_that_has_ended_says_that_the_user_has_to_sign_in_again(
    open_account: Open, backend: FakeBackend, home: Path
) -> None:
    grant = backend.grant()
    store_login(home, grant)
    backend.tokens.expire_refresh_tokens()
    async with open_account() as account:
        with pytest.raises(RefreshError) as caught:
            await account.refresh(grant.access_token)
        assert caught.value.permanent
        assert "refresh_token_expired" in ((await account.read()).needs_login or "")


async def test_processes_and_accounts_on_one_home_redeem_a_refresh_token_once(
    open_account: Open, backend: FakeBackend, home: Path
) -> None:
    store_login(home, backend.grant(expires_in=-1))
    gate = backend.issuer.hold_next(path=TOKEN_PATH)
    tokens: list[str] = []
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    async def in_a_process() -> None:
        done = await anyio.run_process([sys.executable, "-c", ASK, str(home), backend.url], env=environ)
        tokens.append(done.stdout.decode().strip())

    async def in_an_account() -> None:
        async with open_account() as account:
            tokens.append(await account.access_token())

    with anyio.fail_after(WAIT_SECONDS):
        async with anyio.create_task_group() as group:
            for _ in range(PROCESSES):
                group.start_soon(in_a_process)
                group.start_soon(in_an_account)
            await backend.requests.wait_for(TOKEN_PATH, 1, WAIT_SECONDS)
            gate.release()
    assert len(tokens) == 2 * PROCESSES
    assert len(set(tokens)) == 1
    assert len(backend.requests.to(TOKEN_PATH)) == 1
    assert backend.tokens.refresh_state(stored(home)["tokens"]["refresh_token"]) is RefreshState.LIVE


async def test_a_server_and_a_library_on_one_home_share_the_login(
    open_account: Open, backend: FakeBackend, home: Path, server: ServerFactory
) -> None:
    grant = backend.grant()
    store_login(home, grant)
    async with open_account() as account, server() as peer:
        new = await account.refresh(grant.access_token)
        backend.tokens.reject(grant.access_token)
        assert (await peer.turn(await peer.start_thread()))["status"] == "completed"
        await peer.result("account/logout")
        assert not (await account.read()).signed_in
    assert len(backend.requests.to(TOKEN_PATH)) == 1
    assert backend.requests.to("/v1/responses")[-1].bearer == new


async def test_a_response_that_a_killed_process_has_left_is_found(
    open_account: Open, backend: FakeBackend, home: Path
) -> None:
    grant = backend.grant(expires_in=-1)
    store_login(home, grant)
    store = FileStore(str(home))
    async with open_account() as account:
        await account.access_token()
    after = stored(home)["tokens"]
    store_login(home, grant)  # as if the process had been killed between the response and the store
    record = {**after, "redeemed_sha256": fingerprint_of(grant.refresh_token), "account_id": None}
    write_ahead = store.write_ahead()
    write_ahead.open()
    write_ahead.write(record)
    write_ahead.close()
    async with open_account() as account:
        assert await account.access_token() == after["access_token"]
    assert len(backend.requests.to(TOKEN_PATH)) == 1


def fingerprint_of(token: str) -> str:
    from appserver.auth.stores.refused_tokens import fingerprint
    from protocol.base import Secret

    return fingerprint(Secret(token))


# Many accounts in one process


async def test_accounts_of_two_homes_know_nothing_of_each_other(
    open_account: Open, backend: FakeBackend, tmp_path: Path
) -> None:
    homes = tmp_path / "one", tmp_path / "two"
    grants = [backend.grant(account=f"org-{n}", user=f"user-{n}") for n in (1, 2)]
    for n, (home, grant) in enumerate(zip(homes, grants, strict=True), 1):
        home.mkdir()
        store_login(home, grant, f"org-{n}")
    async with open_account(homes[0]) as one, open_account(homes[1]) as two:
        assert [await one.access_token(), await two.access_token()] == [grant.access_token for grant in grants]
        await one.refresh(grants[0].access_token)
        assert await two.access_token() == grants[1].access_token
        await one.logout(revoke=False)
        assert not (await one.read()).signed_in
        assert (await two.read()).account_id == "org-2"
    assert stored(homes[0]) is None


async def test_a_store_of_the_callers_keeps_the_login_and_stays_open(open_account: Open, backend: FakeBackend) -> None:
    database = Database()
    async with open_account(store=SlowStore(database)) as account:
        login = await account.login_device_code()
        await login.wait()
        token = await account.access_token()
    store = SlowStore(database)
    for _ in range(2):
        async with open_account(store=store) as account:
            assert await account.access_token() == token
    assert backend.tokens.accepts(token)


async def test_with_a_store_and_no_home_nothing_on_the_disk_is_read(backend: FakeBackend, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('forced_login_method = "chatgpt"')
    environ = {"APPSERVER_HOME": str(tmp_path)}
    async with Account.open(store=MemoryStore(), issuer=backend.url, environ=environ) as account:
        await account.login_api_key("sk-test-0123456789")
        assert (await account.read()).mode == "apikey"
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]


# Settings


async def test_an_issuer_that_is_named_is_asked_whatever_the_environment_says(backend: FakeBackend, home: Path) -> None:
    store_login(home, backend.grant(expires_in=-1))
    elsewhere = {"CODEX_REFRESH_TOKEN_URL_OVERRIDE": "http://127.0.0.1:9/oauth/token"}
    async with Account.open(home, issuer=backend.url, environ=elsewhere) as account:
        await account.access_token()
    assert len(backend.requests.to(TOKEN_PATH)) == 1


async def test_the_home_is_the_servers_unless_one_is_named(backend: FakeBackend, home: Path) -> None:
    grant = backend.grant()
    store_login(home, grant)
    async with Account.open(environ=backend.environ(home)) as account:
        assert await account.access_token() == grant.access_token


async def test_a_store_of_another_kind_can_be_asked_for(open_account: Open, home: Path) -> None:
    async with open_account(store_kind="ephemeral") as account:
        await account.login_api_key("sk-test-0123456789")
    assert stored(home) is None


async def test_a_kind_of_store_that_there_is_not_is_refused(open_account: Open) -> None:
    with pytest.raises(ConfigError, match="file, keyring, auto, ephemeral"):
        open_account(store_kind="cloud")


async def test_what_the_administrator_forbids_is_refused(open_account: Open, home: Path) -> None:
    (home / "config.toml").write_text('forced_login_method = "chatgpt"\nforced_chatgpt_workspace_id = "org-9"')
    async with open_account() as account:
        with pytest.raises(AuthError, match="API key login is disabled"):
            await account.login_api_key("sk-test-0123456789")


async def test_the_program_is_named_to_the_issuer(open_account: Open, backend: FakeBackend, home: Path) -> None:
    store_login(home, backend.grant(expires_in=-1))
    async with open_account(client_name="my-app", client_version="1.2") as account:
        await account.access_token()
    [request] = backend.requests.to(TOKEN_PATH)
    assert request.headers["originator"] == "my-app"
    assert "my-app; 1.2" in request.headers["user-agent"]


# Its life


async def test_an_account_that_is_not_open_says_so(open_account: Open) -> None:
    account = open_account()
    with pytest.raises(RuntimeError, match="not open"):
        await account.access_token()
    async with account:
        pass
    with pytest.raises(RuntimeError, match="not open"):
        await account.read()
    with pytest.raises(RuntimeError, match="once"):
        async with account:
            pass


async def test_an_error_in_the_block_comes_out_as_it_is(open_account: Open) -> None:
    with pytest.raises(LookupError, match="mine"):
        async with open_account():
            raise LookupError("mine")


async def test_a_block_that_is_cancelled_closes_the_account(open_account: Open) -> None:
    with anyio.move_on_after(0) as scope:
        async with open_account() as account:
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    with pytest.raises(RuntimeError, match="not open"):
        await account.read()


async def test_closing_waits_for_a_redemption_that_has_begun_and_stores_what_it_brings(
    open_account: Open, backend: FakeBackend, home: Path
) -> None:
    grant = backend.grant(expires_in=-1)
    store_login(home, grant)
    gate = backend.issuer.hold_next(path=TOKEN_PATH)
    async with anyio.create_task_group() as group:

        async def ask_and_leave() -> None:
            async with open_account() as account, anyio.create_task_group() as asking:
                asking.start_soon(account.access_token)
                await gate.reached.wait()
                asking.cancel_scope.cancel()

        group.start_soon(ask_and_leave)
        await gate.reached.wait()
        gate.release()
    assert stored(home)["tokens"]["refresh_token"] != grant.refresh_token


async def test_another_process_that_keeps_the_store_locked_holds_up_a_login_for_a_bound_only(
    open_account: Open, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appserver.auth.stores.base.CHANGE_SECONDS", 0.1)
    lock = FileStore(str(home))._file.lock("change", 0)
    async with open_account() as account:
        with lock.held(), pytest.raises(StoreBusy):
            await account.login_api_key("sk-test-0123456789")
        await account.login_api_key("sk-test-0123456789")
        assert (await account.read()).mode == "apikey"
