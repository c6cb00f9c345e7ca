"""A credential manager with a clock, a store and a refresher that the test holds in its hands."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

from appserver.auth.credentials import ExternalTokens, ManagedTokens, external_tokens, managed_tokens
from appserver.auth.maintenance import Maintenance
from appserver.auth.manager import AuthManager
from appserver.auth.refresh.base import RefreshedTokens
from appserver.auth.stores.base import MemoryStore
from appserver.tasks import Tasks
from appserver.testing import make_jwt
from protocol.base import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from appserver.auth.credentials import Credential, Held
    from appserver.auth.refresh.base import RefreshRequest
    from appserver.auth.stores.base import CredentialStore
    from appserver.settings import Settings

WAIT_SECONDS = 10.0
"""What a test waits for something that should come at once."""

NOW = 1_800_000_000.0


def jwt(expires_at: float | None = NOW + 3600, **claims: Any) -> Secret:  # noqa: ANN401 - of any type, as in JSON
    """Make a token that expires at a time of the rig's clock."""
    expiry: dict[str, Any] = {"exp": expires_at} if expires_at else {}
    return Secret(make_jwt(expires_in=None, **claims, **expiry))


def managed(
    refresh_token: str | None = "rt-one",
    expires_at: float | None = NOW + 3600,
    **claims: Any,  # noqa: ANN401 - as above
) -> ManagedTokens:
    """Make a managed login."""
    token = Secret(refresh_token) if refresh_token else None
    return managed_tokens(jwt(None, **claims), jwt(expires_at, **claims), token, last_refresh="2026-01-01T00:00:00Z")


def external(expires_at: float | None = NOW + 3600, **claims: Any) -> ExternalTokens:  # noqa: ANN401 - as above
    """Make tokens of the client."""
    return external_tokens(jwt(expires_at, **claims), None, None, None)


def new_tokens(refresh_token: str | None = "rt-two", expires_at: float = NOW + 7200, **claims: Any) -> RefreshedTokens:  # noqa: ANN401 - as above
    """Make what a refresher returns."""
    token = Secret(refresh_token) if refresh_token else None
    return RefreshedTokens(jwt(expires_at, **claims), jwt(None, **claims), token)


class Clock:
    """A time that stands still until the test moves it."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class ScriptedRefresher:
    """Returns, or raises, what stands in `answers`, else new tokens of the same account; waits for `gate` if set."""

    def __init__(self) -> None:
        self.requests: list[RefreshRequest] = []
        self.answers: list[object] = []
        self.gate: anyio.Event | None = None
        self.asked = anyio.Event()

    async def refresh(self, request: RefreshRequest) -> RefreshedTokens:
        self.requests.append(request)
        self.asked.set()
        if self.gate is not None:
            await self.gate.wait()
        answer = self.answers.pop(0) if self.answers else new_tokens(account=request.credential.account_id)
        if isinstance(answer, BaseException):
            raise answer
        return answer  # type: ignore[return-value]  # a foreign refresher may return anything

    def hold(self) -> anyio.Event:
        """Let refreshes wait until the returned event is set."""
        self.gate, self.asked = anyio.Event(), anyio.Event()
        return self.gate


@dataclass
class Rig:
    """The manager and everything around it. `told` counts the changes that it announced."""

    manager: AuthManager
    maintenance: Maintenance
    store: CredentialStore
    refresher: ScriptedRefresher
    clock: Clock
    group: anyio.abc.TaskGroup
    told: list[str | None] = field(default_factory=list)

    async def held(self) -> Held:
        """The credential in use, after a look at the store."""
        held = await self.manager.look()
        assert held is not None
        return held

    async def stored(self) -> Credential | None:
        """The stored credential."""
        return (await self.store.load()).credential

    @property
    def refreshes(self) -> int:
        """How often the refresher was asked."""
        return len(self.refresher.requests)

    async def sign_in_managed(self, *args: Any, **claims: Any) -> Held:  # noqa: ANN401 - of managed()
        """Sign in with a managed login and return it."""
        await self.manager.sign_in(managed(*args, **claims))
        return await self.held()

    async def sign_in_external(self, *args: Any, **claims: Any) -> Held:  # noqa: ANN401 - of external()
        """Sign in with the client's tokens and return them."""
        await self.manager.sign_in(external(*args, **claims))
        return await self.held()

    def start_refresh(self, refused: int) -> Outcome:
        """Renew in a task of its own, as a turn does."""
        outcome = Outcome()
        self.group.start_soon(outcome.follow, self.manager, refused)
        return outcome

    async def asked(self) -> None:
        """Wait until the refresher was asked."""
        with anyio.fail_after(WAIT_SECONDS):
            await self.refresher.asked.wait()

    async def refresh_over(self) -> None:
        """Wait until no refresh is under way."""
        with anyio.fail_after(WAIT_SECONDS):
            await self.manager.wind_down()


class Outcome:
    """What came of a renewal that runs in the background."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self._held: Held | None = None
        self._error: Exception | None = None
        self._done = anyio.Event()

    async def follow(self, manager: AuthManager, refused: int) -> None:
        try:
            with self.scope:
                self._held = await manager.refresh(refused)
        except Exception as exc:  # noqa: BLE001 - handed to who asks for the outcome
            self._error = exc
        finally:
            self._done.set()

    async def held(self) -> Held:
        """Wait for the credential; raises what the renewal raised."""
        with anyio.fail_after(WAIT_SECONDS):
            await self._done.wait()
        if self._error is not None:
            raise self._error
        assert self._held is not None, "the renewal was cancelled"
        return self._held


@asynccontextmanager
async def running_manager(
    settings: Settings, store: CredentialStore | None = None, background: Callable[[Rig], None] | None = None
) -> AsyncIterator[Rig]:
    """Run a manager; `store` is memory unless one is given."""
    tasks, refresher, clock = Tasks(), ScriptedRefresher(), Clock()
    store = store or MemoryStore()
    manager = AuthManager(settings, store, tasks, lambda _: refresher, clock)
    async with anyio.create_task_group() as group:
        tasks.open(group)
        maintenance = Maintenance()
        maintenance.add(settings, manager)
        rig = Rig(manager, maintenance, store, refresher, clock, group)
        manager.on_change = lambda: rig.told.append(held.credential.mode if (held := manager.current()) else None)
        if background is not None:
            background(rig)
        yield rig
        group.cancel_scope.cancel()
