"""What a key or a token allows."""

from __future__ import annotations

from appserver.errors import ConfigError

MODELS, RESPONSES, RPC = "models", "responses", "rpc"
ALL = (MODELS, RESPONSES, RPC)


def parsed(text: str) -> tuple[str, ...]:
    """Return the scopes that a text names, by spaces, in the order of `ALL`. Raises ConfigError for none or others."""
    named = text.split()
    unknown = [one for one in named if one not in ALL]
    if unknown or not named:
        raise ConfigError(f"Scopes are some of: {' '.join(ALL)}")
    return tuple(one for one in ALL if one in named)
