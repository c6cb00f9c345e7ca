"""turn/*."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from appserver.errors import RequestError
from appserver.handlers.thread_settings import settings_told
from appserver.rpc.router import Accepted, Reply
from appserver.threads.settings import chosen
from appserver.threads.turn_record import TurnRecord
from appserver.turns.inbox import UserMessage
from appserver.turns.input import message_item, names_files, preview

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from appserver.server.workspace import Client
    from protocol.turn import (
        TurnInterruptParams,
        TurnInterruptResult,
        TurnStartParams,
        TurnStartResult,
        TurnSteerParams,
        TurnSteerResult,
    )


def start(client: Client, params: TurnStartParams) -> Reply | Awaitable[Reply]:
    """Start a turn, or add to the one that runs. What happens in the turn is told by notifications."""
    client.workspace.threads.get(params["threadId"])
    if names_files(params["input"]):
        return _start_with_files(client, params)
    return _start(client, params, _message(client, params))


def steer(client: Client, params: TurnSteerParams) -> TurnSteerResult | Awaitable[TurnSteerResult]:
    """Add input to the active turn."""
    if not params["input"]:
        raise RequestError("input must not be empty")
    if names_files(params["input"]):
        return Accepted(_steer_with_files(client, params))
    return _steer(client, params, _message(client, params))


def interrupt(client: Client, params: TurnInterruptParams) -> TurnInterruptResult:
    """Interrupt the active turn. Doing it twice does no harm."""
    thread = client.workspace.threads.get(params["threadId"])
    client.workspace.turns.interrupt(thread, params["turnId"])
    return {}


def _start(client: Client, params: TurnStartParams, message: UserMessage) -> Reply:
    thread = client.workspace.threads.get(params["threadId"])
    asked = TurnRecord(message.content, message.client_id, service_tier=params.get("serviceTierForTurn"))
    asker = client.workspace.subscriptions.of_turn(client, thread.id)
    turn = client.workspace.turns.start(thread, asked, message, asker)
    told = settings_told(client, thread)
    thread.choose(chosen(params))  # written with the first item of the turn
    if not thread.metadata.preview:
        thread.metadata = replace(thread.metadata, preview=preview(params["input"]))
    if params.get("outputSchema") is not None:
        turn.output_schema = params["outputSchema"]
    result: TurnStartResult = {"turn": turn.on_wire()}

    def then() -> None:
        told()
        client.workspace.turns.begin(turn.id)

    return Reply(result, then=then)


def _steer(client: Client, params: TurnSteerParams, message: UserMessage) -> TurnSteerResult:
    thread = client.workspace.threads.get(params["threadId"])
    client.workspace.turns.steer(thread, params["expectedTurnId"], message)
    return {"turnId": params["expectedTurnId"]}


def _message(client: Client, params: TurnStartParams | TurnSteerParams) -> UserMessage:
    return UserMessage(
        params["input"],
        params.get("clientUserMessageId"),
        message_item(params["input"], client.workspace.settings.home),
        params.get("additionalContext"),
    )


async def _start_with_files(client: Client, params: TurnStartParams) -> Reply:
    from anyio import to_thread  # late: a plain text needs none

    message = await to_thread.run_sync(_message, client, params)
    started = client.workspace.threads.attempt(partial(_start, client, params, message))
    return started if isinstance(started, Reply) else await started


async def _steer_with_files(client: Client, params: TurnSteerParams) -> TurnSteerResult:
    from anyio import to_thread

    return _steer(client, params, await to_thread.run_sync(_message, client, params))
