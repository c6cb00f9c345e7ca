"""The routes: every request of protocol/methods.py, who answers it, and whether the answer waits for something.

`initialize` is not among them: it is answered before this table, and all that it imports, is needed.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from appserver.handlers import absent, account
from appserver.rpc.router import Route, always

if TYPE_CHECKING:
    from collections.abc import Callable

    from appserver.services import Services


def routes(services: Services) -> dict[str, Route]:
    """Return the routes, bound to the services."""

    def bound(handler: Callable[..., object], *given: object) -> Callable[..., object]:
        return partial(handler, services, *given)

    def late(room: str, name: str) -> Callable[[Any], object]:
        """A handler whose module is imported when it is first called: the first answers need none of these."""
        return lambda params: getattr(import_module(f"appserver.handlers.{room}"), name)(services, params)

    return {
        "account/read": Route(bound(account.read), waits=account.wants_refresh),
        "account/login/start": Route(bound(account.login_start), waits=account.login_waits),
        "account/login/cancel": Route(bound(account.login_cancel)),
        "account/logout": Route(bound(account.logout)),
        "account/rateLimits/read": Route(bound(account.rate_limits_read), waits=always),
        "getAuthStatus": Route(bound(account.get_auth_status), waits=account.wants_refresh),
        "model/list": Route(late("model", "list_")),
        "thread/start": Route(late("thread", "start")),
        "thread/resume": Route(late("thread", "resume")),
        "thread/fork": Route(late("thread", "fork")),
        "thread/read": Route(late("thread_list", "read")),
        "thread/list": Route(late("thread_list", "list_")),
        "thread/loaded/list": Route(late("thread_list", "loaded_list")),
        "thread/turns/list": Route(late("thread_list", "turns_list")),
        "thread/items/list": Route(late("thread_list", "items_list")),
        "thread/name/set": Route(late("thread_life", "name_set")),
        "thread/metadata/update": Route(late("thread_life", "metadata_update")),
        "thread/archive": Route(late("thread_life", "archive")),
        "thread/unarchive": Route(late("thread_life", "unarchive")),
        "thread/delete": Route(late("thread_life", "delete")),
        "thread/unsubscribe": Route(late("thread_life", "unsubscribe")),
        "thread/compact/start": Route(late("thread_life", "compact_start")),
        "turn/start": Route(late("turn", "start"), waits=_input_waits),
        "turn/steer": Route(late("turn", "steer"), waits=_input_waits),
        "turn/interrupt": Route(late("turn", "interrupt")),
        **{method: Route(bound(absent.answer, method)) for method in absent.METHODS},
    }


def _input_waits(params: dict[str, Any]) -> bool:
    from appserver.handlers.turn import input_waits  # late, like the handlers of turns

    return input_waits(params)
