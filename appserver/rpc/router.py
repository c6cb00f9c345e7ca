"""From a request to its handler: the handshake gate, the routes, and params validated against the method table.

Knows neither ids nor how an answer is sent. The validators are pydantic's, built per type when one is first needed:
importing pydantic costs more than answering the handshake. Error texts name the place and the problem, never the value:
it may be a credential.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from appserver.errors import InvalidParams, MethodNotFound, RequestError
from appserver.log import log_exception
from appserver.request_context import RequestContext

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import TypeAdapter, ValidationError
    from pydantic_core import ErrorDetails

    from appserver.session import Session
    from protocol.envelope import Message

T = TypeVar("T")

MAX_PROBLEMS_TOLD = 3

Handler: TypeAlias = Callable[[Any], object]
"""Takes validated params; returns a result or a Reply, or an awaitable of either.

That alone decides how a request is answered: a value at once, an awaitable in a task of its own. With too many requests
in flight, a coroutine is closed instead of awaited, and the request is refused as overload. So a plain function returns
a coroutine only if it has had no effect yet, and Accepted if it has.
"""


class Reply(NamedTuple):
    """A result, and a function to call once it has been sent: it sends the notifications that must follow."""

    result: object
    then: Callable[[], None]


def follow(sequels: Iterable[Callable[[], None]]) -> None:
    """Call the functions that were to be called once responses have been sent."""
    for then in sequels:
        try:
            then()
        except Exception as exc:  # noqa: BLE001 - a bug after one response must not end the connection
            log_exception("what follows an answer failed", exc)


class Accepted(Awaitable[T]):
    """An awaitable that is never refused for load: it has had an effect already, or must reach a running turn."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, T]:
        return self._coroutine.__await__()

    def close(self) -> None:
        """Close it at the end of the connection, if it was never awaited."""
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
        """Return what the handler returns. Raises its errors, MethodNotFound, InvalidParams and RequestError."""
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
        return handler(validated_params(method, params))


def context_of(connection: int | None, request: Message) -> RequestContext:
    """Return the context of a request that has come over a connection."""
    params = request.get("params")
    members = params if isinstance(params, dict) else {}
    thread_id = members.get("threadId")
    context = RequestContext(connection, request["id"], thread_id if isinstance(thread_id, str) else None)
    if request.get("trace") is None and members.get("_meta") is None:
        return context
    from appserver.trace_context import trace_of  # late: few clients trace their requests

    return context.of_trace(trace_of(request))


def validated_params(method: str, params: object) -> dict[str, Any]:
    """Return the params of a client's request, without unknown members. Raises InvalidParams."""
    from protocol.methods import CLIENT_REQUESTS  # late: after the handshake

    wanted = CLIENT_REQUESTS[method].params
    if wanted is None or not (params or getattr(wanted, "__required_keys__", True)):
        return {}  # there is nothing to validate, so there is nothing to import for it
    return _validated(wanted, {} if params is None else params, f"Invalid params for {method}")


def validated_result(method: str, result: object) -> dict[str, Any]:
    """Return the result of the client's reply to a request of ours. Raises InvalidParams."""
    from protocol.methods import SERVER_REQUESTS

    return _validated(SERVER_REQUESTS[method].result, result, f"Invalid result of {method}")


def _validated(wanted: Any, value: object, what: str) -> dict[str, Any]:  # noqa: ANN401 - a type expression
    from pydantic import ValidationError

    try:
        found: dict[str, Any] = _adapter(wanted).validate_python(value, strict=True)
    except ValidationError as exc:
        raise InvalidParams(f"{what}: {_problems(exc)}") from None  # the cause holds the input
    return found


@cache
def _adapter(wanted: Any) -> TypeAdapter[Any]:  # noqa: ANN401 - a type expression
    from pydantic import TypeAdapter

    return TypeAdapter(wanted)


def _problems(exc: ValidationError) -> str:
    found = exc.errors(include_input=False, include_url=False)
    return "; ".join(_told(problem) for problem in found[:MAX_PROBLEMS_TOLD])


def _told(problem: ErrorDetails) -> str:
    text = problem["msg"]
    if problem["type"] == "union_tag_invalid":  # pydantic's own text repeats the tag that was sent
        text = f"{problem['ctx']['discriminator']}: expected one of {problem['ctx']['expected_tags']}"
    return f"{'.'.join(map(str, problem['loc']))}: {text}" if problem["loc"] else text
