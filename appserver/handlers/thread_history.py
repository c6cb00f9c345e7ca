"""What clients change of a thread's history: thread/inject_items, thread/revert, and the older thread/rollback."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from appserver.errors import InvalidParams, RequestError
from appserver.handlers.thread_list import all_turns
from appserver.rpc.router import Reply
from appserver.threads.paging import ALL, PageQuery
from appserver.threads.transcript import Cut
from appserver.turns.response_items import taken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from appserver.server.workspace import Client
    from appserver.threads.record import ThreadRecord
    from protocol.thread_life import (
        EmptyResult,
        ThreadInjectItemsParams,
        ThreadResult,
        ThreadRevertParams,
        ThreadRevertResult,
        ThreadRollbackParams,
    )

END_SECONDS = 30.0
"""What a turn that is interrupted gets to end: it waits for nothing but the database, which has a bound of its own."""


def inject_items(client: Client, params: ThreadInjectItemsParams) -> EmptyResult:
    """Add items to what the model is sent of a thread. No turn is started."""
    thread = client.workspace.threads.get(params["threadId"])
    if not params["items"]:
        raise RequestError("items must not be empty")
    if items := taken(params["items"], thread.history):
        client.workspace.turns.inject(thread, items)
    return {}


def revert(client: Client, params: ThreadRevertParams) -> Reply | Awaitable[Reply]:
    """Forget a turn and all that came after it. A turn that runs is among them: it is interrupted first."""
    thread, before = client.workspace.threads.get(params["threadId"]), params["beforeTurnId"]
    if thread.active is not None:
        return _revert_running(client, thread, before)
    return _revert(client, thread, before)


def rollback(client: Client, params: ThreadRollbackParams) -> Reply:
    """Forget the last turns of a thread."""
    thread, number = client.workspace.threads.get(params["threadId"]), params["numTurns"]
    if number < 1:
        raise InvalidParams("Invalid params for thread/rollback: numTurns: must be at least 1")
    if thread.active is not None:
        raise RequestError("Cannot rollback while a turn is in progress.", {"activeTurnId": thread.active.id})
    with client.workspace.threads.reading(thread.id) as found:
        last = found.turns(PageQuery(min(number, ALL))).rows
    told = _telling(client, thread)
    if last:
        thread.revert(last[-1].id)
    with client.workspace.threads.reading(thread.id) as found:
        turns = all_turns(found)
    result: ThreadResult = {"thread": thread.metadata.on_wire(thread.status_on_wire(), turns)}
    return Reply(result, then=told)


async def _revert_running(client: Client, thread: ThreadRecord, before: str) -> Reply:
    from anyio import move_on_after  # late: with the event loop

    with client.workspace.threads.reading(thread.id) as found:
        if all(turn.id != before for turn in found.turns(PageQuery(ALL)).rows):
            Cut(before=before).check(None)  # a turn that is not there interrupts nothing
    if thread.active is not None:
        with move_on_after(END_SECONDS):
            await client.workspace.turns.end(thread.active)
    if thread.active is not None:
        raise RequestError(f"turn {thread.active.id} is active in this thread", {"activeTurnId": thread.active.id})
    reverted = client.workspace.threads.attempt(partial(_revert, client, thread, before))
    return reverted if isinstance(reverted, Reply) else await reverted


def _revert(client: Client, thread: ThreadRecord, before: str) -> Reply:
    told = _telling(client, thread)
    thread.revert(before)
    with client.workspace.threads.reading(thread.id) as found:
        last_turn, last_item = found.turns(PageQuery(limit=1)), found.items(PageQuery(limit=1))
    result: ThreadRevertResult = {
        "thread": thread.on_wire(),
        "turnsBackwardsCursor": last_turn.back,
        "itemsBackwardsCursor": last_item.back,
    }
    return Reply(result, then=told)


def _telling(client: Client, thread: ThreadRecord) -> Callable[[], None]:
    """Return what tells clients that a thread was reverted, and its status if that has changed by then."""
    before, subscriptions = thread.status_on_wire(), client.workspace.subscriptions

    def tell() -> None:
        if (now := thread.status_on_wire()) != before:
            subscriptions.broadcast("thread/status/changed", {"threadId": thread.id, "status": now})
        subscriptions.followers(thread.id, client)("thread/reverted", {"threadId": thread.id})

    return tell
