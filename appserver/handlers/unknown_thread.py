"""What each method says of a thread that is not there: the reference's words, which clients match on."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final, cast

from appserver.errors import RequestError, ThreadNotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appserver.rpc.router import Handler

NO_ROLLOUT = "no rollout found for thread id"
NOT_LOADED = "thread not loaded:"

WORDS: Final[Mapping[str, str]] = {
    "thread/resume": NO_ROLLOUT,
    "thread/fork": NO_ROLLOUT,
    "thread/archive": NO_ROLLOUT,
    "thread/unarchive": "no archived rollout found for thread id",
    "thread/delete": NO_ROLLOUT,
    "thread/name/set": NO_ROLLOUT,
    "thread/metadata/update": NO_ROLLOUT,
    "thread/read": NOT_LOADED,
    "thread/turns/list": NOT_LOADED,
    "thread/items/list": NOT_LOADED,
}
"""Where these differ from those of ThreadNotFound itself. The thread's id follows them."""


def with_words(routes: Mapping[str, Handler]) -> dict[str, Handler]:
    """Return the routes such that each uses its own words."""
    return {**routes, **{method: _worded(routes[method], words) for method, words in WORDS.items()}}


def _worded(handler: Handler, words: str) -> Handler:
    """All of these handlers are coroutines: they read the thread."""

    async def handle(params: object) -> object:
        try:
            return await cast(Awaitable[object], handler(params))
        except ThreadNotFound as exc:
            raise RequestError(f"{words} {exc.thread_id}", exc.data) from None

    return handle
