"""A client that comes over HTTP: the methods that it may call, and what its params may not say.

It shares the machine with others. So it names neither files nor directories of the server, nor providers and commands
of its own, and is told nothing of the process and its configuration.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from appserver.errors import InvalidParams, RequestError
from appserver.rpc.router import Accepted
from appserver.server.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appserver.rpc.router import Handler

Forward: TypeAlias = Callable[[str, dict[str, Any]], Awaitable[object]]
"""Returns the result of a request about a thread from the node that runs a turn in it, None if no other one does."""

METHODS = frozenset(
    (
        "account/login/cancel",
        "account/login/start",
        "account/logout",
        "account/rateLimits/read",
        "account/read",
        "account/usage/read",
        "app/list",
        "collaborationMode/list",
        "configRequirements/read",
        "experimentalFeature/list",
        "hooks/list",
        "mcpServerStatus/list",
        "model/list",
        "modelProvider/capabilities/read",
        "permissionProfile/list",
        "plugin/installed",
        "plugin/list",
        "skills/list",
        "thread/archive",
        "thread/backgroundTerminals/list",
        "thread/compact/start",
        "thread/delete",
        "thread/fork",
        "thread/goal/get",
        "thread/inject_items",
        "thread/items/list",
        "thread/list",
        "thread/loaded/list",
        "thread/metadata/update",
        "thread/name/set",
        "thread/read",
        "thread/resume",
        "thread/revert",
        "thread/rollback",
        "thread/settings/update",
        "thread/start",
        "thread/turns/list",
        "thread/unarchive",
        "thread/unsubscribe",
        "turn/interrupt",
        "turn/start",
        "turn/steer",
    )
)
"""Not there: what tells of the process or its settings, and `getAuthStatus`, which tells the token."""

LOGINS = ("apiKey", "chatgptDeviceCode")
"""Ways to sign in that need neither a browser on this machine nor a client that stays connected."""

INPUTS = ("text", "image")
"""Kinds of input that name no file."""

PLACES = ("config", "modelProvider")
"""Params that choose where requests, and the credential with them, are sent."""


ON_LOADED_THREADS = (
    "thread/compact/start",
    "thread/inject_items",
    "thread/revert",
    "thread/rollback",
    "thread/settings/update",
    "turn/start",
)
"""Methods for which a thread must be loaded, and that do not end with its turn."""


ON_RUNNING_TURNS = ("turn/interrupt", "turn/steer")
"""Methods for the turn that runs in a thread, on whichever node that is."""


class RemoteConnection(Connection):
    """One client."""

    def __init__(self, *args: Any, forward: Forward, **options: Any) -> None:  # noqa: ANN401 - as Connection
        super().__init__(*args, **options)
        self._forward = forward

    def _routes(self) -> Mapping[str, Handler]:
        table = dict(super()._routes())
        for method in ON_RUNNING_TURNS:
            table[method] = partial(self._on_running_turn, method, table[method])
        return {method: partial(_checked, method, table[method]) for method in METHODS}

    def _on_running_turn(self, method: str, handler: Handler, params: dict[str, Any]) -> Accepted[object]:
        return Accepted(self._where_it_runs(method, handler, params))

    async def _where_it_runs(self, method: str, handler: Handler, params: dict[str, Any]) -> object:
        threads, thread_id = self.workspace.threads, params["threadId"]
        if not threads.is_loaded(thread_id) or threads.get(thread_id).active is None:
            result = await self._forward(method, params)
            if result is not None:
                return result
        found = handler(params)
        return await found if isinstance(found, Awaitable) else found


class PostConnection(RemoteConnection):
    """A client of one POST. It cannot know which node has a thread loaded: each loads it when a request needs it."""

    def _routes(self) -> Mapping[str, Handler]:
        table = super()._routes()
        return {**table, **{method: partial(self._on_loaded_thread, table[method]) for method in ON_LOADED_THREADS}}

    async def _on_loaded_thread(self, handler: Handler, params: dict[str, Any]) -> object:
        threads, thread_id = self.workspace.threads, params["threadId"]
        if not threads.is_loaded(thread_id):
            async with threads.order(thread_id):
                await threads.resume(thread_id, {}, lambda _: None)
                self.workspace.subscriptions.subscribe(self, thread_id)  # once it has left, the thread is closed later
        found = handler(params)
        return await found if isinstance(found, Awaitable) else found


def _checked(method: str, handler: Handler, params: dict[str, Any]) -> object:
    """Call a handler unless the params say what a remote client may not. Raises InvalidParams, RequestError."""
    for name in PLACES:
        if params.get(name):
            raise InvalidParams(f"Invalid params for {method}: {name}: cannot be chosen over HTTP")
    for number, one in enumerate(params.get("input") or ()):
        if one.get("type") not in INPUTS:
            raise InvalidParams(f"Invalid params for {method}: input.{number}: only {' and '.join(INPUTS)} over HTTP")
    if method == "account/login/start" and params.get("type") not in LOGINS:
        raise RequestError(f"Over HTTP one signs in with {' or '.join(LOGINS)}")
    return handler(params)
