"""Adapter for jsonrpcserver, which dispatches awaited requests and batches. The only file that imports it.

Keeps from it the validation of the envelope (`protocol.envelope` has done it), the text of unexpected exceptions (which
it would send to the client), and the names of wire parameters (they could collide with its own).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from appserver.rpc.error_map import wire_error
from appserver.rpc.router import Reply
from protocol.envelope import Message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def dispatch(
    requests: list[Message], call: Callable[[str, object], Awaitable[object]]
) -> tuple[list[Message], list[Callable[[], None]]]:
    """Call each request's method, side by side.

    Returns their responses, in order and without the `jsonrpc` member, and the functions to call once they are sent.
    """
    from jsonrpcserver import async_dispatch_to_serializable  # late: imports jsonschema, 66 ms on a slow machine

    then: list[Callable[[], None]] = []
    answered = await async_dispatch_to_serializable(
        requests,
        methods=_Methods(call),
        context=then,
        deserializer=_as_it_is,
        validator=_as_it_is,
    )
    responses = cast(list[Message], answered)  # it answers a list with a list
    for response in responses:
        response.pop("jsonrpc")  # the outbox knows whether this connection wants it
    return responses, then


class _Methods(dict[str, Any]):
    """The methods as jsonrpcserver wants them: every name leads to the same call, which knows what to refuse."""

    def __init__(self, call: Callable[[str, object], Awaitable[object]]) -> None:
        super().__init__()
        self._call = call

    def __missing__(self, method: str) -> Callable[..., Awaitable[Any]]:
        from jsonrpcserver import Error, Success

        async def call(then: list[Callable[[], None]], /, *args: object, **params: object) -> Any:  # noqa: ANN401 - the library's Result has no type
            try:
                outcome = await self._call(method, list(args) or params)
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
