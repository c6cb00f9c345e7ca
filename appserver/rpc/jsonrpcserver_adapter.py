"""Adapter for jsonrpcserver, which dispatches batches. The only file that imports it.

Keeps from it the validation of the envelope (`protocol.envelope` has done it), the text of unexpected exceptions (which
it would send to the client), and params (whose names could collide with its own).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from appserver.rpc.error_map import wire_error
from appserver.rpc.router import Reply
from protocol.envelope import Message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def dispatch(
    requests: list[Message], call: Callable[[Message], Awaitable[object]], sequels: list[Callable[[], None]]
) -> list[Message]:
    """Call each request, side by side.

    Returns their responses, in order and without the `jsonrpc` member. The functions to call once these are sent are
    added to `sequels` as the requests end.
    """
    from jsonrpcserver import async_dispatch_to_serializable  # late: imports jsonschema, 66 ms on a slow machine

    answered = await async_dispatch_to_serializable(
        # By its place in the list as the method: the library would hand over the params, and nothing else of a request.
        [{"id": request["id"], "method": str(place)} for place, request in enumerate(requests)],
        methods=_Calls(requests, call),
        context=sequels,
        deserializer=_as_it_is,
        validator=_as_it_is,
    )
    responses = cast(list[Message], answered)  # it answers a list with a list
    for response in responses:
        response.pop("jsonrpc")  # the outbox knows whether this connection wants it
    return responses


class _Calls(dict[str, Any]):
    """The requests as methods that take nothing."""

    def __init__(self, requests: list[Message], call: Callable[[Message], Awaitable[object]]) -> None:
        super().__init__()
        self._requests = requests
        self._call = call

    def __missing__(self, place: str) -> Callable[..., Awaitable[Any]]:
        from jsonrpcserver import Error, Success

        request = self._requests[int(place)]

        async def call(then: list[Callable[[], None]]) -> Any:  # noqa: ANN401 - the library's Result has no type
            try:
                outcome = await self._call(request)
            except Exception as exc:  # noqa: BLE001 - wire_error() logs what it does not know
                error = wire_error(exc)
                return Error(error.code, error.message, *([] if error.data is None else [error.data]))
            if isinstance(outcome, Reply):
                then.append(outcome.then)
                outcome = outcome.result
            return Success(outcome)

        return call


def _as_it_is(parsed: Any) -> Any:  # noqa: ANN401 - JSON
    return parsed
