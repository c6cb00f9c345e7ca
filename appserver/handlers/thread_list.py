"""thread/read, and the pages: thread/list, thread/loaded/list, thread/turns/list, thread/items/list."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from appserver.errors import InvalidParams, RequestError
from appserver.threads.metadata import SOURCE
from appserver.threads.paging import ALL, Cursor, PageQuery, ThreadQuery, decode, encode, page_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appserver.server.workspace import Client
    from appserver.threads.metadata import ThreadMetadata
    from appserver.threads.stores.base import ThreadReader
    from protocol.thread_list import (
        InitialTurnsPageParams,
        ThreadItemsListParams,
        ThreadItemsListResult,
        ThreadListParams,
        ThreadListResult,
        ThreadLoadedListParams,
        ThreadLoadedListResult,
        ThreadReadParams,
        ThreadReadResult,
        ThreadTurnsListParams,
        TurnsPage,
    )
    from protocol.turn import Turn


MAX_EXCLUDED = 100
"""Threads that a client may exclude from a list: as many as the reference takes."""

UUID = r"[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}"
"""The shape of a thread's id."""


async def read(client: Client, params: ThreadReadParams) -> ThreadReadResult:
    """Read a thread, loaded or not."""
    threads, thread_id = client.workspace.threads, params["threadId"]

    def query(found: ThreadReader) -> tuple[ThreadMetadata, list[Turn]]:
        return found.thread().metadata, all_turns(found) if params.get("includeTurns") else []

    metadata, turns = await threads.read(thread_id, query)
    return {"thread": metadata.on_wire(threads.status(thread_id), turns)}


async def list_(client: Client, params: ThreadListParams) -> ThreadListResult:
    """List threads. Ephemeral ones are not listed, nor are those in which nothing has been said."""
    threads, cwd = client.workspace.threads, params.get("cwd")
    if not _can_fit(params):
        return {"data": [], "nextCursor": None, "backwardsCursor": None}
    query = ThreadQuery(
        limit=page_size(params.get("limit")),
        cursor=params.get("cursor"),
        descending=params.get("sortDirection") != "asc",
        sort_key="updated_at" if params.get("sortKey") in ("updated_at", "recency_at") else "created_at",
        archived=bool(params.get("archived")),
        cwds=_one_of([cwd] if isinstance(cwd, str) else cwd),
        providers=_one_of(params.get("modelProviders")),
        search=params.get("searchTerm"),
        excluded=tuple(params.get("excludedThreadIds") or ()),
    )
    page = await threads.page(query)
    return {
        "data": [metadata.on_wire(threads.status(metadata.id)) for metadata in page.rows],
        "nextCursor": page.next,
        "backwardsCursor": page.back,
    }


async def loaded_list(client: Client, params: ThreadLoadedListParams) -> ThreadLoadedListResult:
    """List the loaded threads."""
    cursor, limit = decode("loaded", params.get("cursor")), params.get("limit")
    loaded = await client.workspace.threads.loaded()
    found = [one for one in loaded if cursor is None or one > str(cursor.position[0])]
    if limit is None or len(found) <= max(limit, 1):
        return {"data": found, "nextCursor": None}
    data = found[: max(limit, 1)]
    return {"data": data, "nextCursor": encode("loaded", Cursor((data[-1],)))}


async def turns_list(client: Client, params: ThreadTurnsListParams) -> TurnsPage:
    """List the turns of a thread."""
    return await client.workspace.threads.read(
        params["threadId"], lambda found: turns_page(found, params, params.get("cursor"))
    )


def turns_page(
    found: ThreadReader, params: ThreadTurnsListParams | InitialTurnsPageParams, cursor: str | None = None
) -> TurnsPage:
    """Return a page of turns."""
    query = PageQuery(page_size(params.get("limit")), cursor, descending=params.get("sortDirection") != "asc")
    view = params.get("itemsView") or "summary"
    page = found.turns(query, view)
    return {
        "data": [turn.viewed(view) for turn in page.rows],
        "nextCursor": page.next,
        "backwardsCursor": page.back,
    }


def all_turns(found: ThreadReader) -> list[Turn]:
    """Return all turns with all of their items."""
    return [turn.viewed("full") for turn in found.turns(PageQuery(ALL, descending=False), "full").rows]


async def items_list(client: Client, params: ThreadItemsListParams) -> ThreadItemsListResult:
    """List the items of a thread, or of one of its turns."""
    cursor = params.get("cursor")
    if isinstance(cursor, dict) and not params.get("turnId"):
        raise InvalidParams("turnId is required when cursor is an item anchor")
    query = PageQuery(
        limit=page_size(params.get("limit")),
        cursor=None if isinstance(cursor, dict) else cursor,
        descending=params.get("sortDirection") == "desc",
        anchor=cursor["itemId"] if isinstance(cursor, dict) else None,
    )
    page = await client.workspace.threads.read(
        params["threadId"], lambda found: found.items(query, params.get("turnId"))
    )
    return {
        "data": [
            {"item": one.item, "turnId": one.turn_id, "completedAtMs": int(one.completed_at * 1000)}
            for one in page.rows
        ],
        "nextCursor": page.next,
        "backwardsCursor": page.back,
    }


def _can_fit(params: ThreadListParams) -> bool:
    """Whether there can be such threads. Refuses filters as the reference does. Raises InvalidParams, RequestError."""
    excluded = params.get("excludedThreadIds") or []
    if len(excluded) > MAX_EXCLUDED:
        raise InvalidParams(f"excludedThreadIds accepts at most {MAX_EXCLUDED} entries")
    for thread_id in excluded:
        if not re.fullmatch(UUID, thread_id):
            raise InvalidParams(f"invalid excluded thread id: {thread_id}")
    if params.get("originators"):
        raise InvalidParams("originator filtering is not supported by the local app-server")
    if params.get("projectId") is not None:
        raise InvalidParams(f"project not found: {params['projectId']}")
    if params.get("sortKey") == "section_position" and "sectionId" not in params:
        raise RequestError("section-position sorting requires a section filter")
    parent, ancestor = params.get("parentThreadId"), params.get("ancestorThreadId")
    if parent and ancestor:
        raise RequestError("parentThreadId and ancestorThreadId are mutually exclusive")
    sources = params.get("sourceKinds")
    return not (parent or ancestor or params.get("sectionId")) and (not sources or SOURCE in sources)


def _one_of(values: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the values of a filter. An empty one filters nothing."""
    return tuple(values) if values else None
