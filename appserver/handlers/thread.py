"""thread/*."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from appserver import __version__
from appserver.errors import RequestError
from appserver.rpc.router import Reply
from appserver.settings import DEFAULT_MODEL
from appserver.turns.state import ThreadRecord

if TYPE_CHECKING:
    from appserver.services import Services
    from appserver.settings import Provider
    from protocol.thread import ThreadStartedNotification, ThreadStartParams, ThreadStartResult

DEFAULT_INSTRUCTIONS = "You are a helpful assistant."
"""The ChatGPT backend refuses a request without instructions."""


def start(services: Services, params: ThreadStartParams) -> Reply:
    """Start a thread."""
    settings = services.settings
    thread = ThreadRecord(
        provider=_provider(services, params.get("modelProvider")),
        model=params.get("model") or settings.model or DEFAULT_MODEL,
        cwd=params.get("cwd") or os.getcwd(),
        originator=services.session.originator,
        version=__version__,
        instructions=params.get("baseInstructions") or DEFAULT_INSTRUCTIONS,
        developer_instructions=params.get("developerInstructions"),
        effort=settings.reasoning_effort,
        ephemeral=bool(params.get("ephemeral")),
        tools=params.get("dynamicTools") or [],
    )
    services.threads.add(thread)
    started: ThreadStartedNotification = {"thread": thread.on_wire()}
    return Reply(_result(thread), then=partial(services.parent.notify, "thread/started", started))


def _provider(services: Services, name: str | None) -> Provider:
    if name is None:
        return services.settings.provider
    if name not in services.settings.providers:
        raise RequestError(f"model provider not found: {name}")
    return services.settings.providers[name]


def _result(thread: ThreadRecord) -> ThreadStartResult:
    return {
        "thread": thread.on_wire(),
        "model": thread.model,
        "modelProvider": thread.provider.id,
        "serviceTier": None,
        "cwd": thread.cwd,
        "approvalPolicy": "never",
        "approvalsReviewer": "user",
        "sandbox": {"type": "readOnly"},
        "reasoningEffort": thread.effort,
    }
