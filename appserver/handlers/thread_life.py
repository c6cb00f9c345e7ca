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

    from appserver.server.services import Services
    from protocol.thread import ThreadStatusChangedNotification
    from protocol.thread_life import (
        EmptyResult,
        ThreadIdParams,
        ThreadMetadataUpdateParams,
        ThreadNameSetParams,
        ThreadNameUpdatedNotification,
        ThreadResult,
        ThreadUnsubscribeResult,
    )


def name_set(services: Services, params: ThreadNameSetParams) -> EmptyResult:
    """Give a thread a name, or take it away."""
    thread_id, name = params["threadId"], params["name"].strip()
    services.threads.change(thread_id, Changes(name=name))
    updated: ThreadNameUpdatedNotification = {"threadId": thread_id, "threadName": name or None}
    services.client.notify("thread/name/updated", updated)
    return {}


def metadata_update(services: Services, params: ThreadMetadataUpdateParams) -> ThreadResult:
    """Change what is noted about a thread's repository."""
    thread_id, changes = params["threadId"], params.get("gitInfo")
    if changes:
        empty = {"sha": None, "branch": None, "originUrl": None}
        info = {**empty, **(services.threads.metadata(thread_id).git_info or {}), **changes}
        services.threads.change(thread_id, Changes(git_info=info if any(info.values()) else {}))
    return _thread(services, thread_id)


def archive(services: Services, params: ThreadIdParams) -> Reply:
    """Put a thread away: out of lists, and out of memory. A turn that runs is interrupted."""
    thread_id = params["threadId"]
    if services.threads.metadata(thread_id).ephemeral:
        raise RequestError("ephemeral threads do not support thread/archive", {"kind": "ephemeralThread"})
    interrupt = _interruption(services, thread_id)
    services.threads.change(thread_id, Changes(archived=True))
    interrupt()
    _let_go(services, thread_id)
    result: EmptyResult = {}
    return Reply(result, then=partial(services.client.notify, "thread/archived", {"threadId": thread_id}))


def unarchive(services: Services, params: ThreadIdParams) -> ThreadResult:
    """Bring a thread back into lists."""
    thread_id = params["threadId"]
    services.threads.change(thread_id, Changes(archived=False))
    result = _thread(services, thread_id)
    services.client.notify("thread/unarchived", {"threadId": thread_id})
    return result


def delete(services: Services, params: ThreadIdParams) -> Reply:
    """Forget a thread for good. A turn that runs is interrupted."""
    thread_id = params["threadId"]
    interrupt = _interruption(services, thread_id)
    services.threads.delete(thread_id)
    interrupt()
    services.subscriptions.subscribe(thread_id)
    result: EmptyResult = {}
    return Reply(result, then=partial(services.client.notify, "thread/deleted", {"threadId": thread_id}))


def unsubscribe(services: Services, params: ThreadIdParams) -> ThreadUnsubscribeResult:
    """Be told nothing more of a thread's turns. It stays loaded for a while."""
    thread_id = params["threadId"]
    if not services.threads.is_loaded(thread_id):
        return {"status": "notLoaded"}  # also where there is no such thread
    listened = services.subscriptions.unsubscribe(thread_id, partial(_let_go, services, thread_id, closed=True))
    return {"status": "unsubscribed" if listened else "notSubscribed"}


def compact_start(services: Services, params: ThreadIdParams) -> Reply:
    """Start a turn that lets a summary take the place of the history."""
    thread, turn = services.threads.get(params["threadId"]), TurnRecord([])
    services.turns.start_work(thread, turn, partial(services.compactor.run, thread, turn))
    result: EmptyResult = {}
    return Reply(result, then=partial(services.turns.begin, turn.id))


def _thread(services: Services, thread_id: str) -> ThreadResult:
    return {"thread": services.threads.metadata(thread_id).on_wire(services.threads.status(thread_id))}


def _interruption(services: Services, thread_id: str) -> Callable[[], None]:
    """Return what interrupts the turn that runs in a thread, if one does."""
    thread = services.threads.get(thread_id) if services.threads.is_loaded(thread_id) else None
    if thread is None or thread.active is None:
        return lambda: None
    return partial(services.turns.interrupt, thread, thread.active.id)


def _let_go(services: Services, thread_id: str, *, closed: bool = False) -> None:
    """Unload a thread, once its turn has ended if one runs."""
    if not services.threads.is_loaded(thread_id):
        return
    thread = services.threads.get(thread_id)
    if thread.active is not None:
        thread.after_turn.append(partial(_let_go, services, thread_id, closed=closed))
        return
    services.threads.unload(thread_id)
    services.subscriptions.subscribe(thread_id)
    changed: ThreadStatusChangedNotification = {"threadId": thread_id, "status": {"type": "notLoaded"}}
    services.client.notify("thread/status/changed", changed)
    if closed:
        services.client.notify("thread/closed", {"threadId": thread_id})
