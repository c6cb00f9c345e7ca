"""Logging to stderr, with credentials taken out: those that are in use, and what looks like one.

Redaction works on the finished text, traceback included, so a library's careless record is covered too. Secrets
that we know are kept out at the source (`protocol.base.Secret`); this is the second net.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logging import Logger, LogRecord

    from protocol.base import Secret

_CREDENTIALS = (
    r"eyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?"  # a JWT
    r"|\b(?:sk|rt|ac|sess)[-_][\w-]{6,}"  # API keys, refresh tokens, authorization codes
    r"|(?<=[Bb]earer )[^\s'\",]+"
    r"|(?<=code=)(?!-?\d{1,6}\b)[^&\s'\")]+"  # not the short number of an error
    r"|(?<=code_verifier=)[^&\s'\"]+|(?<=state=)[^&\s'\"]+"
    r"|(?<=_token=)[^&\s'\"]+|(?<=_token\": \")[^\"]+|(?<=_token\":\")[^\"]+|(?<=_token': ')[^']+"
)

MAX_HIDDEN = 64
"""How many secrets are remembered, for error messages of others that repeat one: more than are in use at a time."""

MIN_HIDDEN = 8
"""Characters. Nothing shorter is a secret worth the name, and it could be part of a word."""

_hidden: dict[Secret, None] = {}  # in the order in which they came


def hide(*secrets: Secret | None) -> None:
    """Take these secrets out of whatever is logged or told from now on, whatever they look like."""
    for secret in secrets:
        if secret is not None and len(secret.reveal()) >= MIN_HIDDEN:
            _hidden.pop(secret, None)
            _hidden[secret] = None
    while len(_hidden) > MAX_HIDDEN:
        del _hidden[next(iter(_hidden))]


def redacted(text: str) -> str:
    """Return text with every credential replaced: those that are in use, and what looks like one."""
    for value in sorted((secret.reveal() for secret in tuple(_hidden)), key=len, reverse=True):
        text = text.replace(value, "***")  # the longest first: one may be the beginning of another
    return _credentials().sub("***", text)


@cache
def _credentials() -> re.Pattern[str]:
    return re.compile(_CREDENTIALS)  # late: compiling takes time that start-up does not have


def set_up_logging(level: str) -> None:
    """Send log records to stderr, one line each plus any traceback. `level` is a name such as "WARNING"."""
    import logging
    import sys

    class Redacting(logging.Formatter):
        def format(self, record: LogRecord) -> str:
            return redacted(super().format(record))

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Redacting("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # These tell whole URLs and headers at DEBUG; what we need of a request we log ourselves.
    for chatty in ("httpx", "httpcore", "asyncio"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))


def warn(message: str) -> None:
    """Log a warning. The logging module is imported only now."""
    _logger().warning(message)


def log_exception(message: str, exc: BaseException) -> None:
    """Log an exception with its traceback, redacted like everything."""
    _logger().error(message, exc_info=exc)


def _logger() -> Logger:
    import logging

    if not logging.getLogger().handlers:
        # In the porch, which has no time to import logging: what it has to say must not go out unredacted.
        set_up_logging("WARNING")
    return logging.getLogger("appserver")
