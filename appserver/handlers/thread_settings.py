"""thread/settings/update, and telling clients the settings of a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appserver.rpc.router import Reply
from appserver.threads.settings import chosen

if TYPE_CHECKING:
    from collections.abc import Callable

    from appserver.server.workspace import Client
    from appserver.threads.record import ThreadRecord
    from protocol.settings import ThreadSettingsUpdatedNotification, ThreadSettingsUpdateParams
    from protocol.thread_life import EmptyResult


async def update(client: Client, params: ThreadSettingsUpdateParams) -> Reply:
    """Change the settings of a thread, from the next turn on."""
    threads, thread_id = client.workspace.threads, params["threadId"]
    async with threads.order(thread_id):
        thread = threads.get(thread_id)
        told = settings_told(client, thread)
        await thread.change_settings(chosen(params))
    result: EmptyResult = {}
    return Reply(result, then=told)


def settings_told(client: Client, thread: ThreadRecord) -> Callable[[], None]:
    """Return what tells clients the settings of a thread, if they have changed by then."""
    before = thread.settings_on_wire()

    def tell() -> None:
        if (now := thread.settings_on_wire()) != before:
            updated: ThreadSettingsUpdatedNotification = {"threadId": thread.id, "threadSettings": now}
            client.workspace.subscriptions.followers(thread.id, client)("thread/settings/updated", updated)

    return tell
