"""thread/start, thread/resume, thread/fork: what brings a thread into being, or back."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from appserver.handlers.thread_list import all_turns, turns_page
from appserver.llm.catalog import tier_of
from appserver.rpc.router import Reply
from appserver.session import PROTOCOL_VERSION
from appserver.settings import DEFAULT_MODEL
from appserver.settings.values import DEFAULT_TIER
from appserver.threads.metadata import ThreadMetadata
from appserver.threads.paging import PageQuery
from appserver.threads.record import ThreadRecord
from appserver.threads.settings import ThreadSettings, chosen, chosen_options
from appserver.threads.turn_record import new_id
from appserver.turns.tool_definitions import checked

if TYPE_CHECKING:
    from collections.abc import Callable

    from appserver.server.workspace import Client
    from appserver.threads.paging import Page, StoredItem
    from appserver.threads.settings import Values
    from appserver.threads.stores.base import ThreadReader
    from appserver.threads.turn_record import TurnRecord
    from protocol.thread import (
        ThreadOptions,
        ThreadStartedNotification,
        ThreadStartParams,
        ThreadStartResult,
        ThreadStatusChangedNotification,
        ThreadTokenUsage,
        ThreadTokenUsageUpdatedNotification,
        WarningNotification,
    )
    from protocol.thread_life import ThreadForkParams, ThreadResumeParams, ThreadResumeResult
    from protocol.thread_list import TurnsPage
    from protocol.turn import Turn


class _Shown(NamedTuple):
    """What a client is shown of a thread that it resumes."""

    turns: list[Turn]
    page: TurnsPage | None
    last_turn: Page[TurnRecord]
    last_item: Page[StoredItem]


async def start(client: Client, params: ThreadStartParams) -> Reply:
    """Start a thread."""
    values: Values = {**chosen_options(client.workspace.settings.options), **_chosen(client, params)}
    named = values.pop("provider", None)
    provider = client.workspace.provider(named.id if named else None, params.get("config"), client.session)
    now = time.time()
    metadata = ThreadMetadata(
        id=new_id(),
        created_at=now,
        updated_at=now,
        provider=provider.id,
        model=DEFAULT_MODEL,
        effort=None,
        cwd=os.getcwd(),
        originator=client.session.originator,
        version=PROTOCOL_VERSION,
        thread_source=params.get("threadSource"),
        ephemeral=bool(params.get("ephemeral")),
    )
    thread = ThreadRecord(metadata, ThreadSettings(tools=checked(params.get("dynamicTools") or [])), provider)
    thread.choose(values)
    await client.workspace.threads.add(thread)
    client.workspace.subscriptions.subscribe(client, thread.id)
    return Reply(_result(thread), then=_telling_of_start(client, thread))


async def resume(client: Client, params: ThreadResumeParams) -> Reply:
    """Load a thread, so that turns can be started in it."""
    threads, thread_id, wanted = client.workspace.threads, params["threadId"], params.get("initialTurnsPage")

    def query(found: ThreadReader) -> _Shown:
        return _Shown(
            [] if params.get("excludeTurns") else all_turns(found),
            None if wanted is None else turns_page(found, wanted),
            found.turns(PageQuery(limit=1)),
            found.items(PageQuery(limit=1)),
        )

    async with threads.order(thread_id):
        was_loaded, values = threads.is_loaded(thread_id), _chosen(client, params)
        with client.workspace.subscriptions.joining(client, thread_id) as joining:
            thread, shown = await threads.resume(thread_id, values, query)
        if not was_loaded:
            changed: ThreadStatusChangedNotification = {"threadId": thread_id, "status": thread.status_on_wire()}
            client.workspace.subscriptions.broadcast("thread/status/changed", changed)
        result: ThreadResumeResult = {
            **_result(thread, shown.turns),
            "collaborationMode": thread.settings_on_wire()["collaborationMode"],
            "initialTurnsPage": shown.page,
            "turnsBackwardsCursor": shown.last_turn.back,
            "itemsBackwardsCursor": shown.last_item.back,
        }
    told = [*shown.turns, *(shown.page["data"] if shown.page else ())]
    tell_usage = _telling_of_usage(client, thread, shown.last_turn.rows)

    def then() -> None:
        joining.finish({item["id"] for turn in told for item in turn["items"]})
        tell_usage()

    return Reply(result, then=then)


async def fork(client: Client, params: ThreadForkParams) -> Reply:
    """Make a new thread of the turns of another."""
    thread = await client.workspace.threads.fork(
        params["threadId"],
        _chosen(client, params),
        ephemeral=bool(params.get("ephemeral")),
        last=params.get("lastTurnId"),
        before=params.get("beforeTurnId"),
        source=params.get("threadSource"),
    )
    client.workspace.subscriptions.subscribe(client, thread.id)

    def query(copied: ThreadReader) -> tuple[list[Turn], list[TurnRecord]]:
        return [] if params.get("excludeTurns") else all_turns(copied), copied.turns(PageQuery(limit=1)).rows

    turns, last_turn = await client.workspace.threads.read(thread.id, query)
    started, usage = _telling_of_start(client, thread), _telling_of_usage(client, thread, last_turn)

    def then() -> None:
        started()
        usage()

    return Reply(_result(thread, turns), then=then)


def _chosen(client: Client, params: ThreadOptions) -> Values:
    """Return what the client chooses: with a member of the params, or else with a key of `config`."""
    config = params.get("config")
    values: Values = {**chosen_options(client.workspace.options(config)), **chosen(params)}
    if config:
        client.warn_of_options(config)
    provider = params.get("modelProvider") or (values["provider"].id if "provider" in values else None)
    if provider:
        values["provider"] = client.workspace.provider(provider, config, client.session)
    return values


def _telling_of_start(client: Client, thread: ThreadRecord) -> Callable[[], None]:
    started: ThreadStartedNotification = {"thread": thread.on_wire()}

    def tell() -> None:
        client.workspace.subscriptions.broadcast("thread/started", started)
        tier = thread.settings.service_tier
        if tier not in (None, DEFAULT_TIER, tier_of(thread.metadata.model, tier)):
            words = f"Configured service tier `{tier}` is not advertised as supported for model"
            words += f" `{thread.metadata.model}`"
            warning: WarningNotification = {
                "threadId": thread.id,
                "message": f"{words} and will be omitted from requests.",  # the reference's words
            }
            client.notify("warning", warning)

    return tell


def _telling_of_usage(client: Client, thread: ThreadRecord, last: list[TurnRecord]) -> Callable[[], None]:
    """Tell what the thread has used so far, if anything, as of its last turn, if it has one."""

    def tell() -> None:
        if last and thread.usage["totalTokens"]:
            usage: ThreadTokenUsage = {"total": thread.usage, "last": thread.usage, "modelContextWindow": None}
            told: ThreadTokenUsageUpdatedNotification = {
                "threadId": thread.id,
                "turnId": last[0].id,
                "tokenUsage": usage,
            }
            client.notify("thread/tokenUsage/updated", told)

    return tell


def _result(thread: ThreadRecord, turns: list[Turn] | None = None) -> ThreadStartResult:
    metadata, settings = thread.metadata, thread.settings
    return {
        "thread": metadata.on_wire(thread.status_on_wire(), turns),
        "model": metadata.model,
        "modelProvider": metadata.provider,
        "serviceTier": settings.service_tier,
        "cwd": metadata.cwd,
        "approvalPolicy": settings.approval_policy,
        "approvalsReviewer": settings.approvals_reviewer,
        "sandbox": settings.sandbox,
        "reasoningEffort": metadata.effort,
        "instructionSources": [],
        "runtimeWorkspaceRoots": [metadata.cwd],
    }
