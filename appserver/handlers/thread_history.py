"""What clients change of a thread's history: thread/inject_items, thread/revert, and the older thread/rollback."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from appserver.errors import InvalidParams, RequestError
from appserver.handlers.thread_list import all_turns
from appserver.rpc.router import Reply
from appserver.threads.paging import ALL, PageQuery
from appserver.threads.transcript import Cut
from appserver.turns.response_items import taken

if TYPE_CHECKING:
    from collections.abc import Callable

    from appserver.server.workspace import Client
    from appserver.threads.paging import Page, StoredItem
    from appserver.threads.record import ThreadRecord
    from appserver.threads.stores.base import ThreadReader
    from appserver.threads.turn_record import TurnRecord
    from protocol.thread_life import (
        EmptyResult,
        ThreadInjectItemsParams,
        ThreadResult,
        ThreadRevertParams,
        ThreadRevertResult,
        ThreadRollbackParams,
    )

T = TypeVar("T")

END_SECONDS = 30.0
"""What a turn that is interrupted gets to end: it waits for nothing but the database, which has a bound of its own."""


async def inject_items(client: Client, params: ThreadInjectItemsParams) -> EmptyResult:
    """Add items to what the model is sent of a thread. No turn is started."""
    threads, thread_id = client.workspace.threads, params["threadId"]
    async with threads.order(thread_id):
        thread = await client.workspace.loaded_thread(thread_id)
        if not params["items"]:
            raise RequestError("items must not be empty")
        if items := taken(params["items"], thread.history):
            await client.workspace.turns.inject(thread, items)
    return {}


async def revert(client: Client, params: ThreadRevertParams) -> Reply:
    """Forget a turn and all that came after it. A turn that runs is among them: it is interrupted first."""
    threads, thread_id, before = client.workspace.threads, params["threadId"], params["beforeTurnId"]
    async with threads.order(thread_id):
        thread = await client.workspace.loaded_thread(thread_id)
        if thread.active is not None:
            await _end_active_turn(client, thread, before)
        told = _telling(client, thread)
        await thread.revert(before)
        last_turn, last_item = await _read(client, thread, _ends)
        result: ThreadRevertResult = {
            "thread": thread.on_wire(),
            "turnsBackwardsCursor": last_turn.back,
            "itemsBackwardsCursor": last_item.back,
        }
    return Reply(result, then=told)


async def rollback(client: Client, params: ThreadRollbackParams) -> Reply:
    """Forget the last turns of a thread."""
    threads, thread_id, number = client.workspace.threads, params["threadId"], params["numTurns"]
    async with threads.order(thread_id):
        thread = await client.workspace.loaded_thread(thread_id)
        if number < 1:
            raise InvalidParams("Invalid params for thread/rollback: numTurns: must be at least 1")
        if thread.active is not None:
            raise RequestError("Cannot rollback while a turn is in progress.", {"activeTurnId": thread.active.id})
        last = (await _read(client, thread, lambda found: found.turns(PageQuery(min(number, ALL))))).rows
        told = _telling(client, thread)
        if last:
            await thread.revert(last[-1].id)
        turns = await _read(client, thread, all_turns)
        result: ThreadResult = {"thread": thread.metadata.on_wire(thread.status_on_wire(), turns)}
    return Reply(result, then=told)


async def _end_active_turn(client: Client, thread: ThreadRecord, before: str) -> None:
    """Interrupt the turn that runs, and wait for its end. Raises RequestError, also if there is no turn `before`."""
    from anyio import move_on_after  # late: with the event loop

    turns = (await _read(client, thread, lambda found: found.turns(PageQuery(ALL)))).rows
    if all(turn.id != before for turn in turns):
        Cut(before=before).check(None)  # a turn that is not there interrupts nothing
    if thread.active is not None:
        with move_on_after(END_SECONDS):
            await client.workspace.turns.end(thread.active)
    if thread.active is not None:
        raise RequestError(f"turn {thread.active.id} is active in this thread", {"activeTurnId": thread.active.id})


async def _read(client: Client, thread: ThreadRecord, query: Callable[[ThreadReader], T]) -> T:
    """Read a thread whose order the caller holds."""
    return await client.workspace.threads.store_of(thread.id).read(thread.id, query)


def _ends(found: ThreadReader) -> tuple[Page[TurnRecord], Page[StoredItem]]:
    """Read the last turn and the last item."""
    return found.turns(PageQuery(limit=1)), found.items(PageQuery(limit=1))


def _telling(client: Client, thread: ThreadRecord) -> Callable[[], None]:
    """Return what tells clients that a thread was reverted, and its status if that has changed by then."""
    before, subscriptions = thread.status_on_wire(), client.workspace.subscriptions

    def tell() -> None:
        if (now := thread.status_on_wire()) != before:
            subscriptions.broadcast("thread/status/changed", {"threadId": thread.id, "status": now})
        subscriptions.followers(thread.id, client)("thread/reverted", {"threadId": thread.id})

    return tell
