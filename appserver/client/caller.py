"""What every resource of the client derives from: how it sends a request and reads the result."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from appserver.client.wire import decode
from protocol.names import camel

if TYPE_CHECKING:
    from collections.abc import Mapping

R = TypeVar("R")


class Requests(Protocol):
    """What sends requests."""

    async def request(self, method: str, params: object = None) -> Any:  # noqa: ANN401 - whatever the method returns
        """Send a request and return its result. Raises ServerError, ServerGone, TimeoutError."""


class Caller:
    """Sends requests and reads their results."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    @overload
    async def _call(self, method: str, params: Mapping[str, object], result: type[R]) -> R: ...
    @overload
    async def _call(self, method: str, params: Mapping[str, object], result: None) -> None: ...
    async def _call(self, method: str, params: Mapping[str, object], result: type[R] | None) -> R | None:
        answer = await self._requests.request(method, params)
        return None if result is None else decode(result, answer)

    @staticmethod
    def _named(kind: type, options: Mapping[str, object]) -> dict[str, object]:
        """Spell the names of options as on the wire. Raises TypeError for one that `kind` does not have."""
        known = inspect.get_annotations(kind)
        for name in options:
            if name not in known:
                raise TypeError(f"there is no option {name!r}; there are {', '.join(sorted(known))}")
        return {camel(name): value for name, value in options.items()}
