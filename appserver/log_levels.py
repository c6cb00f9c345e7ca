"""Which log lines are wanted, as the environment says it: `info`, or `info,appserver::rpc=debug`.

The syntax of RUST_LOG (tracing's EnvFilter), as far as it names levels and targets. A target is the name of a logger,
written with `.` or, as the reference writes it, with `::`. Does not import logging.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from appserver.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEFAULT_LEVELS = "WARN"

NUMBERS = {"OFF": 60, "ERROR": 40, "WARN": 30, "WARNING": 30, "INFO": 20, "DEBUG": 10, "TRACE": 5}
"""The names of tracing's levels, and one of Python's, as numbers of the logging module; OFF is above all of them."""


def wanted_levels(environ: Mapping[str, str]) -> str:
    """Return the directives in force: APPSERVER_LOG, else RUST_LOG, else DEFAULT_LEVELS.

    Raises ConfigError for a mistake in APPSERVER_LOG. RUST_LOG is meant for every program written in Rust: what it
    says of others, or in a syntax that only tracing knows, is passed over.
    """
    if ours := environ.get("APPSERVER_LOG"):
        if not all(level in NUMBERS for _, level in _directives(ours)):
            raise ConfigError("APPSERVER_LOG: expected off, error, warn, info, debug or trace, or target=level")
        return ours
    theirs = environ.get("RUST_LOG") or ""
    known = [f"{target}={level}" if target else level for target, level in _directives(theirs) if level in NUMBERS]
    return ",".join(known) or DEFAULT_LEVELS


def level_numbers(directives: str) -> dict[str, int]:
    """Return the level of each logger that is named; that of "", the root, is always there. The last one counts."""
    return {"": NUMBERS[DEFAULT_LEVELS]} | {target: NUMBERS[level] for target, level in _directives(directives)}


def _directives(text: str) -> Iterator[tuple[str, str]]:
    """Split into pairs of a logger's name ("" for the root) and its level, in capitals and not checked."""
    for directive in text.split(","):
        if directive.strip():
            target, _, level = directive.rpartition("=")
            yield target.strip().replace("::", "."), level.strip().upper()
