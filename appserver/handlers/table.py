"""The routes: every request of protocol/methods.py, and who answers it.

`initialize` is not among them: it is answered before this table, and all that it imports, is needed.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from appserver.handlers import absent, account
from appserver.handlers.unknown_thread import with_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from appserver.rpc.router import Handler
    from appserver.services import Services


def routes(services: Services) -> dict[str, Handler]:
    """Return the routes, bound to the services."""

    def bound(handler: Callable[..., object], *given: object) -> Handler:
        return partial(handler, services, *given)

    def late(room: str, name: str) -> Handler:
        """A handler whose module is imported when it is first called: the first answers need none of these."""
        return lambda params: getattr(import_module(f"appserver.handlers.{room}"), name)(services, params)

    def stored(room: str, name: str) -> Handler:
        """A late handler that uses the threads: called again while another process keeps them locked.

        So it must do no harm twice before it has written.
        """
        handler = late(room, name)
        return lambda params: services.threads.attempt(partial(handler, params))

    table = {
        "account/read": bound(account.read),
        "account/login/start": bound(account.login_start),
        "account/login/cancel": bound(account.login_cancel),
        "account/logout": bound(account.logout),
        "account/rateLimits/read": late("account_usage", "rate_limits_read"),
        "account/usage/read": late("account_usage", "usage_read"),
        "getAuthStatus": bound(account.get_auth_status),
        "model/list": late("model", "list_"),
        "thread/start": stored("thread", "start"),
        "thread/resume": stored("thread", "resume"),
        "thread/fork": stored("thread", "fork"),
        "thread/read": stored("thread_list", "read"),
        "thread/list": stored("thread_list", "list_"),
        "thread/loaded/list": late("thread_list", "loaded_list"),
        "thread/turns/list": stored("thread_list", "turns_list"),
        "thread/items/list": stored("thread_list", "items_list"),
        "thread/name/set": stored("thread_life", "name_set"),
        "thread/metadata/update": stored("thread_life", "metadata_update"),
        "thread/archive": stored("thread_life", "archive"),
        "thread/unarchive": stored("thread_life", "unarchive"),
        "thread/delete": stored("thread_life", "delete"),
        "thread/unsubscribe": stored("thread_life", "unsubscribe"),
        "thread/compact/start": stored("thread_life", "compact_start"),
        "turn/start": stored("turn", "start"),
        "turn/steer": late("turn", "steer"),
        "turn/interrupt": late("turn", "interrupt"),
        **{method: bound(absent.answer, method) for method in absent.METHODS},
    }
    return with_words(table)
