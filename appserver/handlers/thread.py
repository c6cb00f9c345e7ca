"""thread/start, thread/resume, thread/fork: what brings a thread into being, or back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from appserver.handlers.thread_list import all_turns, turns_page
from appserver.rpc.router import Reply
from appserver.session import PROTOCOL_VERSION
from appserver.settings import DEFAULT_MODEL, Options
from appserver.turns.models import DEFAULT_TIER, tier_of
from appserver.turns.pages import PageQuery
from appserver.turns.state import ThreadRecord
from appserver.turns.tool_definitions import checked

if TYPE_CHECKING:
    from collections.abc import Callable

    from appserver.services import Services
    from appserver.turns.state import TurnRecord
    from protocol.thread import (
        ThreadOptions,
        ThreadStartedNotification,
        ThreadStartParams,
        ThreadStartResult,
        WarningNotification,
    )
    from protocol.thread_life import ThreadForkParams, ThreadResumeParams, ThreadResumeResult
    from protocol.turn import Turn

DEFAULT_INSTRUCTIONS = "You are a helpful assistant."
"""The ChatGPT backend refuses a request without instructions."""


def start(services: Services, params: ThreadStartParams) -> Reply:
    """Start a thread."""
    options = _options(services, params).over(services.settings.options)
    thread = ThreadRecord(
        provider=services.provider(options.provider.id if options.provider else None, params.get("config")),
        model=options.model or DEFAULT_MODEL,
        cwd=params.get("cwd") or os.getcwd(),
        originator=services.session.originator,
        version=PROTOCOL_VERSION,
        instructions=options.instructions or DEFAULT_INSTRUCTIONS,
        developer_instructions=options.developer_instructions,
        effort=options.effort,
        summary=options.summary,
        verbosity=options.verbosity,
        service_tier=options.service_tier,
        ephemeral=bool(params.get("ephemeral")),
        thread_source=params.get("threadSource"),
        tools=checked(params.get("dynamicTools") or []),
    )
    services.threads.add(thread)
    return Reply(_result(thread), then=_telling_of_start(services, thread))


def resume(services: Services, params: ThreadResumeParams) -> Reply:
    """Load a thread, so that turns can be started in it."""
    threads, thread_id, wanted = services.threads, params["threadId"], params.get("initialTurnsPage")
    was_loaded, options = threads.is_loaded(thread_id), _options(services, params)
    with threads.reading(thread_id) as found:
        turns = [] if params.get("excludeTurns") else all_turns(found)
        page = None if wanted is None else turns_page(found, wanted)
        last_turn, last_item = found.turns(PageQuery(limit=1)), found.items(PageQuery(limit=1))
        thread = threads.resume(found, options, params.get("cwd"))
    services.subscriptions.subscribe(thread_id)
    if not was_loaded:
        services.parent.notify("thread/status/changed", {"threadId": thread_id, "status": thread.status_on_wire()})
    result: ThreadResumeResult = {
        **_result(thread, turns),
        "initialTurnsPage": page,
        "turnsBackwardsCursor": last_turn.back,
        "itemsBackwardsCursor": last_item.back,
    }
    return Reply(result, then=_telling_of_usage(services, thread, last_turn.rows))


def fork(services: Services, params: ThreadForkParams) -> Reply:
    """Make a new thread of the turns of another."""
    thread = services.threads.fork(
        params["threadId"],
        _options(services, params),
        params.get("cwd"),
        ephemeral=bool(params.get("ephemeral")),
        last=params.get("lastTurnId"),
        before=params.get("beforeTurnId"),
        source=params.get("threadSource"),
    )
    with services.threads.reading(thread.id) as copied:
        turns = [] if params.get("excludeTurns") else all_turns(copied)
        last_turn = copied.turns(PageQuery(limit=1)).rows
    started, usage = _telling_of_start(services, thread), _telling_of_usage(services, thread, last_turn)

    def then() -> None:
        started()
        usage()

    return Reply(_result(thread, turns), then=then)


def _options(services: Services, params: ThreadOptions) -> Options:
    """Return what the client chooses: with a member of the params, or else with a key of `config`."""
    config, provider = params.get("config"), params.get("modelProvider")
    chosen = Options(
        model=params.get("model"),
        provider=services.provider(provider, config) if provider else None,
        instructions=params.get("baseInstructions"),
        developer_instructions=params.get("developerInstructions"),
    )
    return chosen.over(services.options(config))


def _telling_of_start(services: Services, thread: ThreadRecord) -> Callable[[], None]:
    started: ThreadStartedNotification = {"thread": thread.on_wire()}

    def tell() -> None:
        services.parent.notify("thread/started", started)
        tier = thread.service_tier
        if tier not in (None, DEFAULT_TIER, tier_of(thread.model, tier)):
            words = f"Configured service tier `{tier}` is not advertised as supported for model `{thread.model}`"
            warning: WarningNotification = {
                "threadId": thread.id,
                "message": f"{words} and will be omitted from requests.",  # the reference's words
            }
            services.parent.notify("warning", warning)

    return tell


def _telling_of_usage(services: Services, thread: ThreadRecord, last: list[TurnRecord]) -> Callable[[], None]:
    """Tell what the thread has used so far, if anything, as of its last turn, if it has one."""

    def tell() -> None:
        if last and thread.usage["totalTokens"]:
            usage = {"total": thread.usage, "last": thread.usage, "modelContextWindow": None}
            told = {"threadId": thread.id, "turnId": last[0].id, "tokenUsage": usage}
            services.parent.notify("thread/tokenUsage/updated", told)

    return tell


def _result(thread: ThreadRecord, turns: list[Turn] | None = None) -> ThreadStartResult:
    return {
        "thread": thread.facts().on_wire(thread.status_on_wire(), turns),
        "model": thread.model,
        "modelProvider": thread.provider.id,
        "serviceTier": thread.service_tier,
        "cwd": thread.cwd,
        "approvalPolicy": "never",
        "approvalsReviewer": "user",
        "sandbox": {"type": "readOnly"},
        "reasoningEffort": thread.effort,
    }
