"""The routes: every request of protocol/methods.py, who answers it, and whether the answer waits for something.

`initialize` is not among them: it is answered before this table, and all that it imports, is needed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from appserver.handlers import account, model, thread, thread_life, thread_list, turn
from appserver.rpc.router import Route, always

if TYPE_CHECKING:
    from collections.abc import Callable

    from appserver.services import Services


def routes(services: Services) -> dict[str, Route]:
    """Return the routes, bound to the services."""

    def bound(handler: Callable[..., object]) -> Callable[..., object]:
        return partial(handler, services)

    return {
        "account/read": Route(bound(account.read), waits=account.wants_refresh),
        "account/login/start": Route(bound(account.login_start), waits=account.login_waits),
        "account/login/cancel": Route(bound(account.login_cancel)),
        "account/logout": Route(bound(account.logout)),
        "account/rateLimits/read": Route(bound(account.rate_limits_read), waits=always),
        "getAuthStatus": Route(bound(account.get_auth_status), waits=account.wants_refresh),
        "model/list": Route(bound(model.list_)),
        "thread/start": Route(bound(thread.start)),
        "thread/resume": Route(bound(thread.resume)),
        "thread/fork": Route(bound(thread.fork)),
        "thread/read": Route(bound(thread_list.read)),
        "thread/list": Route(bound(thread_list.list_)),
        "thread/loaded/list": Route(bound(thread_list.loaded_list)),
        "thread/turns/list": Route(bound(thread_list.turns_list)),
        "thread/items/list": Route(bound(thread_list.items_list)),
        "thread/name/set": Route(bound(thread_life.name_set)),
        "thread/metadata/update": Route(bound(thread_life.metadata_update)),
        "thread/archive": Route(bound(thread_life.archive)),
        "thread/unarchive": Route(bound(thread_life.unarchive)),
        "thread/delete": Route(bound(thread_life.delete)),
        "thread/unsubscribe": Route(bound(thread_life.unsubscribe)),
        "thread/compact/start": Route(bound(thread_life.compact_start)),
        "turn/start": Route(bound(turn.start), waits=turn.input_waits),
        "turn/steer": Route(bound(turn.steer), waits=turn.input_waits),
        "turn/interrupt": Route(bound(turn.interrupt)),
    }
