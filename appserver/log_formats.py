"""In which form log lines are written, as the environment says it: `text` or `json`. Does not import logging."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appserver.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

TEXT = "text"
JSON = "json"
FORMATS = (TEXT, JSON)


def wanted_format(environ: Mapping[str, str]) -> str:
    """Return the form in force: APPSERVER_LOG_FORMAT, else LOG_FORMAT, which the reference reads, else TEXT.

    Raises ConfigError for a mistake in APPSERVER_LOG_FORMAT. LOG_FORMAT may be meant for other programs.
    """
    if ours := environ.get("APPSERVER_LOG_FORMAT"):
        if ours.lower() not in FORMATS:
            raise ConfigError(f"APPSERVER_LOG_FORMAT: expected {' or '.join(FORMATS)}")
        return ours.lower()
    return JSON if environ.get("LOG_FORMAT", "").lower() == JSON else TEXT
