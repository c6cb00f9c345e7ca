"""turn/*."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appserver.errors import RequestError
from appserver.handlers.thread_settings import settings_told
from appserver.rpc.router import Accepted, Reply
from appserver.threads.settings import chosen
from appserver.threads.turn_record import TurnRecord
from appserver.turns.inbox import UserMessage
from appserver.turns.input import message_item, names_files, preview

if TYPE_CHECKING:
    from appserver.server.workspace import Client
    from protocol.turn import (
        TurnInterruptParams,
        TurnInterruptResult,
        TurnStartParams,
        TurnStartResult,
        TurnSteerParams,
        TurnSteerResult,
    )


async def start(client: Client, params: TurnStartParams) -> Reply:
    """Start a turn, or add to the one that runs. What happens in the turn is told by notifications."""
    threads, turns, thread_id = client.workspace.threads, client.workspace.turns, params["threadId"]
    async with threads.order(thread_id):
        message = await _message(client, params)
        thread = await client.workspace.loaded_thread(thread_id)
        asked = TurnRecord(message.content, message.client_id, service_tier=params.get("serviceTierForTurn"))
        told, values = settings_told(client, thread), chosen(params)
        if not thread.metadata.preview:
            values["preview"] = preview(params["input"])
        turn_client = client.workspace.subscriptions.of_turn(client, thread_id)
        turn = await turns.start(thread, asked, message, turn_client, values)
        if params.get("outputSchema") is not None:
            turn.output_schema = params["outputSchema"]
        result: TurnStartResult = {"turn": turn.on_wire()}

    def then() -> None:
        told()
        turns.begin(turn.id)

    return Reply(result, then=then)


def steer(client: Client, params: TurnSteerParams) -> Accepted[TurnSteerResult]:
    """Add input to the active turn. Waits for no change of the thread."""
    return Accepted(_steer(client, params))


def interrupt(client: Client, params: TurnInterruptParams) -> Accepted[TurnInterruptResult]:
    """Interrupt the active turn. Doing it twice does no harm. Waits for no change of the thread."""
    return Accepted(_interrupt(client, params))


async def _steer(client: Client, params: TurnSteerParams) -> TurnSteerResult:
    if not params["input"]:
        raise RequestError("input must not be empty")
    message = await _message(client, params)
    thread = client.workspace.threads.get(params["threadId"])
    client.workspace.turns.steer(thread, params["expectedTurnId"], message)
    return {"turnId": params["expectedTurnId"]}


async def _interrupt(client: Client, params: TurnInterruptParams) -> TurnInterruptResult:
    """A coroutine, so that it comes after a request before it that starts the turn."""
    thread = client.workspace.threads.get(params["threadId"])
    client.workspace.turns.interrupt(thread, params["turnId"])
    return {}


async def _message(client: Client, params: TurnStartParams | TurnSteerParams) -> UserMessage:
    """Return the user's message. Files that it names are read in a thread: a disk may be slow."""
    if not names_files(params["input"]):
        return _read_message(client, params)
    from anyio import to_thread  # late: a plain text needs none

    return await to_thread.run_sync(_read_message, client, params)


def _read_message(client: Client, params: TurnStartParams | TurnSteerParams) -> UserMessage:
    return UserMessage(
        params["input"],
        params.get("clientUserMessageId"),
        message_item(params["input"], client.workspace.settings.home),
        params.get("additionalContext"),
    )
