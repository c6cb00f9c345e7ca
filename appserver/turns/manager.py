"""The owner of running turns: starts, steers and interrupts them, and sees to it that each ends exactly once.

Success, failure, an interrupt, a shutdown and a fault of our own all come through `_finish`, which cannot be
cancelled because it does not wait, and in which no step can keep the next one from happening.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from appserver.errors import (
    AppServerError,
    AuthError,
    BackendError,
    Overloaded,
    RequestError,
    ThreadStoreError,
    causes_of,
)
from appserver.log import log_exception, redacted
from appserver.tasks import Stop
from appserver.turns.inbox import Inbox

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from appserver.tasks import Tasks
    from appserver.turns.inbox import UserMessage
    from appserver.turns.runner import TurnRunner
    from appserver.turns.state import ThreadRecord, TurnRecord
    from protocol.turn import TurnError


MAX_RUNNING_TURNS = 2048
"""Turns that may run at once; a further one is refused as overload. Twice the largest load that is measured. Each holds
a connection to the backend and about 60 KB, and without a bound a client that starts turns in a loop takes both from
the turns that run."""

RETRY_AFTER_MS = 1000
"""What a client whose turn was refused is told to wait: a turn takes seconds, and of so many one ends soon."""


class _Reins(NamedTuple):
    """What a running turn is guided by. inbox None: it takes no messages."""

    stop: Stop
    inbox: Inbox | None


class TurnManager:
    """Runs turns side by side, one per thread."""

    def __init__(self, runner: TurnRunner, tasks: Tasks, emit: Callable[[str, object], None]) -> None:
        self._runner = runner
        self._tasks = tasks
        self._emit = emit
        self._running: dict[str, _Reins] = {}
        self._closing = False

    def start(self, thread: ThreadRecord, turn: TurnRecord, message: UserMessage) -> TurnRecord:
        """Start a turn with a message; while another one runs in the thread, that one gets it. Returns the turn.

        Raises Overloaded.
        """
        if thread.active is not None:
            _inbox(self._running[thread.active.id]).put(message)
            return thread.active
        inbox = Inbox()
        inbox.put(message)
        self._begin_work(thread, turn, inbox, partial(self._runner.run, thread, turn, inbox))
        return turn

    def start_work(self, thread: ThreadRecord, turn: TurnRecord, work: Callable[[], Awaitable[None]]) -> None:
        """Start a turn that is no answer and takes no messages. Raises RequestError while another runs, Overloaded."""
        if thread.active is not None:
            raise RequestError(f"turn {thread.active.id} is active in this thread", {"activeTurnId": thread.active.id})
        self._begin_work(thread, turn, None, work)

    def steer(self, thread: ThreadRecord, turn_id: str, message: UserMessage) -> None:
        """Add a message to the active turn. Raises RequestError, naming the active turn, if it is another one."""
        if thread.active is None:
            raise RequestError("no active turn to steer")
        _inbox(self._expected(thread.active, turn_id)).put(message)

    def interrupt(self, thread: ThreadRecord, turn_id: str) -> None:
        """End the active turn. Raises RequestError, naming the active turn, if it is another one."""
        if thread.active is None:
            raise RequestError("no active turn to interrupt")
        self._expected(thread.active, turn_id).stop.cancel()

    def interrupt_all(self) -> None:
        """End every running turn and start no other: the server is going down."""
        self._closing = True
        for reins in self._running.values():
            reins.stop.cancel()

    def _begin_work(
        self, thread: ThreadRecord, turn: TurnRecord, inbox: Inbox | None, work: Callable[[], Awaitable[None]]
    ) -> None:
        if self._closing:
            raise RequestError("the server is shutting down")
        if len(self._running) >= MAX_RUNNING_TURNS:
            raise Overloaded(RETRY_AFTER_MS)
        thread.start(turn)
        reins = self._running[turn.id] = _Reins(Stop(), inbox)
        self._tasks.start(self._run, thread, turn, reins, work)

    def _expected(self, active: TurnRecord, turn_id: str) -> _Reins:
        if active.id != turn_id:
            words = f"expected active turn id `{turn_id}` but found `{active.id}`"
            raise RequestError(words, {"activeTurnId": active.id})
        return self._running[turn_id]

    async def _run(
        self, thread: ThreadRecord, turn: TurnRecord, reins: _Reins, work: Callable[[], Awaitable[None]]
    ) -> None:
        error: TurnError | None = None
        ended = False
        try:
            with reins.stop:
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
        del self._running[turn.id]
        turn.end("interrupted" if interrupted else "failed" if error else "completed", error)
        _whatever_happens(thread.stop)
        _whatever_happens(partial(self._tell_status, thread))
        if error is not None:
            told = {"error": error, "willRetry": False, "threadId": thread.id, "turnId": turn.id}
            _whatever_happens(partial(self._emit, "error", told))
        if not _whatever_happens(partial(self._tell_end, thread, turn, summary=turn.status == "completed")):
            _whatever_happens(partial(self._tell_end, thread, turn, summary=False))
        _whatever_happens(thread.settle)

    def _tell_status(self, thread: ThreadRecord) -> None:
        self._emit("thread/status/changed", {"threadId": thread.id, "status": thread.status_on_wire()})

    def _tell_end(self, thread: ThreadRecord, turn: TurnRecord, *, summary: bool) -> None:
        self._emit("turn/completed", {"threadId": thread.id, "turn": turn.on_wire(summary=summary)})


def _inbox(reins: _Reins) -> Inbox:
    if reins.inbox is None:
        info = {"activeTurnNotSteerable": {"turnKind": "compact"}}
        raise RequestError("cannot steer a compact turn", {"codexErrorInfo": info})
    return reins.inbox


def _whatever_happens(step: Callable[[], None]) -> bool:
    """Take a step on the way out of a turn. Returns whether it was possible."""
    try:
        step()
    except Exception as exc:  # noqa: BLE001 - the steps after this one matter more
        log_exception("the end of a turn met an unexpected error", exc)
        return False
    return True


def _turn_error(exc: Exception) -> TurnError:
    """Translate what ended a turn. Of a group, the first error of ours counts; the others are logged."""
    first, *others = causes_of(exc)
    for other in others:
        log_exception("another error in a turn that failed", other)
    return _translated(first)


def _translated(exc: Exception) -> TurnError:
    match exc:
        case BackendError():
            error: TurnError = {"message": exc.message, "codexErrorInfo": exc.info, "additionalDetails": None}
            return error if exc.resets_at is None else {**error, "resetsAt": exc.resets_at}
        case AuthError():
            return {
                "message": redacted(exc.message),
                "codexErrorInfo": "unauthorized",
                "additionalDetails": None,
            }
        case ThreadStoreError():
            return {"message": exc.message, "codexErrorInfo": "other", "additionalDetails": None, "kind": exc.kind}
        case AppServerError():
            return {"message": exc.message, "codexErrorInfo": "other", "additionalDetails": None}
        case _:
            log_exception("a turn failed unexpectedly", exc)
            return {"message": "Internal error", "codexErrorInfo": "other", "additionalDetails": None}
