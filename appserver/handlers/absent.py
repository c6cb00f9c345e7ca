"""Features of the reference that this server does not have, each answered in the reference's shape with what is there.

Clients ask for these before they open a session or to fill a menu, and an error would end the session.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from appserver.server.workspace import Client

EMPTY_PAGE: Final[Mapping[str, object]] = {"data": [], "nextCursor": None}

ANSWERS: Final[Mapping[str, Mapping[str, object]]] = {
    "app/list": EMPTY_PAGE,
    "collaborationMode/list": {
        "data": [
            {"name": "Plan", "mode": "plan", "model": None, "reasoning_effort": None},
            {"name": "Default", "mode": "default", "model": None, "reasoning_effort": None},
        ]
    },
    "config/mcpServer/reload": {},
    "configRequirements/read": {"requirements": None},
    "experimentalFeature/list": EMPTY_PAGE,
    "mcpServerStatus/list": EMPTY_PAGE,
    "modelProvider/capabilities/read": {"imageGeneration": False, "webSearch": False},
    "permissionProfile/list": EMPTY_PAGE,
    "plugin/installed": {"marketplaces": [], "marketplaceLoadErrors": []},
    "plugin/list": {"marketplaces": [], "marketplaceLoadErrors": [], "featuredPluginIds": []},
    "skills/extraRoots/set": {},
}
"""Methods whose answer is always the same."""

OF_A_THREAD: Final[Mapping[str, Mapping[str, object]]] = {
    "thread/backgroundTerminals/list": EMPTY_PAGE,
    "thread/goal/get": {"goal": None},
}
"""Methods about a thread, which must be there."""

OF_DIRECTORIES: Final[Mapping[str, Mapping[str, object]]] = {
    "hooks/list": {"hooks": [], "warnings": [], "errors": []},
    "skills/list": {"skills": [], "errors": []},
}
"""Methods about working directories: the members of each directory's entry beside `cwd`."""

METHODS: Final = (*ANSWERS, *OF_A_THREAD, *OF_DIRECTORIES)


def answer(
    client: Client, method: str, params: Mapping[str, Any]
) -> Mapping[str, object] | Awaitable[Mapping[str, object]]:
    """Answer one of the methods above. Raises RequestError for a thread that is not there."""
    if method in OF_A_THREAD:
        return _of_a_thread(client, method, params["threadId"])
    if method in OF_DIRECTORIES:
        directories = params.get("cwds") or [os.getcwd()]
        return {"data": [{"cwd": cwd, **OF_DIRECTORIES[method]} for cwd in directories]}
    return ANSWERS[method]


async def _of_a_thread(client: Client, method: str, thread_id: str) -> Mapping[str, object]:
    await client.workspace.threads.read(thread_id, lambda found: found.thread())
    return OF_A_THREAD[method]
