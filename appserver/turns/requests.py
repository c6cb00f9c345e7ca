"""Requests to the model: the settings of a turn, with the model's own defaults where they leave a choice open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appserver.llm.catalog import defaults_of, tier_of
from appserver.llm.client import ModelRequest
from appserver.threads.transcript import with_all_outputs

if TYPE_CHECKING:
    from appserver.session import Session
    from appserver.threads.settings import TurnSettings


def model_request(
    thread_id: str,
    session: Session,
    settings: TurnSettings,
    items: list[dict[str, Any]],
    tools: list[dict[str, Any]],
    output_schema: object = None,
) -> ModelRequest:
    """Return a request with these input items, in the name of a client."""
    defaults = defaults_of(settings.model)
    return ModelRequest(
        provider=settings.provider,
        thread_id=thread_id,
        session=session,
        model=settings.model,
        instructions=settings.instructions,
        input=with_all_outputs(items),
        effort=settings.effort or defaults.effort,
        summary=settings.summary or defaults.summary,
        verbosity=settings.verbosity or defaults.verbosity,
        service_tier=tier_of(settings.model, settings.service_tier),
        output_schema=output_schema,
        tools=tools,
    )


def preface(settings: TurnSettings) -> list[dict[str, Any]]:
    """Return the input items that stand before the history: the developer's instructions, and those of the mode."""
    mode = settings.mode_instructions
    told = (settings.developer_instructions, f"<collaboration_mode>{mode}</collaboration_mode>" if mode else None)
    return [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": text}]}
        for text in told
        if text
    ]
