"""What happens to a thread as a whole: its name and metadata, archiving, deletion, and letting go of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from appserver.errors import RequestError
from appserver.rpc.router import Reply
from appserver.threads.stores.base import Changes
from appserver.threads.turn_record import TurnRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from appserver.server.workspace import Client
    from appserver.threads.record import ThreadRecord
    from protocol.thread_life import (
        EmptyResult,
        ThreadIdParams,
        ThreadMetadataUpdateParams,
        ThreadNameSetParams,
        ThreadNameUpdatedNotification,
        ThreadResult,
        ThreadUnsubscribeResult,
    )


async def name_set(client: Client, params: ThreadNameSetParams) -> EmptyResult:
    """Give a thread a name, or take it away."""
    thread_id, name = params["threadId"], params["name"].strip()
    async with client.workspace.threads.order(thread_id):
        await client.workspace.threads.change(thread_id, Changes(name=name))
        updated: ThreadNameUpdatedNotification = {"threadId": thread_id, "threadName": name or None}
        client.workspace.subscriptions.broadcast("thread/name/updated", updated)
    return {}


async def metadata_update(client: Client, params: ThreadMetadataUpdateParams) -> ThreadResult:
    """Change what is noted about a thread's repository."""
    threads, thread_id, changes = client.workspace.threads, params["threadId"], params.get("gitInfo")
    async with threads.order(thread_id):
        metadata = await threads.metadata(thread_id)
        if changes:
            empty = {"sha": None, "branch": None, "originUrl": None}
            info = {**empty, **(metadata.git_info or {}), **changes}
            metadata = await threads.change(thread_id, Changes(git_info=info if any(info.values()) else {}))
    return {"thread": metadata.on_wire(threads.status(thread_id))}


async def archive(client: Client, params: ThreadIdParams) -> Reply:
    """Put a thread away: out of lists, and out of memory. A turn that runs is interrupted."""
    workspace, thread_id = client.workspace, params["threadId"]
    async with workspace.threads.order(thread_id):
        if (await workspace.threads.metadata(thread_id)).ephemeral:
            raise RequestError("ephemeral threads do not support thread/archive", {"kind": "ephemeralThread"})
        await workspace.threads.change(thread_id, Changes(archived=True))
        thread = workspace.threads.get(thread_id) if workspace.threads.is_loaded(thread_id) else None
        _interrupt(client, thread, then=partial(workspace.unload_thread, thread_id))
    result: EmptyResult = {}
    return Reply(result, then=lambda: workspace.subscriptions.broadcast("thread/archived", {"threadId": thread_id}))


async def unarchive(client: Client, params: ThreadIdParams) -> ThreadResult:
    """Bring a thread back into lists."""
    threads, thread_id = client.workspace.threads, params["threadId"]
    async with threads.order(thread_id):
        metadata = await threads.change(thread_id, Changes(archived=False))
        client.workspace.subscriptions.broadcast("thread/unarchived", {"threadId": thread_id})
    return {"thread": metadata.on_wire(threads.status(thread_id))}


async def delete(client: Client, params: ThreadIdParams) -> Reply:
    """Forget a thread for good. A turn that runs is interrupted."""
    workspace, thread_id = client.workspace, params["threadId"]
    async with workspace.threads.order(thread_id):
        thread = workspace.threads.get(thread_id) if workspace.threads.is_loaded(thread_id) else None
        await workspace.threads.delete(thread_id)
        _interrupt(client, thread, then=partial(workspace.subscriptions.forget, thread_id))
    result: EmptyResult = {}
    return Reply(result, then=lambda: workspace.subscriptions.broadcast("thread/deleted", {"threadId": thread_id}))


async def unsubscribe(client: Client, params: ThreadIdParams) -> ThreadUnsubscribeResult:
    """Be told nothing more of a thread's turns. It stays loaded for a while."""
    thread_id = params["threadId"]
    async with client.workspace.threads.order(thread_id):
        if not client.workspace.threads.is_loaded(thread_id):
            return {"status": "notLoaded"}  # also where there is no such thread
        was_subscribed = client.workspace.subscriptions.unsubscribe(client, thread_id)
    return {"status": "unsubscribed" if was_subscribed else "notSubscribed"}


async def compact_start(client: Client, params: ThreadIdParams) -> Reply:
    """Start a turn that lets a summary take the place of the history."""
    threads, thread_id, turn = client.workspace.threads, params["threadId"], TurnRecord([])
    async with threads.order(thread_id):
        thread = await client.workspace.loaded_thread(thread_id)
        compact = partial(client.workspace.compactor.run, thread, turn, client.session)
        await client.workspace.turns.start_work(thread, turn, compact)
    result: EmptyResult = {}
    return Reply(result, then=partial(client.workspace.turns.begin, turn.id))


def _interrupt(client: Client, thread: ThreadRecord | None, then: Callable[[], None]) -> None:
    """Interrupt the turn that runs in a thread, if one does, and make a call once none does."""
    if thread is None or thread.active is None:
        then()
        return
    thread.after_turn.append(then)
    client.workspace.turns.interrupt(thread, thread.active.id)
