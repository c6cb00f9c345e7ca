"""Several processes on one home: one refresh for all, and what one does is seen by the others."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import anyio
import pytest

from appserver.testing.ledger import RefreshState
from tests.handlers.accounts import store_login, stored, write_auth

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory
    from tests.peer import Peer

pytestmark = pytest.mark.anyio

PROCESSES = 8
LOAD_SECONDS = 30.0
"""What the first requests of many processes may take that start at once on a small machine."""

SEEN_SECONDS = 5.0
"""Within which an idle process must tell of a change made elsewhere."""

TOKEN_PATH, RESPONSES = "/oauth/token", "/v1/responses"


def assert_live(backend: FakeBackend, home: Path) -> None:
    """What is on disk can be used, and refreshed again."""
    tokens = stored(home)["tokens"]
    assert backend.tokens.accepts(tokens["access_token"])
    assert backend.tokens.refresh_state(tokens["refresh_token"]) is RefreshState.LIVE


def leftovers(home: Path) -> list[str]:
    """Files that a finished write would have removed."""
    return [path.name for path in home.iterdir() if path.name.endswith(".tmp")]


async def test_eight_processes_that_meet_one_expired_token_redeem_it_once(
    process: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    store_login(home, backend.grant())
    backend.expire_access_tokens()
    gate = backend.issuer.hold_next(path=TOKEN_PATH)
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(process()) for _ in range(PROCESSES)]
        threads = [await peer.start_thread() for peer in peers]
        turns = [await peer.start_turn(thread) for peer, thread in zip(peers, threads, strict=True)]
        await backend.requests.wait_for(RESPONSES, PROCESSES, LOAD_SECONDS)  # every one has met the refusal
        gate.release()
        for peer, turn in zip(peers, turns, strict=True):
            finished = await peer.finished_turn(turn)
            assert finished["status"] == "completed", finished
        assert all("account/updated" not in peer.methods for peer in peers)
    assert len(backend.requests.to(TOKEN_PATH)) == 1
    assert_live(backend, home)
    assert leftovers(home) == []


async def test_processes_that_come_later_find_the_new_token(
    process: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    store_login(home, backend.grant())
    backend.expire_access_tokens()
    for _ in range(2):
        async with process() as peer:
            assert (await peer.turn(await peer.start_thread()))["status"] == "completed"
    assert len(backend.requests.to(TOKEN_PATH)) == 1


class Elsewhere:
    """What another process may do to the same home: another daemon, or any program that replaces the file."""

    def __init__(self, process: ServerFactory, backend: FakeBackend, home: Path) -> None:
        self._process = process
        self._backend = backend
        self._home = home

    async def login_by_daemon(self) -> None:
        async with self._process() as peer:
            await peer.result("account/login/start", {"type": "chatgptDeviceCode"})
            await peer.notification("account/login/completed", success=True)

    async def login_by_file(self) -> None:
        store_login(self._home, self._backend.grant())

    async def switch_by_daemon(self) -> None:
        async with self._process() as peer:
            await peer.result("account/login/start", {"type": "apiKey", "apiKey": "sk-other"})

    async def switch_by_file(self) -> None:
        write_auth(self._home, {"auth_mode": "apikey", "OPENAI_API_KEY": "sk-other"})

    async def logout_by_daemon(self) -> None:
        async with self._process() as peer:
            await peer.result("account/logout", {"scope": "local"})

    async def logout_by_file(self) -> None:
        (self._home / "auth.json").unlink()


@pytest.fixture
def elsewhere(process: ServerFactory, backend: FakeBackend, home: Path) -> Elsewhere:
    return Elsewhere(process, backend, home)


def change(elsewhere: Elsewhere, what: str, by: str) -> Callable[[], Awaitable[None]]:
    found: Callable[[], Awaitable[None]] = getattr(elsewhere, f"{what}_by_{by}")
    return found


BY = pytest.mark.parametrize("by", ["daemon", "file"])


@BY
async def test_a_login_elsewhere_is_used_by_the_next_turn(
    process: ServerFactory, backend: FakeBackend, home: Path, elsewhere: Elsewhere, by: str
) -> None:
    async with process() as peer:
        thread = await peer.start_thread()
        assert "Not signed in" in (await peer.turn(thread))["error"]["message"]
        await change(elsewhere, "login", by)()
        assert (await peer.turn(thread))["status"] == "completed"
        await peer.notification("account/updated", authMode="chatgpt", planType="pro")
    assert backend.requests.to(RESPONSES)[0].bearer == stored(home)["tokens"]["access_token"]


@BY
async def test_an_account_switch_elsewhere_is_used_by_the_next_turn(
    process: ServerFactory, backend: FakeBackend, home: Path, elsewhere: Elsewhere, by: str
) -> None:
    store_login(home, backend.grant())
    async with process() as peer:
        thread = await peer.start_thread()
        await peer.turn(thread)
        await change(elsewhere, "switch", by)()
        assert (await peer.turn(thread))["status"] == "completed"
        await peer.notification("account/updated", authMode="apikey", planType=None)
    assert backend.requests.to(RESPONSES)[-1].bearer == "sk-other"


@BY
async def test_a_logout_elsewhere_stops_the_next_turn(
    process: ServerFactory, backend: FakeBackend, home: Path, elsewhere: Elsewhere, by: str
) -> None:
    store_login(home, backend.grant())
    async with process() as peer:
        thread = await peer.start_thread()
        await peer.turn(thread)
        await change(elsewhere, "logout", by)()
        assert "Not signed in" in (await peer.turn(thread))["error"]["message"]
        await peer.notification("account/updated", authMode=None)
    assert len(backend.requests.to(RESPONSES)) == 1


@BY
@pytest.mark.parametrize("what", ["login", "switch"])
async def test_a_change_elsewhere_serves_a_turn_whose_token_is_refused(
    process: ServerFactory, backend: FakeBackend, home: Path, elsewhere: Elsewhere, what: str, by: str
) -> None:
    store_login(home, backend.grant(account="org-9"), "org-9")
    backend.expire_access_tokens()
    backend.tokens.accept("sk-other")
    gate = backend.model.hold_next(path=RESPONSES)
    async with process() as peer:
        turn = await peer.start_turn(await peer.start_thread())
        await gate.reached.wait(LOAD_SECONDS)
        await change(elsewhere, what, by)()
        before = len(backend.requests.to(TOKEN_PATH))
        gate.release()
        assert (await peer.finished_turn(turn))["status"] == "completed"
        assert len(backend.requests.to(TOKEN_PATH)) == before


async def test_a_logout_elsewhere_fails_a_turn_whose_token_is_refused(
    process: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    store_login(home, backend.grant())
    backend.expire_access_tokens()
    gate = backend.model.hold_next(path=RESPONSES)
    async with process() as peer:
        turn = await peer.start_turn(await peer.start_thread())
        await gate.reached.wait(LOAD_SECONDS)
        (home / "auth.json").unlink()
        gate.release()
        finished = await peer.finished_turn(turn)
        assert finished["status"] == "failed"
        assert "Signed out" in finished["error"]["message"]
    assert backend.requests.to(TOKEN_PATH) == []


async def test_a_running_turn_finishes_with_what_it_has(
    process: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    store_login(home, backend.grant())
    gate = backend.model.hold_next(path=RESPONSES)
    async with process() as peer:
        turn = await peer.start_turn(await peer.start_thread())
        await gate.reached.wait(LOAD_SECONDS)
        (home / "auth.json").unlink()
        gate.release()
        assert (await peer.finished_turn(turn))["status"] == "completed"


async def told_while_idle(peer: Peer, mode: str | None, act: Callable[[], Awaitable[None]]) -> None:
    """Act, and see that the peer is told in time without having asked for anything."""
    start = len(peer.messages)
    await act()
    with anyio.fail_after(SEEN_SECONDS):
        await peer.notification("account/updated", after=start, authMode=mode)


@BY
async def test_an_idle_process_tells_of_logins_switches_and_logouts_elsewhere(
    process: ServerFactory, elsewhere: Elsewhere, by: str
) -> None:
    async with process() as peer:
        assert (await peer.result("account/read"))["account"] is None
        await told_while_idle(peer, "chatgpt", change(elsewhere, "login", by))
        await told_while_idle(peer, "apikey", change(elsewhere, "switch", by))
        await told_while_idle(peer, None, change(elsewhere, "logout", by))
        assert peer.methods == ["account/updated"] * 3


async def test_a_siblings_rotation_is_used_and_not_announced(
    process: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    store_login(home, backend.grant())
    async with process() as idle, process() as sibling:
        await idle.result("account/read")
        await sibling.result("account/read", {"refreshToken": True})
        status = await idle.result("getAuthStatus", {"includeToken": True})
        assert status["authToken"] == stored(home)["tokens"]["access_token"]
        assert idle.methods == []
        assert sibling.methods == []
    assert len(backend.requests.to(TOKEN_PATH)) == 1


async def test_a_dead_token_is_tried_once_by_all_processes(
    process: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    store_login(home, backend.grant())
    backend.expire_access_tokens()
    backend.tokens.expire_refresh_tokens()
    async with process() as first, process() as second:
        for peer in (first, second):
            turn = await peer.turn(await peer.start_thread())
            assert "refresh_token_expired" in turn["error"]["message"]
            assert "needsLogin" in await peer.result("account/read")
    assert len(backend.requests.to(TOKEN_PATH)) == 1
