"""The owner of running turns: starts them, interrupts them, and sees to it that each ends exactly once.

Success, failure, an interrupt, a shutdown and a fault of our own all come through `_finish`, which cannot be
cancelled because it does not wait.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from appserver.errors import AppServerError, AuthError, BackendError, RequestError
from appserver.log import log_exception, redacted
from appserver.tasks import Stop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from appserver.tasks import Tasks
    from appserver.turns.runner import TurnRunner
    from appserver.turns.state import ThreadRecord, TurnRecord
    from protocol.turn import TurnError


class TurnManager:
    """Runs turns side by side, one per thread."""

    def __init__(self, runner: TurnRunner, tasks: Tasks, emit: Callable[[str, object], None]) -> None:
        self._runner = runner
        self._tasks = tasks
        self._emit = emit
        self._stops: dict[str, Stop] = {}
        self._closing = False

    def start(self, thread: ThreadRecord, turn: TurnRecord, work: Callable[[], Awaitable[None]] | None = None) -> None:
        """Start a turn; `work`: what it does if it is no answer. Raises RequestError while another one runs."""
        if thread.active is not None:
            raise RequestError(f"turn {thread.active.id} is active in this thread", {"activeTurnId": thread.active.id})
        if self._closing:
            raise RequestError("the server is shutting down")
        thread.start(turn)
        self._stops[turn.id] = Stop()
        self._tasks.start(self._run, thread, turn, work or partial(self._runner.run, thread, turn))

    def interrupt(self, thread: ThreadRecord, turn_id: str) -> None:
        """End the active turn. Raises RequestError, naming the active turn, if it is another one."""
        if thread.active is None:
            raise RequestError(f"turn {turn_id} is not active; no turn is")
        if thread.active.id != turn_id:
            raise RequestError(
                f"expected active turn id `{turn_id}` but found `{thread.active.id}`",
                {"activeTurnId": thread.active.id},
            )
        self._stops[turn_id].cancel()

    def interrupt_all(self) -> None:
        """End every running turn and start no other: the server is going down."""
        self._closing = True
        for stop in self._stops.values():
            stop.cancel()

    async def _run(self, thread: ThreadRecord, turn: TurnRecord, work: Callable[[], Awaitable[None]]) -> None:
        error: TurnError | None = None
        ended = False
        try:
            with self._stops[turn.id]:
                self._begin(thread, turn)
                await work()
                ended = True
        except Exception as exc:  # noqa: BLE001 - a turn must end with a notification whatever happens
            error, ended = _turn_error(exc), True
        finally:
            self._finish(thread, turn, error, interrupted=not ended)

    def _begin(self, thread: ThreadRecord, turn: TurnRecord) -> None:
        turn.begin()
        self._tell_status(thread)
        self._emit("turn/started", {"threadId": thread.id, "turn": turn.on_wire()})

    def _finish(self, thread: ThreadRecord, turn: TurnRecord, error: TurnError | None, *, interrupted: bool) -> None:
        del self._stops[turn.id]
        turn.end("interrupted" if interrupted else "failed" if error else "completed", error)
        thread.stop()
        self._tell_status(thread)
        if error is not None:
            told = {"error": error, "willRetry": False, "threadId": thread.id, "turnId": turn.id}
            self._emit("error", told)
        summary = turn.status == "completed"
        self._emit("turn/completed", {"threadId": thread.id, "turn": turn.on_wire(summary=summary)})
        thread.settle()

    def _tell_status(self, thread: ThreadRecord) -> None:
        self._emit("thread/status/changed", {"threadId": thread.id, "status": thread.status_on_wire()})


def _turn_error(exc: Exception) -> TurnError:
    """Translate what ended a turn. The only place where that happens."""
    match exc:
        case BackendError():
            return {"message": exc.message, "codexErrorInfo": exc.info, "additionalDetails": None}
        case AuthError():
            return {
                "message": redacted(exc.message),
                "codexErrorInfo": "unauthorized",
                "additionalDetails": None,
            }
        case AppServerError():
            return {"message": exc.message, "codexErrorInfo": "other", "additionalDetails": None}
        case _:
            log_exception("a turn failed unexpectedly", exc)
            return {"message": "Internal error", "codexErrorInfo": "other", "additionalDetails": None}
