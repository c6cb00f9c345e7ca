"""What belongs to one user: the account, the threads, the turns that run, and the clients that look on.

On stdio there is one, that of the home directory. Several in one process share the runtime and nothing else. The heavy
parts are made when first asked for, so that the first answers do not import them.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from appserver.errors import ConfigError, RequestError
from appserver.server.account import Account
from appserver.server.subscriptions import Subscriptions
from appserver.settings import provider_named, thread_options

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from appserver.auth.stores.base import CredentialStore
    from appserver.llm.client import ModelClient
    from appserver.server.backend import Backend
    from appserver.server.runtime import Runtime
    from appserver.server.subscriber import Subscriber
    from appserver.session import Session
    from appserver.settings import Options, Provider, Settings
    from appserver.threads.record import ThreadRecord
    from appserver.threads.registry import Threads
    from appserver.threads.stores.base import ThreadStore
    from appserver.turns.compaction import Compactor
    from appserver.turns.manager import TurnManager
    from protocol.thread import ThreadStatusChangedNotification

    class Client(Subscriber, Protocol):
        """A connection, as a handler sees it."""

        @property
        def workspace(self) -> Workspace:
            """What the client works in."""

        def warn_of_options(self, config: Mapping[str, Any]) -> None:
            """Tell the client, once, what of the options of a thread is not run here."""


class Workspace:
    """One user's."""

    def __init__(
        self,
        runtime: Runtime,
        settings: Settings | None = None,
        *,
        credentials: CredentialStore | None = None,
        threads: ThreadStore | None = None,
    ) -> None:
        """`settings`: the runtime's, unless this user has others, such as another home directory.

        `credentials`, `threads`: where these are kept, if not in the home. Raises ConfigError.
        """
        self.settings = settings or runtime.settings
        self.tasks = runtime.tasks
        self.runtime = runtime
        self._thread_store = threads
        self._starts_turns = True
        self.subscriptions = Subscriptions(self.tasks, self._close_thread, self._texts)
        self.account = Account(runtime, self.settings, self.subscriptions, credentials)

    def options(self, config: Mapping[str, Any] | None) -> Options:
        """Return the options that the `config` of a thread chooses. Raises RequestError."""
        try:
            return thread_options(self.settings, config)
        except ConfigError as exc:
            raise _unusable(exc) from None

    def provider(
        self, name: str | None, config: Mapping[str, Any] | None = None, session: Session | None = None
    ) -> Provider:
        """Return the model provider with this name, or the configured one. Raises RequestError.

        `config`, `session`: of the thread's client; it is noted where that has defined or changed the provider.
        """
        name = name or self.settings.provider.id
        try:
            found = provider_named(self.settings, name, config)
            if found is not None and config and found != provider_named(self.settings, name):
                return found._replace(defined_by=session)
        except ConfigError as exc:
            raise _unusable(exc) from None
        if found is None:
            words = f"failed to load configuration: Model provider `{name}` not found"  # the reference's
            raise RequestError(words, {"kind": "modelProviderNotFound"})
        return found

    # Threads and turns

    @cached_property
    def threads(self) -> Threads:
        """The user's threads."""
        from appserver.threads.registry import Threads
        from appserver.threads.stores.sqlite.store import SqliteThreads

        return Threads(self._thread_store or SqliteThreads(self.settings.home), self.provider)

    @cached_property
    def turns(self) -> TurnManager:
        """The owner of running turns."""
        from appserver.turns.manager import TurnManager
        from appserver.turns.runner import TurnRunner

        emit, tool_timeout = self.subscriptions.emit, self.settings.tool_timeout
        runner = TurnRunner(
            self.backend, emit, self.subscriptions.drain, tool_timeout, telemetry=self.runtime.telemetry
        )
        manager = TurnManager(runner, self.tasks, emit, self.runtime.telemetry)
        if not self._starts_turns:
            manager.start_no_other()
        return manager

    @cached_property
    def compactor(self) -> Compactor:
        """What makes long conversations short."""
        from appserver.turns.compaction import Compactor

        return Compactor(self.backend, self.subscriptions.emit, telemetry=self.runtime.telemetry)

    @cached_property
    def backend(self) -> Backend:
        """The model backend, credentials taken care of."""
        from appserver.server.backend import Backend

        return Backend(self.account.authority, lambda: self.model, self.tasks, self.account.check_provider)

    @cached_property
    def model(self) -> ModelClient:
        """Requests to the model backend."""
        from appserver.llm.client import ModelClient

        return ModelClient(self.runtime.http, self.settings, self.tasks, self.runtime.telemetry)

    async def loaded_thread(self, thread_id: str) -> ThreadRecord:
        """Return a loaded thread, after the end of its last turn has been written. Raises RequestError.

        The caller holds the thread's order.
        """
        thread = self.threads.get(thread_id)
        if thread.active is not None:
            await self.turns.end_written(thread)
        return self.threads.get(thread_id)  # it may have been unloaded with its turn

    def unload_thread(self, thread_id: str, *, closed: bool = False) -> None:
        """Unload a thread, once its turn has ended if one runs, and tell all clients.

        `closed`: they are told that it was closed, too. The caller holds the thread's order.
        """
        if not self.threads.is_loaded(thread_id):
            return
        thread = self.threads.get(thread_id)
        if thread.active is not None:
            thread.after_turn.append(lambda: self.unload_thread(thread_id, closed=closed))
            return
        self.threads.unload(thread_id)
        self.subscriptions.forget(thread_id)
        changed: ThreadStatusChangedNotification = {"threadId": thread_id, "status": {"type": "notLoaded"}}
        self.subscriptions.broadcast("thread/status/changed", changed)
        if closed:
            self.subscriptions.broadcast("thread/closed", {"threadId": thread_id})

    def _texts(self, thread_id: str) -> Mapping[str, list[str]]:
        """Return the pieces of the messages that the model is writing in a thread."""
        active = self.threads.get(thread_id).active if self.threads.is_loaded(thread_id) else None
        return active.texts if active else {}

    async def _close_thread(self, thread_id: str) -> None:
        async with self.threads.order(thread_id):
            self.unload_thread(thread_id, closed=True)

    # The end

    def start_no_turns(self) -> None:
        """Start no other turn; those that run go on."""
        self._starts_turns = False
        if self._has_turns:
            self.turns.start_no_other()

    def interrupt_turns(self) -> None:
        """End every running turn and start no other."""
        if self._has_turns:
            self.turns.interrupt_all()

    async def turns_ended(self) -> None:
        """Wait until no turn runs."""
        if self._has_turns:
            await self.turns.idle()

    @property
    def loaded_threads(self) -> int:
        """How many threads are loaded."""
        return self.threads.loaded_count if "threads" in self.__dict__ else 0

    @property
    def running_turns(self) -> int:
        """How many turns run."""
        return self.turns.running if self._has_turns else 0

    def stop_waiting(self) -> None:
        """Let nothing wait any longer for another process that keeps the threads or the account locked."""
        self.account.auth.stop_waiting()
        if "threads" in self.__dict__:
            self.threads.stop_waiting()

    async def close(self) -> None:
        """Close what was opened."""
        self.account.store.close()
        if "threads" in self.__dict__:
            await self.threads.close()

    @property
    def _has_turns(self) -> bool:
        """Whether a turn was ever started: asking `turns` would import what runs them."""
        return "turns" in self.__dict__


def _unusable(exc: ConfigError) -> RequestError:
    return RequestError(f"failed to load configuration: {exc.message}", {"kind": "configurationError"})
