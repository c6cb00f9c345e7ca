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
    from protocol.thread_life import (
        EmptyResult,
        ThreadIdParams,
        ThreadMetadataUpdateParams,
        ThreadNameSetParams,
        ThreadNameUpdatedNotification,
        ThreadResult,
        ThreadUnsubscribeResult,
    )


def name_set(client: Client, params: ThreadNameSetParams) -> EmptyResult:
    """Give a thread a name, or take it away."""
    thread_id, name = params["threadId"], params["name"].strip()
    client.workspace.threads.change(thread_id, Changes(name=name))
    updated: ThreadNameUpdatedNotification = {"threadId": thread_id, "threadName": name or None}
    client.workspace.subscriptions.broadcast("thread/name/updated", updated)
    return {}


def metadata_update(client: Client, params: ThreadMetadataUpdateParams) -> ThreadResult:
    """Change what is noted about a thread's repository."""
    thread_id, changes = params["threadId"], params.get("gitInfo")
    if changes:
        empty = {"sha": None, "branch": None, "originUrl": None}
        info = {**empty, **(client.workspace.threads.metadata(thread_id).git_info or {}), **changes}
        client.workspace.threads.change(thread_id, Changes(git_info=info if any(info.values()) else {}))
    return _thread(client, thread_id)


def archive(client: Client, params: ThreadIdParams) -> Reply:
    """Put a thread away: out of lists, and out of memory. A turn that runs is interrupted."""
    workspace, thread_id = client.workspace, params["threadId"]
    if workspace.threads.metadata(thread_id).ephemeral:
        raise RequestError("ephemeral threads do not support thread/archive", {"kind": "ephemeralThread"})
    interrupt = _interruption(client, thread_id)
    workspace.threads.change(thread_id, Changes(archived=True))
    interrupt(partial(workspace.unload_thread, thread_id))
    result: EmptyResult = {}
    return Reply(result, then=lambda: workspace.subscriptions.broadcast("thread/archived", {"threadId": thread_id}))


def unarchive(client: Client, params: ThreadIdParams) -> ThreadResult:
    """Bring a thread back into lists."""
    thread_id = params["threadId"]
    client.workspace.threads.change(thread_id, Changes(archived=False))
    result = _thread(client, thread_id)
    client.workspace.subscriptions.broadcast("thread/unarchived", {"threadId": thread_id})
    return result


def delete(client: Client, params: ThreadIdParams) -> Reply:
    """Forget a thread for good. A turn that runs is interrupted."""
    workspace, thread_id = client.workspace, params["threadId"]
    interrupt = _interruption(client, thread_id)
    workspace.threads.delete(thread_id)
    interrupt(partial(workspace.subscriptions.forget, thread_id))
    result: EmptyResult = {}
    return Reply(result, then=lambda: workspace.subscriptions.broadcast("thread/deleted", {"threadId": thread_id}))


def unsubscribe(client: Client, params: ThreadIdParams) -> ThreadUnsubscribeResult:
    """Be told nothing more of a thread's turns. It stays loaded for a while."""
    thread_id = params["threadId"]
    if not client.workspace.threads.is_loaded(thread_id):
        return {"status": "notLoaded"}  # also where there is no such thread
    was_subscribed = client.workspace.subscriptions.unsubscribe(client, thread_id)
    return {"status": "unsubscribed" if was_subscribed else "notSubscribed"}


def compact_start(client: Client, params: ThreadIdParams) -> Reply:
    """Start a turn that lets a summary take the place of the history."""
    thread, turn = client.workspace.threads.get(params["threadId"]), TurnRecord([])
    compact = partial(client.workspace.compactor.run, thread, turn, client.session)
    client.workspace.turns.start_work(thread, turn, compact)
    result: EmptyResult = {}
    return Reply(result, then=partial(client.workspace.turns.begin, turn.id))


def _thread(client: Client, thread_id: str) -> ThreadResult:
    return {"thread": client.workspace.threads.metadata(thread_id).on_wire(client.workspace.threads.status(thread_id))}


def _interruption(client: Client, thread_id: str) -> Callable[[Callable[[], None]], None]:
    """Return what interrupts the turn that runs in a thread, if one does, and calls its argument once none does."""
    threads = client.workspace.threads
    thread = threads.get(thread_id) if threads.is_loaded(thread_id) else None
    active = thread.active if thread else None

    def interrupt(then: Callable[[], None]) -> None:
        if thread is None or active is None:
            then()
            return
        thread.after_turn.append(then)
        client.workspace.turns.interrupt(thread, active.id)

    return interrupt
