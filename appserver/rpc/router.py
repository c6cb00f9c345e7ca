"""From a request to its handler: the handshake gate, the method table, params to types.

Knows neither ids nor how an answer is sent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from appserver.errors import MethodNotFound, RequestError
from appserver.log import log_exception

if TYPE_CHECKING:
    from collections.abc import Iterable

    from appserver.session import Session

T = TypeVar("T")

Handler: TypeAlias = Callable[[Any], object]
"""Takes validated params; returns a result or a Reply, or an awaitable of either.

That alone decides how a request is answered: a value at once, an awaitable in a task of its own. Where too many
requests wait already, a coroutine is closed instead of awaited and the request refused as overload. So a plain function
returns a coroutine only where it has had no effect yet, and Accepted where it has.
"""


class Reply(NamedTuple):
    """A result, and what is to happen once it has been sent: notifications that must come after it."""

    result: object
    then: Callable[[], None]


def follow(sequels: Iterable[Callable[[], None]]) -> None:
    """Do what is to be done once answers have been sent."""
    for then in sequels:
        try:
            then()
        except Exception as exc:  # noqa: BLE001 - a fault of ours behind one answer must not end the connection
            log_exception("what follows an answer failed", exc)


class Accepted(Awaitable[T]):
    """An awaitable that is never refused for load: what has begun would be lost, or it must reach a running turn."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, T]:
        return self._coroutine.__await__()

    def close(self) -> None:
        """Give it up at the end of the connection, if it was never awaited."""
        self._coroutine.close()


class Router:
    def __init__(
        self,
        initialize: Handler,
        routes: Callable[[], Mapping[str, Handler]],
        session: Session,
    ) -> None:
        self._initialize = initialize
        self._make_routes = routes
        self._session = session

    @cached_property
    def _routes(self) -> Mapping[str, Handler]:
        """The table, made after the handshake: it imports all handlers."""
        return self._make_routes()

    def call(self, method: str, params: object) -> object:
        """Return what the handler returns. Raises what it raises, MethodNotFound, InvalidParams, RequestError."""
        if method == "initialize":
            if self._session.initialized:
                raise RequestError("Already initialized")
            return self._initialize(params)
        if not self._session.initialized:
            raise RequestError("Not initialized")
        handler = self._routes.get(method)
        if handler is None:
            # Clients match on the reference's words, from "unknown" on.
            raise MethodNotFound(f"Method not found: unknown variant `{method}`")
        from appserver.rpc.params import validated_params  # late: imports the method table

        return handler(validated_params(method, params))
