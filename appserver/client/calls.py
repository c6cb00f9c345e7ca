"""Calling functions of the application, which may be coroutine functions or may block."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio.to_thread

if TYPE_CHECKING:
    from collections.abc import Callable


async def call_function(function: Callable[..., Any], *args: object, **kwargs: object) -> Any:  # noqa: ANN401 - whatever it returns
    """Call a function and return what it returns: in a thread, unless it is a coroutine function.

    A thread cannot be cancelled: the caller that is does not wait for it.
    """
    if _is_coroutine_function(function):
        return await function(*args, **kwargs)
    found = await anyio.to_thread.run_sync(partial(function, *args, **kwargs), abandon_on_cancel=True)
    return await found if inspect.isawaitable(found) else found


def _is_coroutine_function(function: Callable[..., Any]) -> bool:
    if isinstance(function, partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
