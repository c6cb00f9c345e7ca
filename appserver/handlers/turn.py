"""turn/*."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appserver.turns.input import preview
from appserver.turns.state import TurnRecord

if TYPE_CHECKING:
    from appserver.services import Services
    from protocol.turn import TurnInterruptParams, TurnInterruptResult, TurnStartParams, TurnStartResult


def start(services: Services, params: TurnStartParams) -> TurnStartResult:
    """Start a turn. The answer comes at once; what happens in the turn is told by notifications."""
    thread = services.threads.get(params["threadId"])
    turn = TurnRecord(params["input"], params.get("clientUserMessageId"), params.get("outputSchema"))
    on_wire = turn.on_wire()
    services.turns.start(thread, turn)
    thread.model = params.get("model") or thread.model
    thread.effort = params.get("effort") or thread.effort
    thread.summary = params.get("summary") or thread.summary
    thread.preview = thread.preview or preview(params["input"])
    return {"turn": on_wire}


def interrupt(services: Services, params: TurnInterruptParams) -> TurnInterruptResult:
    """Interrupt the active turn. Doing it twice does no harm."""
    thread = services.threads.get(params["threadId"])
    services.turns.interrupt(thread, params["turnId"])
    return {}
