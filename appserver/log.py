"""Logging to stderr, with credentials taken out: those that are in use, and what looks like one.

Imports the logging module, and what makes lines of its records (`log_lines`, `log_json`), when there is something to
log.
Redaction works on the finished text, traceback included, so a library's careless record is covered too. Secrets
that we know are kept out at the source (`protocol.base.Secret`); this is the second net.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from typing import TYPE_CHECKING
from weakref import WeakSet

from appserver.log_formats import JSON, TEXT
from appserver.log_levels import DEFAULT_LEVELS, NUMBERS, level_numbers

if TYPE_CHECKING:
    from collections.abc import Callable
    from logging import Formatter, Logger
    from typing import TextIO

    from protocol.base import Secret

_CREDENTIALS = (
    r"eyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?"  # a JWT
    r"|\b(?:sk|rt|ac|sess)[-_][\w-]{6,}"  # API keys, refresh tokens, authorization codes
    r"|\bat-\w{16,}"  # personal access tokens; a shorter one could be words
    r"|(?<=[Bb]earer )[^\s'\",]+"
    r"|(?<=code=)(?!-?\d{1,6}\b)[^&\s'\")]+"  # not the short number of an error
    r"|(?<=code_verifier=)[^&\s'\"]+|(?<=state=)[^&\s'\"]+"
    r"|(?<=_token=)[^&\s'\"]+|(?<=_token\": \")[^\"]+|(?<=_token\":\")[^\"]+|(?<=_token': ')[^']+"
)

MAX_HIDDEN = 64
"""How many secrets of one owner are remembered, for error messages of others that repeat one: more than are in use."""

MIN_HIDDEN = 8
"""Characters. Nothing shorter is a secret worth the name, and it could be part of a word."""


class _Prepared:
    """What logging is set up with when there is something to log."""

    owns_process = False
    """Whether this process is a command of ours. In one of another program, its logging is left as it is."""
    directives = DEFAULT_LEVELS
    stream: TextIO | None = None
    """None: whatever sys.stderr is then."""
    form = TEXT


_prepared = _Prepared()


class HiddenSecrets:
    """Secrets of one owner, such as a user's account, that nothing which is logged or told shows while the owner lives.

    Each owner has a limit of its own: one that uses many does not uncover another's.
    """

    def __init__(self) -> None:
        self._secrets: dict[Secret, None] = {}  # in the order in which they came
        _owners.add(self)

    def hide(self, *secrets: Secret | None) -> None:
        """Take these secrets out of all texts from now on, whatever they look like.

        Called before each use of a secret, as the one that was hidden longest ago may be forgotten.
        """
        for secret in secrets:
            if secret is not None and len(secret.reveal()) >= MIN_HIDDEN:
                self._secrets.pop(secret, None)
                self._secrets[secret] = None
        while len(self._secrets) > max(MAX_HIDDEN, len(secrets)):
            del self._secrets[next(iter(self._secrets))]

    def values(self) -> list[str]:
        """Return what is hidden."""
        return [secret.reveal() for secret in tuple(self._secrets)]


_owners: WeakSet[HiddenSecrets] = WeakSet()  # of the process, as logging is


def redacted(text: str) -> str:
    """Return text with every credential replaced: those that are in use, and what looks like one."""
    for value in sorted((value for owner in tuple(_owners) for value in owner.values()), key=len, reverse=True):
        text = text.replace(value, "***")  # the longest first: one may be the beginning of another
    return _credentials().sub("***", text)


@cache
def _credentials() -> re.Pattern[str]:
    return re.compile(_CREDENTIALS)  # late: compiling takes time that start-up does not have


def prepare_form(form: str) -> None:
    """Say in which form lines are written (`log_formats`), before anything is logged: in a process of ours."""
    _prepared.form, _prepared.owns_process = form, True


def prepare_logging(directives: str, stream: TextIO) -> None:
    """Say which lines are wanted (`log_levels`), and where: logging itself is set up when there is the first one."""
    _prepared.directives, _prepared.stream, _prepared.owns_process = directives, stream, True


def set_up_logging(directives: str | None = None) -> None:
    """Send log records to stderr, one line each, at these levels or as it was prepared."""
    from appserver.log_lines import log_to

    log_to(_prepared.stream or sys.stderr, directives or _prepared.directives, _formatter(redacted))


def warning_line(text: str) -> str:
    """Return a warning as a line that goes through no logger."""
    from logging import WARNING, LogRecord

    return _formatter(str).format(LogRecord("appserver", WARNING, "", 0, text, (), None))


def warn(message: str) -> None:
    """Log a warning. The logging module is imported only now."""
    _logger().warning(redacted(message))


def log_info(message: str) -> None:
    """Log at INFO. Does not import logging if that level is not wanted."""
    if level_numbers(_prepared.directives)[""] <= NUMBERS["INFO"]:
        _logger().info(redacted(message))


def log_error(message: str) -> None:
    _logger().error(redacted(message))


def log_exception(message: str, exc: BaseException) -> None:
    """Log an exception with its traceback, redacted like everything."""
    if _prepared.owns_process:
        _logger().error(message, exc_info=exc)
        return
    from traceback import format_exception  # late: not where our own formatter redacts

    _logger().error(redacted("".join([message, "\n", *format_exception(exc)]).rstrip()))


def log_printed(line: str, stream: str) -> None:
    """Log a line that a library or a stray print has written to stdout or stderr."""
    _logger(stream).warning(line)


def _formatter(redact: Callable[[str], str]) -> Formatter:
    if _prepared.form == JSON:
        from appserver.log_json import JsonFormatter

        return JsonFormatter(redact)
    from appserver.log_lines import LineFormatter

    return LineFormatter(redact)


def _logger(name: str = "appserver") -> Logger:
    import logging

    if _prepared.owns_process and not logging.getLogger().handlers:
        # While starting, when there is no time to import logging: what there is to say must not go out unredacted.
        set_up_logging()
    return logging.getLogger(name)
