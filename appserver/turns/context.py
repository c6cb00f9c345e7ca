"""What the application tells the model beside the user's words, by source: what is new of it, as input items. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from protocol.turn import AdditionalContext, ContextEntry


def news(context: AdditionalContext, known: AdditionalContext) -> list[dict[str, Any]]:
    """Return the input items of what differs from what the model knows, in the order of the sources."""
    return [_item(source, entry) for source, entry in sorted(context.items()) if known.get(source) != entry]


def _item(source: str, entry: ContextEntry) -> dict[str, Any]:
    """Build a message: of the developer, or of a user where it must not pass for instructions."""
    trusted = entry["kind"] == "application"
    role, tag = ("developer", source) if trusted else ("user", f"external_{source}")
    text = f"<{tag}>{entry['value']}</{tag}>"
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}
