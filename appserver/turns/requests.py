"""What the model is asked on behalf of a thread: what is in force, and the model's own defaults beneath it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appserver.llm.catalog import defaults_of, tier_of
from appserver.llm.client import ModelRequest

if TYPE_CHECKING:
    from appserver.threads.in_force import InForce


def model_request(
    thread_id: str,
    options: InForce,
    items: list[dict[str, Any]],
    tools: list[dict[str, Any]],
    output_schema: object = None,
) -> ModelRequest:
    """Return a request with these input items."""
    defaults = defaults_of(options.model)
    return ModelRequest(
        provider=options.provider,
        thread_id=thread_id,
        model=options.model,
        instructions=options.instructions,
        input=items,
        effort=options.effort or defaults.effort,
        summary=options.summary or defaults.summary,
        verbosity=options.verbosity or defaults.verbosity,
        service_tier=tier_of(options.model, options.service_tier),
        output_schema=output_schema,
        tools=tools,
    )


def preface(options: InForce) -> list[dict[str, Any]]:
    """Return the input items that stand before the history: the developer's instructions, and those of the mode."""
    mode = options.mode_instructions
    told = (options.developer_instructions, f"<collaboration_mode>{mode}</collaboration_mode>" if mode else None)
    return [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": text}]}
        for text in told
        if text
    ]
