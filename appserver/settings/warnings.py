"""The configWarnings: settings that cannot be used, and settings for features that this server does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appserver.errors import ConfigError
    from protocol.config import ConfigWarningNotification, TextPosition

NOT_RUN = ("mcp_servers", "hooks", "notify", "plugins", "apps")
"""Keys of config.toml that start programs or add tools in the reference; this server has neither."""


def not_run(values: Mapping[str, Any]) -> ConfigWarningNotification | None:
    """Return one warning for all features in these values that this server does not have; None: there are none."""
    named = [key for key in NOT_RUN if _wanted(values.get(key))]
    if not named:
        return None
    return {
        "summary": f"This server does not run {', '.join(named)}: they are ignored.",
        "details": "It signs in and streams model turns. Tools are those that the client brings (dynamicTools).",
    }


def unusable(problem: ConfigError) -> ConfigWarningNotification:
    """Return the warning for a mistake."""
    warning: ConfigWarningNotification = {
        "summary": "Invalid configuration; using defaults.",  # the reference's words
        "details": problem.message,
    }
    if problem.path is not None:
        warning["path"] = problem.path
        if problem.position is not None:
            line, column = problem.position
            place: TextPosition = {"line": line, "column": column}
            warning["range"] = {"start": place, "end": place}
    return warning


def _wanted(value: object) -> bool:
    """Whether a value turns a feature on: a table whose entries are all disabled does not."""
    if isinstance(value, dict) and value:
        return not all(isinstance(one, dict) and one.get("enabled") is False for one in value.values())
    return bool(value)
