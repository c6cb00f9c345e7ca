"""While another process changes the account, or the keyring takes its time: nothing else waits, and order is kept."""

from __future__ import annotations

import json
import os
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from appserver.auth import manager
from appserver.auth.stores import os_keyring
from appserver.auth.stores.file_lock import FileLock
from tests.handlers.accounts import said, store_login, stored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory
    from tests.peer import Message, Peer

pytestmark = pytest.mark.anyio

START, LOGOUT, READ, STATUS = "account/login/start", "account/logout", "account/read", "getAuthStatus"
COMPLETED = "account/login/completed"
KEY = {"type": "apiKey", "apiKey": "sk-test-0123456789"}
DEVICE = {"type": "chatgptDeviceCode"}


def lock(home: Path) -> FileLock:
    """The lock that a process holds which changes auth.json."""
    return FileLock(home / "auth.json", "change", 0)


async def in_one_breath(peer: Peer, *calls: tuple[str, Any]) -> list[int]:
    """Send requests in one write and return their ids."""
    asked = [{"id": 1000 + n, "method": method, "params": params} for n, (method, params) in enumerate(calls)]
    await peer.send_raw(b"".join(json.dumps(one).encode() + b"\n" for one in asked))
    return [1000 + n for n in range(len(calls))]


def answers(peer: Peer) -> list[Message]:
    return [message for message in peer.messages if message.get("id", 0) >= 1000 and "method" not in message]


async def test_what_has_nothing_to_do_with_the_account_is_answered_meanwhile(server: ServerFactory, home: Path) -> None:
    async with server() as peer:
        with lock(home).held():
            login = await peer.post(START, KEY)
            await peer.result("model/list")
            await peer.start_thread()
            assert not [one for one in peer.messages if one.get("id") == login]
        assert (await peer.response(login))["result"] == {"type": "apiKey"}
    assert stored(home)["OPENAI_API_KEY"] == KEY["apiKey"]


async def test_requests_about_the_account_keep_their_order(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    tokens = {"type": "chatgptAuthTokens", "accessToken": backend.grant().access_token}
    async with server() as peer:
        await peer.result("model/list")
        with lock(home).held():
            ids = await in_one_breath(
                peer, (START, KEY), (STATUS, {}), (LOGOUT, {}), (STATUS, {}), (START, tokens), (READ, {}), (START, KEY)
            )
            await peer.result("model/list")
            assert answers(peer) == []
        for request_id in ids:
            await peer.response(request_id)
        first, second, third, fourth, fifth, sixth, seventh = answers(peer)
        assert [one["id"] for one in answers(peer)] == ids
    assert [first["result"], third["result"], fifth["result"]] == [
        {"type": "apiKey"},
        {},
        {"type": "chatgptAuthTokens"},
    ]
    assert [second["result"]["authMethod"], fourth["result"]["authMethod"]] == ["apikey", None]
    assert sixth["result"]["account"]["type"] == "chatgpt"
    assert "External auth is active" in seventh["error"]["message"]


async def test_a_turn_waits_for_the_login_before_it(server: ServerFactory, backend: FakeBackend, home: Path) -> None:
    async with server() as peer:
        thread = await peer.start_thread()
        with lock(home).held():
            login = await peer.post(START, KEY)
            turn = await peer.start_turn(thread)
            await peer.result("model/list")
        await peer.response(login)
        assert (await peer.finished_turn(turn))["status"] == "completed"
    assert [one.bearer for one in backend.requests.to("/v1/responses")] == [KEY["apiKey"]]


async def test_a_device_login_that_ends_meanwhile_waits_and_can_be_cancelled(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    async with server() as peer:
        with lock(home).held():
            logins = [(await peer.result(START, DEVICE))["loginId"] for _ in range(2)]
            await backend.requests.wait_for("/oauth/token")
            assert await peer.result("account/login/cancel", {"loginId": logins[1]}) == {"status": "canceled"}
            await peer.notification(COMPLETED, loginId=logins[1], success=False)
        assert (await peer.result(STATUS))["authMethod"] is None
        login = await peer.result(START, DEVICE)
        await peer.notification(COMPLETED, loginId=login["loginId"], success=True)
    assert stored(home)["auth_mode"] == "chatgpt"


async def test_a_login_that_is_begun_behind_a_logout_is_not_cancelled_by_it(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    store_login(home, backend.grant())
    async with server() as peer:
        with lock(home).held():
            logout, login = await in_one_breath(peer, (LOGOUT, {"scope": "local"}), (START, DEVICE))
            await peer.result("model/list")
        assert (await peer.response(logout))["result"] == {}
        login_id = (await peer.response(login))["result"]["loginId"]
        await peer.notification(COMPLETED, loginId=login_id, success=True)


async def test_a_lock_that_is_stuck_leads_to_an_error_that_names_its_holder(
    server: ServerFactory, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, "CHANGE_SECONDS", 0.05)
    async with server() as peer:
        with lock(home).held():
            for method, params in ((START, KEY), (LOGOUT, {})):
                (home / "auth.json").write_text("{}")
                error = await peer.error(method, params)
                assert error["code"] == -32603
                assert f"held by another process ({os.getpid()} " in error["message"]
            assert (await peer.result(READ))["account"] is None
        assert await peer.result(START, KEY) == {"type": "apiKey"}
        assert (await peer.result(STATUS))["authMethod"] == "apikey"


# The keyring


class Ring:
    """A keyring that answers once it may."""

    def __init__(self) -> None:
        self.passwords: dict[tuple[str, str], str] = {}
        self.may_answer = Event()
        self.may_answer.set()

    def get_password(self, service: str, username: str) -> str | None:
        self.may_answer.wait()
        return self.passwords.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.passwords[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.passwords[service, username]


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ring]:
    pytest.importorskip("cryptography", reason='needs the packages of the extra: pip install "appserverd[keyring]"')
    ring = Ring()
    monkeypatch.setattr(os_keyring, "usable_backend", lambda: ring)
    yield ring
    ring.may_answer.set()


@pytest.mark.parametrize("store", ["keyring", "auto"])
async def test_who_is_signed_in_is_told_once_the_keyring_has_answered(
    server: ServerFactory, backend: FakeBackend, ring: Ring, store: str
) -> None:
    chosen = f'cli_auth_credentials_store="{store}"'
    async with server(chosen) as peer:
        assert await peer.result(START, KEY) == {"type": "apiKey"}
    ring.may_answer.clear()
    async with server(chosen) as peer:
        ids = await in_one_breath(peer, (READ, {}), (STATUS, {}))
        await peer.result("model/list")
        turn = await peer.start_turn(await peer.start_thread())
        assert answers(peer) == []
        ring.may_answer.set()
        read, status = [(await peer.response(one))["result"] for one in ids]
        assert read["account"] == {"type": "apiKey"}
        assert status["authMethod"] == "apikey"
        assert (await peer.finished_turn(turn))["status"] == "completed"
        assert "account/updated" not in said(peer)


async def test_a_keyring_that_does_not_answer_is_said_to_be_the_reason(
    server: ServerFactory, home: Path, ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os_keyring.HomeKey.__init__, "__defaults__", (None, 0.05))
    async with server('cli_auth_credentials_store="keyring"') as peer:
        await peer.result(START, KEY)
    ring.may_answer.clear()
    async with server('cli_auth_credentials_store="keyring"') as peer:
        read = await peer.result(READ)
        assert read["account"] is None
        assert "the keyring has not answered" in read["needsLogin"]["reason"]
        assert "keyring" in (await peer.error(START, KEY))["message"]
        assert await peer.result(LOGOUT) == {}
    assert not (home / "auth.enc").exists()
