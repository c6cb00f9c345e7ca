"""What the model is asked on behalf of a thread: its options, and the model's own defaults where none was chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appserver.llm.client import ModelRequest
from appserver.turns.models import defaults_of, tier_of

if TYPE_CHECKING:
    from appserver.turns.state import ThreadRecord


def model_request(
    thread: ThreadRecord, items: list[dict[str, Any]], tools: list[dict[str, Any]], output_schema: object = None
) -> ModelRequest:
    """Return a request with these input items."""
    defaults = defaults_of(thread.model)
    return ModelRequest(
        provider=thread.provider,
        thread_id=thread.id,
        model=thread.model,
        instructions=thread.instructions,
        input=items,
        effort=thread.effort or defaults.effort,
        summary=thread.summary or defaults.summary,
        verbosity=thread.verbosity or defaults.verbosity,
        service_tier=tier_of(thread.model, thread.service_tier),
        output_schema=output_schema,
        tools=tools,
    )
