"""Several users in one process: two accounts, two homes, and nothing of one that the other could notice."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import pytest

from appserver.log import redacted
from appserver.server.workspace import Workspace
from appserver.settings import load_settings
from appserver.testing import text
from tests.handlers.accounts import store_login, stored
from tests.peer import house

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from appserver.settings import Settings
    from appserver.testing import FakeBackend, Grant
    from tests.peer import House, Peer

pytestmark = pytest.mark.anyio

RESPONSES = "/v1/responses"


class User(NamedTuple):
    """One of two, with a client that works in a workspace of its own."""

    home: Path
    peer: Peer

    def files(self) -> set[str]:
        """The names of what lies in the home, but for SQLite's own files."""
        return {one.name for one in self.home.iterdir()} - {"threads.db-wal", "threads.db-shm"}


@pytest.fixture
def settings(home: Path, backend: FakeBackend) -> Settings:
    return load_settings(backend.environ(home))


@asynccontextmanager
async def two_users(settings: Settings, tmp_path: Path, *grants: Grant) -> AsyncIterator[tuple[User, User, House]]:
    """Two users, signed in with managed logins where grants are given."""
    homes = tmp_path / "ada", tmp_path / "ben"
    for home in homes:
        home.mkdir()
    for home, grant in zip(homes, grants, strict=False):
        store_login(home, grant)
    async with house(settings) as server:
        ada, ben = (
            server.server.add(Workspace(server.server.runtime, settings._replace(home=str(home)))) for home in homes
        )
        async with server.client("ada", ada) as one, server.client("ben", ben) as other:
            yield User(homes[0], one), User(homes[1], other), server


async def test_each_sends_its_own_token_and_sees_its_own_threads(
    settings: Settings, tmp_path: Path, backend: FakeBackend
) -> None:
    grants = backend.grant(), backend.grant()
    async with two_users(settings, tmp_path, *grants) as (ada, ben, _):
        for user in (ada, ben):
            thread = await user.peer.start_thread()
            assert (await user.peer.turn(thread))["status"] == "completed"
            listed = (await user.peer.result("thread/list", {}))["data"]
            assert [one["id"] for one in listed] == [thread]
        assert [request.bearer for request in backend.requests.to(RESPONSES)] == [one.access_token for one in grants]
        assert not [method for method in ben.peer.methods if method == "error"]


async def test_a_logout_of_one_signs_the_other_out_of_nothing(
    settings: Settings, tmp_path: Path, backend: FakeBackend
) -> None:
    async with two_users(settings, tmp_path, backend.grant(), backend.grant()) as (ada, ben, _):
        await ada.peer.result("account/read", {})
        await ben.peer.result("account/read", {})
        await ada.peer.result("account/logout")
        await ada.peer.notification("account/updated", authMode=None)
        assert (await ada.peer.result("account/read", {}))["account"] is None
        assert (await ben.peer.result("account/read", {}))["account"] is not None
        assert stored(ben.home) is not None
        assert "account/updated" not in ben.peer.methods


async def test_a_refused_login_of_one_is_noted_for_that_one_alone(
    settings: Settings, tmp_path: Path, backend: FakeBackend
) -> None:
    dead, good = replace(backend.grant(), refresh_token="rt-never-issued"), backend.grant()
    backend.expire_access_tokens()
    async with two_users(settings, tmp_path, dead, good) as (ada, ben, _):
        assert (await ada.peer.turn(await ada.peer.start_thread()))["status"] == "failed"
        assert (await ben.peer.turn(await ben.peer.start_thread()))["status"] == "completed"
        assert "refresh-failed.json" in ada.files()
        assert "refresh-failed.json" not in ben.files()


async def test_no_cookie_of_one_is_sent_with_the_others_request(
    settings: Settings, tmp_path: Path, backend: FakeBackend
) -> None:
    cookies = {"Set-Cookie": "session=ada; Path=/"}
    backend.script(*(replace(text("Hello"), headers=cookies) for _ in range(3)))
    async with two_users(settings, tmp_path, backend.grant(), backend.grant()) as (ada, ben, _):
        for user in (ada, ben, ada):
            await user.peer.turn(await user.peer.start_thread())
    assert len(backend.requests.to(RESPONSES)) == 3
    assert not [request for request in backend.requests.to(RESPONSES) if "cookie" in request.headers]


async def test_a_user_with_many_keys_uncovers_none_of_anothers(
    settings: Settings, tmp_path: Path, backend: FakeBackend
) -> None:
    async with two_users(settings, tmp_path) as (ada, ben, _):
        await ada.peer.result("account/login/start", {"type": "apiKey", "apiKey": "adas-key-of-no-known-shape"})
        for number in range(100):
            await ben.peer.result("account/login/start", {"type": "apiKey", "apiKey": f"bens-key-{number:04}"})
        assert redacted("adas-key-of-no-known-shape bens-key-0099") == "*** ***"


async def test_each_writes_into_its_own_home_and_nothing_into_the_servers(
    settings: Settings, tmp_path: Path, backend: FakeBackend
) -> None:
    async with two_users(settings, tmp_path, backend.grant(), backend.grant()) as (ada, ben, server):
        await ada.peer.turn(await ada.peer.start_thread())
        assert "threads.db" in ada.files()
        assert ben.files() == {"auth.json"}
        assert not {one.name for one in (tmp_path / "home").iterdir()} & {"threads.db", "auth.json"}
        assert server.server.runtime.settings.home == str(tmp_path / "home")


async def test_one_server_request_of_one_user_goes_to_no_client_of_another(
    settings: Settings, tmp_path: Path, backend: FakeBackend
) -> None:
    old = backend.grant().access_token
    backend.expire_access_tokens()
    async with two_users(settings, tmp_path) as (ada, ben, _):
        refresh = "account/chatgptAuthTokens/refresh"
        ada.peer.responders[refresh] = lambda _: {"error": {"code": 1, "message": "no more"}}
        await ada.peer.login_with_tokens(old)
        assert (await ada.peer.turn(await ada.peer.start_thread()))["status"] == "failed"
        assert [request["method"] for request in ada.peer.requests] == [refresh]
        assert not ben.peer.requests
