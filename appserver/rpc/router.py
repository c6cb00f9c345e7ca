"""From a request to its response: the handshake gate, params to types, the handler, and JSON-RPC dispatch.

Two lanes. A route that need not wait is answered at once, in the order of arrival, by a plain function call: that is
what makes the handshake quick and an interrupt impossible to delay. A route that waits, and any batch, goes through
jsonrpcserver in a task of its own. This is the only file that imports jsonrpcserver.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from appserver.errors import MethodNotFound, RequestError
from appserver.rpc.error_map import wire_error
from protocol import envelope

if TYPE_CHECKING:
    from appserver.session import Session
    from protocol.envelope import Message

Params: TypeAlias = dict[str, Any]


class Reply(NamedTuple):
    """A result, and what is to happen once it has been sent: notifications that must come after it."""

    result: object
    then: Callable[[], None]


def never(_: Params) -> bool:
    """Mark a route that is answered at once."""
    return False


def always(_: Params) -> bool:
    """Mark a route that waits for something."""
    return True


class Route(NamedTuple):
    """A handler, and whether it waits. A handler returns a result, a Reply, or an awaitable of either."""

    handle: Callable[[Any], object]
    waits: Callable[[Params], bool] = never


class Answer(NamedTuple):
    """A response (None: there is none to send), and what is to happen once it has been sent."""

    response: Message | list[Message] | None
    then: list[Callable[[], None]]


class Router:
    """Answers requests. Knows neither the order of responses nor how they are sent."""

    def __init__(
        self,
        initialize: Callable[[object], object],
        routes: Callable[[], Mapping[str, Route]],
        session: Session,
    ) -> None:
        self._initialize = initialize
        self._make_routes = routes
        self._session = session

    @cached_property
    def _routes(self) -> Mapping[str, Route]:
        """The table, made after the handshake: it imports all handlers."""
        return self._make_routes()

    def waits(self, request: Message) -> bool:
        """Whether `answer_waiting` is needed for this request."""
        if not self._session.initialized:
            return False
        route = self._routes.get(request["method"])
        params = request.get("params") or {}
        return route is not None and isinstance(params, dict) and route.waits(params)

    def answer_now(self, request: Message) -> Answer:
        """Answer a request that does not wait."""
        try:
            return _answer(request["id"], self._call(request["method"], request.get("params")))
        except Exception as exc:  # noqa: BLE001 - wire_error() logs what it does not know
            return Answer(envelope.error(request["id"], *wire_error(exc)), [])

    async def answer_waiting(self, message: Message | list[Message]) -> Answer:
        """Answer a request that waits, or a batch of valid requests and notifications."""
        from jsonrpcserver import (
            async_dispatch_to_serializable,
        )  # late: imports jsonschema, 66 ms on a slow machine

        then: list[Callable[[], None]] = []
        response = await async_dispatch_to_serializable(
            message,
            methods=_Methods(self),
            context=then,
            deserializer=lambda parsed: parsed,
            validator=lambda parsed: parsed,  # the envelope has been checked, entry by entry
        )
        for one in response if isinstance(response, list) else [response]:
            if one is not None:
                one.pop("jsonrpc", None)  # the outbox knows whether this connection wants it
        return Answer(response, then)

    def _call(self, method: str, params: object) -> object:
        """Pass the gate and call the handler."""
        if method == "initialize":
            if self._session.initialized:
                raise RequestError("Already initialized")
            return self._initialize(params)
        if not self._session.initialized:
            raise RequestError("Not initialized")
        route = self._routes.get(method)
        if route is None:
            raise MethodNotFound(f"Method not found: {method}")
        from appserver.rpc.params import validated_params  # late: imports the method table

        return route.handle(validated_params(method, params))

    async def call(self, method: str, params: object) -> object:
        """Call a handler of either lane and wait for what it returns."""
        outcome = self._call(method, params)
        return await outcome if isinstance(outcome, Awaitable) else outcome


class _Methods(dict[str, Callable[..., Awaitable[Any]]]):
    """The routes as jsonrpcserver wants them: every name leads to the router, which knows what to refuse."""

    def __init__(self, router: Router) -> None:
        super().__init__()
        self._router = router

    def __missing__(self, method: str) -> Callable[..., Awaitable[Any]]:
        from jsonrpcserver import Error, Success

        # Positional-only, so that a wire parameter may have any name.
        async def call(then: list[Callable[[], None]], /, *args: object, **params: object) -> Any:  # noqa: ANN401 - the library's Result has no type
            try:
                outcome = await self._router.call(method, list(args) or params)
            except Exception as exc:  # noqa: BLE001 - wire_error() logs what it does not know
                error = wire_error(exc)
                return Error(error.code, error.message, *([] if error.data is None else [error.data]))
            if isinstance(outcome, Reply):
                then.append(outcome.then)
                outcome = outcome.result
            return Success(outcome)

        return call


def _answer(request_id: envelope.RequestId, outcome: object) -> Answer:
    if isinstance(outcome, Reply):
        return Answer(envelope.result(request_id, outcome.result), [outcome.then])
    return Answer(envelope.result(request_id, outcome), [])
