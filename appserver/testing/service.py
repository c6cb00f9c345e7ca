"""What the fake services share: JSON answers, and faults that a test puts in front of an endpoint.

Knows no endpoint by name.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio

from appserver.loopback import Disconnect, Response
from appserver.testing.recording import MalformedBodyError
from appserver.testing.signals import Gate

if TYPE_CHECKING:
    from appserver.testing.recording import RecordedRequest

Body = Mapping[str, Any] | str
Endpoint = Callable[["RecordedRequest"], Awaitable[Response]]
Routes = Mapping[tuple[str, str], Endpoint]  # (method, path)


def respond(body: Body, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with a JSON object, or with text as it is."""
    kind = "text/plain; charset=utf-8" if isinstance(body, str) else "application/json"
    text = body if isinstance(body, str) else json.dumps(body)
    return Response(status, {"content-type": kind, **(headers or {})}, text.encode())


def error_body(code: str, message: str, **more: object) -> dict[str, Any]:
    """Build an error in the shape that issuer and model API share."""
    return {"error": {"code": code, "message": message, "type": "invalid_request_error", **more}}


@dataclass
class _Fault:
    path: str | None
    times: int
    outcome: Response | Gate | None  # None cuts the connection
    is_late: bool = False  # the gate is behind the endpoint


class FaultyService:
    """What every fake service can be told to do wrong. `path` limits a fault to one endpoint.

    Faults queue up: each request takes the first one that fits it. `delay` (seconds) precedes every answer.
    """

    delay: float = 0.0

    def __init__(self) -> None:
        self._faults: list[_Fault] = []

    def fail_next(
        self,
        status: int,
        body: Body = "",
        times: int = 1,
        *,
        path: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer the next `times` requests with this status and body, and do nothing else for them."""
        self._faults.append(_Fault(path, times, respond(body, status, headers)))

    def cut_next(self, times: int = 1, *, path: str | None = None) -> None:
        """End the connection of the next `times` requests without an answer."""
        self._faults.append(_Fault(path, times, None))

    def hold_next(self, times: int = 1, *, path: str | None = None) -> Gate:
        """Stop the next `times` requests at the returned gate; serve them normally once it is released."""
        gate = Gate()
        self._faults.append(_Fault(path, times, gate))
        return gate

    def hold_answer(self, times: int = 1, *, path: str | None = None) -> Gate:
        """Serve the next `times` requests, and stop their answers at the returned gate until it is released."""
        gate = Gate()
        self._faults.append(_Fault(path, times, gate, is_late=True))
        return gate

    def clear_faults(self) -> None:
        """Forget the faults that no request has taken yet, and the delay."""
        self._faults.clear()
        self.delay = 0.0

    async def answer(self, request: RecordedRequest, endpoint: Endpoint) -> Response:
        """Serve a request, or apply the first fault for it. Called by the backend."""
        fault = self._take(request.path)
        if self.delay:
            await anyio.sleep(self.delay)
        match fault:
            case _Fault(outcome=None):
                raise Disconnect
            case _Fault(outcome=Response() as failure):
                return failure
            case _Fault(outcome=Gate() as gate, is_late=False):
                await gate.hold()
        response = await self._served(request, endpoint)
        if fault is not None and isinstance(fault.outcome, Gate) and fault.is_late:
            await fault.outcome.hold()
        return response

    async def _served(self, request: RecordedRequest, endpoint: Endpoint) -> Response:
        try:
            return await endpoint(request)
        except MalformedBodyError as error:
            return respond({"error": "invalid_request", "error_description": str(error)}, 400)

    def _take(self, path: str) -> _Fault | None:
        fault = next((it for it in self._faults if it.path in (None, path)), None)
        if fault:
            fault.times -= 1
            if fault.times <= 0:
                self._faults.remove(fault)
        return fault
