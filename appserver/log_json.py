"""Log records as JSON: one object a line, with what the record belongs to.

Imports logging, so it is imported when there is something to log.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from appserver.log_lines import level_name, shortened
from appserver.request_context import current_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object in ASCII, with credentials taken out of each of its texts."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        return json.dumps(dict(self._members(record)))

    def _members(self, record: logging.LogRecord) -> Iterator[tuple[str, str | int]]:
        yield "time", datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
        yield "level", level_name(record.levelno)
        yield "target", self._text(record.name.replace(".", "::"))
        yield "message", self._text(record.getMessage())
        if told := self._exception(record):
            yield "exception", self._text(told)
        context = current_context.get()
        trace_id = context.trace and context.trace.trace_id
        belongs = (context.connection, context.request, context.thread, context.turn, trace_id)
        for name, value in zip(("connection", "requestId", "threadId", "turnId", "traceId"), belongs, strict=True):
            if value is not None:
                yield name, self._text(value) if isinstance(value, str) else value  # the client chooses some of them

    def _exception(self, record: logging.LogRecord) -> str:
        """Return the traceback and the stack, if the record has them."""
        told = [self.formatException(record.exc_info)] if record.exc_info else []
        if record.stack_info:
            told.append(self.formatStack(record.stack_info))
        return "\n".join(told)

    def _text(self, text: str) -> str:
        return shortened(self._redact(text))
