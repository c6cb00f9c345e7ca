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
    from appserver.server.workspace import Client


def routes(client: Client) -> dict[str, Handler]:
    """Return the routes, bound to the client."""

    def bound(handler: Callable[..., object], *given: object) -> Handler:
        return partial(handler, client, *given)

    def late(room: str, name: str) -> Handler:
        """A handler whose module is imported when it is first called: the first answers need none of these."""
        return lambda params: getattr(import_module(f"appserver.handlers.{room}"), name)(client, params)

    table = {
        "account/read": bound(account.read),
        "account/login/start": bound(account.login_start),
        "account/login/cancel": bound(account.login_cancel),
        "account/logout": bound(account.logout),
        "account/rateLimits/read": late("account_usage", "rate_limits_read"),
        "account/usage/read": late("account_usage", "usage_read"),
        "getAuthStatus": bound(account.get_auth_status),
        "model/list": late("model", "list_"),
        "config/read": late("config", "read"),
        "server/diagnostics": late("diagnostics", "read"),
        "thread/start": late("thread", "start"),
        "thread/resume": late("thread", "resume"),
        "thread/fork": late("thread", "fork"),
        "thread/read": late("thread_list", "read"),
        "thread/list": late("thread_list", "list_"),
        "thread/loaded/list": late("thread_list", "loaded_list"),
        "thread/turns/list": late("thread_list", "turns_list"),
        "thread/items/list": late("thread_list", "items_list"),
        "thread/name/set": late("thread_life", "name_set"),
        "thread/metadata/update": late("thread_life", "metadata_update"),
        "thread/archive": late("thread_life", "archive"),
        "thread/unarchive": late("thread_life", "unarchive"),
        "thread/delete": late("thread_life", "delete"),
        "thread/unsubscribe": late("thread_life", "unsubscribe"),
        "thread/inject_items": late("thread_history", "inject_items"),
        "thread/revert": late("thread_history", "revert"),
        "thread/rollback": late("thread_history", "rollback"),
        "thread/settings/update": late("thread_settings", "update"),
        "thread/compact/start": late("thread_life", "compact_start"),
        "turn/start": late("turn", "start"),
        "turn/steer": late("turn", "steer"),
        "turn/interrupt": late("turn", "interrupt"),
        **{method: bound(absent.answer, method) for method in absent.METHODS},
    }
    return with_words(table)
