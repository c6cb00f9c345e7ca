"""The ASGI application: the table of paths, and what each does. Knows nothing of sockets."""

from __future__ import annotations

import time
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute

from appserver import json_text
from appserver.gateway import jsonrpc, openapi
from appserver.gateway.chat.completion import Head
from appserver.gateway.chat.request import translate
from appserver.gateway.database.prepared import DatabaseDown
from appserver.gateway.dialects import Chat, Responses
from appserver.gateway.exchange import Asked, Exchange
from appserver.gateway.failures import Failure, failure, failure_of, failure_of_ending
from appserver.gateway.invalid import InvalidRequest
from appserver.gateway.metrics import CONTENT_TYPE
from appserver.gateway.observed import observed
from appserver.gateway.requests import (
    ClientDisconnect,
    Refused,
    admitted,
    authenticated,
    json_body,
    read_body,
    reserved,
)
from appserver.gateway.responses import checked
from appserver.gateway.scopes import MODELS, RESPONSES, RPC
from appserver.llm.catalog import list_models
from appserver.log import log_error, log_exception
from protocol.error_codes import PARSE_ERROR

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send
    from starlette.websockets import WebSocket

    from appserver.gateway.dialects import Dialect
    from appserver.gateway.gateway import Gateway
    from appserver.gateway.users import Caller

OWNER = "openai"

RPC_PATH = "/jsonrpc"

SERVER_ERROR = -32000
"""JSON-RPC 2.0, section 5.1: the first code that is a server's own. The status says more."""


def application(gateway: Gateway) -> ASGIApp:
    """Return the application."""
    api, provider = Api(gateway), gateway.provider
    routes: list[Route | WebSocketRoute] = [
        Route("/health", _health),
        Route("/ready", api.ready),
        Route("/metrics", api.read_metrics),
        Route("/openapi.json", api.read_openapi),
        Route("/v1/models", api.list_models, methods=["GET"]),
        Route("/v1/models/{id:path}", api.read_model, methods=["GET"]),
        Route("/v1/chat/completions", api.create_completion, methods=["POST"]),
        Route("/v1/responses", api.create_response, methods=["POST"]),
        Route(RPC_PATH, api.call, methods=["POST"]),
        WebSocketRoute(RPC_PATH, api.converse),
        Route("/.well-known/oauth-authorization-server", provider.metadata),
        Route("/oauth/authorize", provider.authorize, methods=["GET"]),
        Route("/oauth/authorize", provider.decide, methods=["POST"]),
        Route("/oauth/sign-in", provider.sign_in, methods=["POST"]),
        Route("/oauth/token", provider.token, methods=["POST"]),
        Route("/oauth/revoke", provider.revoke, methods=["POST"]),
    ]
    handlers: dict[Any, Any] = {  # starlette wants each to take any exception
        404: _no_such_path,
        405: _no_such_path,
        Refused: _refused,
        InvalidRequest: _invalid,
        DatabaseDown: _no_database,
        SQLAlchemyError: _no_database,
        Exception: _fault,
    }
    app = Starlette(routes=routes, exception_handlers=handlers)
    ending = failure(503, "The server is shutting down", code="shutting_down", retry_after=gateway.retry_after)
    return observed(app, gateway, frozenset(route.path for route in routes), _told(ending))


class Api:
    """What the paths do."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def ready(self, request: Request) -> Response:
        is_ready = await self._gateway.is_ready()
        return PlainTextResponse("ready" if is_ready else "not ready", 200 if is_ready else 503)

    async def read_metrics(self, request: Request) -> Response:
        return Response(self._gateway.metrics.text(), headers={"content-type": CONTENT_TYPE})

    async def read_openapi(self, request: Request) -> Response:
        return JSONResponse(openapi.document(self._gateway.environment.public_url))

    async def list_models(self, request: Request) -> Response:
        caller = await self._caller(request, MODELS)
        return JSONResponse({"object": "list", "data": _models(caller)})

    async def read_model(self, request: Request) -> Response:
        caller, name = await self._caller(request, MODELS), request.path_params["id"]
        found = next((model for model in _models(caller) if model["id"] == name), None)
        if found is None:
            raise Refused(failure(404, "There is no such model", param="model", code="model_not_found"))
        return JSONResponse(found)

    async def create_completion(self, request: Request) -> ASGIApp:
        caller, document = await self._document(request)
        translated = translate(document)
        head = Head(f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), translated.body["model"])
        dialect = Chat(translated, head)
        return await self._exchange(caller, translated.body, list(translated.dropped), dialect)

    async def create_response(self, request: Request) -> ASGIApp:
        caller, document = await self._document(request)
        body, stream, dropped = checked(document)
        return await self._exchange(caller, body, dropped, Responses(stream=stream))

    async def call(self, request: Request) -> Response:
        caller = await self._caller(request, RPC)
        await admitted(caller, self._gateway.metering)
        body = await read_body(request, self._gateway.environment.max_body_bytes)
        try:
            document = json_text.decode(body)
        except ValueError as exc:
            return JSONResponse(jsonrpc.refusal(PARSE_ERROR, f"Parse error: {exc}"))
        try:
            answered = await jsonrpc.answer(self._gateway, caller, document)
        except jsonrpc.Ended as exc:
            raise Refused(failure_of_ending(exc.ending)) from None
        except TimeoutError:
            raise Refused(failure(504, "The request has not been answered in time", code="timeout")) from None
        if answered is None:
            return Response(status_code=204)
        return Response(answered, media_type="application/json", headers={"cache-control": "no-store"})

    async def converse(self, websocket: WebSocket) -> None:
        try:
            caller = await authenticated(websocket, self._gateway.users, RPC)
            await admitted(caller, self._gateway.metering)
        except Refused as exc:
            await websocket.send_denial_response(_told(exc.told, as_rpc=True))
            return
        await jsonrpc.serve_websocket(self._gateway, caller, websocket)

    async def _caller(self, request: Request, scope: str) -> Caller:
        return await authenticated(request, self._gateway.users, scope)

    async def _document(self, request: Request) -> tuple[Caller, Any]:
        caller = await self._caller(request, RESPONSES)
        await admitted(caller, self._gateway.metering)
        return caller, await json_body(request, self._gateway.environment.max_body_bytes)

    async def _exchange(self, caller: Caller, body: dict[str, Any], dropped: list[str], dialect: Dialect) -> ASGIApp:
        reservation = await reserved(caller, self._gateway.metering, body)
        provider = caller.workspace.settings.provider
        asked = Asked(provider, self._gateway.session, body, dropped, dialect.name)
        count = partial(self._gateway.metering.used, caller, reservation)
        exchange = Exchange(asked, dialect, caller.workspace, self._gateway.environment.keepalive, count)
        return _Answer(self._gateway, caller, exchange)


class _Answer:
    """An answer that is written by an exchange (an ASGI application, as any response is)."""

    def __init__(self, gateway: Gateway, caller: Caller, exchange: Exchange) -> None:
        self._gateway = gateway
        self._caller = caller
        self._exchange = exchange

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._gateway.served.request(self._caller, self._exchange.end):
            await self._exchange.run(receive, send)


def _models(caller: Caller) -> list[dict[str, Any]]:
    known = list_models(caller.workspace.settings.options.model, MAX_MODELS, None)["data"]
    return [{"id": one["id"], "object": "model", "created": 0, "owned_by": OWNER} for one in known]


MAX_MODELS = 1000
"""More than there are: they come in one answer."""


async def _health(request: Request) -> Response:
    return PlainTextResponse("ok")


def _told(told: Failure, *, as_rpc: bool = False) -> Response:
    headers = {**told.headers, "cache-control": "no-store"}
    if told.status == 401:
        headers["www-authenticate"] = "Bearer"
    if told.status in (408, 413):
        headers["connection"] = "close"  # the rest of the body is not read
    body = jsonrpc.refusal(SERVER_ERROR, told.message, {"code": told.code}) if as_rpc else told.body
    return JSONResponse(body, told.status, headers)


async def _no_such_path(request: Request, exc: Exception) -> Response:
    return _told(failure(404, "There is nothing at this path for this method", code="not_found"))


async def _refused(request: Request, exc: Refused) -> Response:
    path: str = request.scope["path"]
    if path.startswith("/oauth/"):
        members = {"error": "invalid_request", "error_description": exc.told.message}
        return JSONResponse(members, exc.told.status, {**exc.told.headers, "cache-control": "no-store"})
    return _told(exc.told, as_rpc=path == RPC_PATH)


async def _invalid(request: Request, exc: InvalidRequest) -> Response:
    return _told(failure_of(exc, 0.0))


async def _no_database(request: Request, exc: Exception) -> Response:
    log_error(f"the database cannot be used ({exc if isinstance(exc, DatabaseDown) else type(exc).__name__})")
    told = failure(503, "The database cannot be used", code="database_unavailable", retry_after=1)
    return _told(told, as_rpc=request.scope["path"] == RPC_PATH)


async def _fault(request: Request, exc: Exception) -> Response:
    if not isinstance(exc, ClientDisconnect):
        log_exception("a request ended with an unexpected error", exc)
    return _told(failure(500, "Internal error", code="internal_error"))
