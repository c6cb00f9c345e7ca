"""thread/settings/update, and telling clients what is in force for a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appserver.rpc.router import Reply
from appserver.threads.in_force import chosen

if TYPE_CHECKING:
    from collections.abc import Callable

    from appserver.server.services import Services
    from appserver.threads.record import ThreadRecord
    from protocol.settings import ThreadSettingsUpdatedNotification, ThreadSettingsUpdateParams
    from protocol.thread_life import EmptyResult


def update(services: Services, params: ThreadSettingsUpdateParams) -> Reply:
    """Put something in force for a thread, from the next turn on."""
    thread = services.threads.get(params["threadId"])
    told = settings_told(services, thread)
    thread.change(chosen(params))
    result: EmptyResult = {}
    return Reply(result, then=told)


def settings_told(services: Services, thread: ThreadRecord) -> Callable[[], None]:
    """Return what tells the client what is in force for a thread, if that is something else by then."""
    before = thread.settings_on_wire()

    def tell() -> None:
        if (now := thread.settings_on_wire()) != before:
            updated: ThreadSettingsUpdatedNotification = {"threadId": thread.id, "threadSettings": now}
            services.client.notify("thread/settings/updated", updated)

    return tell
