"""The owner of running turns: starts, steers and interrupts them, and sees to it that each ends exactly once.

Success, failure, an interrupt, a shutdown and a fault of our own all come through `_end`. There the end is written
down, which may have to wait for another process and is not cancelled; then it is told, in steps of which none can keep
the next one from happening. Meanwhile the turn is over: it takes no messages, and the next one cannot start yet.
"""

from __future__ import annotations

from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from appserver.errors import (
    AppServerError,
    AuthError,
    BackendError,
    Overloaded,
    RequestError,
    ThreadStoreBusy,
    ThreadStoreError,
    causes_of,
)
from appserver.log import log_exception, redacted
from appserver.request_context import current_context
from appserver.tasks import Stop
from appserver.telemetry import NO_TELEMETRY, enter, info_name
from appserver.turns.inbox import Inbox, Injected

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from anyio import Event

    from appserver.tasks import Tasks
    from appserver.telemetry import Telemetry
    from appserver.threads.record import ThreadRecord
    from appserver.threads.settings import Values
    from appserver.threads.transcript import Entry
    from appserver.threads.turn_record import TurnRecord
    from appserver.turns.inbox import UserMessage
    from appserver.turns.runner import TurnRunner
    from appserver.turns.tools import TurnClient
    from protocol.notify import Notify
    from protocol.turn import ErrorNotification, TurnError


MAX_RUNNING_TURNS = 2048
"""Turns that may run at once; a further one is refused as overload. Twice the largest load that is measured. Each holds
a connection to the backend and about 60 KB, and without a bound a client that starts turns in a loop takes both from
the turns that run."""

RETRY_AFTER_MS = 1000
"""What a client whose turn was refused is told to wait: a turn takes seconds, and of so many one ends soon."""


class _Running(NamedTuple):
    """How a turn that runs, or is being started, is interrupted and steered. inbox None: it takes no messages."""

    stop: Stop
    inbox: Inbox | None


class TurnManager:
    """Runs turns side by side, one per thread."""

    def __init__(self, runner: TurnRunner, tasks: Tasks, emit: Notify, telemetry: Telemetry = NO_TELEMETRY) -> None:
        self._runner = runner
        self._tasks = tasks
        self._emit = emit
        self._telemetry = telemetry
        self._running: dict[str, _Running] = {}
        self._started: dict[str, Callable[[], None]] = {}
        """Turns that have not begun to run."""
        self._ends: dict[str, Event] = {}
        """Turns whose end is waited for."""
        self._closing = False
        self._idle: Event | None = None

    async def start(
        self, thread: ThreadRecord, turn: TurnRecord, message: UserMessage, client: TurnClient, values: Values
    ) -> TurnRecord:
        """Start a turn of a client's with a message; while another one runs in the thread, that one gets it.

        `values`: what is chosen for the thread from now on.

        Returns the turn. It does nothing before `begin`: the client is to know of the turn before it is told of what
        happens in it. Raises Overloaded.
        """
        if thread.active is not None:
            _inbox(self._running[_going_on(thread.active).id]).put(message)
            thread.choose(values)  # written with the next item of that turn
            return thread.active
        inbox = Inbox()
        run = partial(self._runner.run, thread, turn, inbox, client)
        await self._start(thread, turn, inbox, run, message.entries(thread.context), values)
        thread.context = message.context or {}
        return turn

    async def start_work(self, thread: ThreadRecord, turn: TurnRecord, work: Callable[[], Awaitable[None]]) -> None:
        """Start a turn that is no answer and takes no messages, up to `begin`.

        Raises RequestError while another one runs, Overloaded.
        """
        if thread.active is not None:
            active = _going_on(thread.active)
            raise RequestError(f"turn {active.id} is active in this thread", {"activeTurnId": active.id})
        await self._start(thread, turn, None, work)

    def begin(self, turn_id: str) -> None:
        """Let a turn run that was started, if it does not run already."""
        begin = self._started.pop(turn_id, None)
        if begin is not None:
            begin()

    def steer(self, thread: ThreadRecord, turn_id: str, message: UserMessage) -> None:
        """Add a message to the active turn. Raises RequestError, naming the active turn, if it is another one."""
        active = thread.active
        if active is None or active.status != "inProgress":
            raise RequestError("no active turn to steer")
        if turn_id != active.id:
            raise _another_turn(active, f"expected active turn id `{turn_id}` but found `{active.id}`")
        _inbox(self._running[active.id]).put(message)

    async def inject(self, thread: ThreadRecord, items: list[dict[str, Any]]) -> None:
        """Add items to the history: at the next safe point of a turn that runs, else now. Raises RequestError."""
        if thread.active is None:
            await thread.inject(items)
        else:
            _inbox(self._running[_going_on(thread.active).id]).put(Injected(items))

    async def end_written(self, thread: ThreadRecord) -> None:
        """Wait while the end of a thread's turn is being written: it takes no messages, and no other turn can start.

        The store has a bound for that. The thread may have been unloaded then.
        """
        from anyio import Event

        if thread.active is not None and thread.active.status != "inProgress":
            await self._ends.setdefault(thread.active.id, Event()).wait()

    def interrupt(self, thread: ThreadRecord, turn_id: str) -> None:
        """End the active turn, whichever it is if `turn_id` is empty: its client has not learnt its id yet.

        Raises RequestError, naming the active turn, if it is another one.
        """
        active = thread.active
        if active is None:
            raise RequestError("no active turn to interrupt")
        if turn_id not in ("", active.id):
            raise _another_turn(active, f"expected active turn id {turn_id} but found {active.id}")
        self._running[active.id].stop.cancel()

    async def end(self, turn: TurnRecord) -> None:
        """Interrupt a turn that runs, and wait until its end has been told.

        A turn that was started in the same batch as this has not begun, and would not before the batch is answered.
        """
        from anyio import Event

        self.begin(turn.id)
        self._running[turn.id].stop.cancel()
        await self._ends.setdefault(turn.id, Event()).wait()

    def start_no_other(self) -> None:
        """Refuse every other turn: the server is going down."""
        self._closing = True

    def interrupt_all(self) -> None:
        """End every running turn and start no other."""
        self.start_no_other()
        for running in self._running.values():
            running.stop.cancel()

    @property
    def running(self) -> int:
        """How many turns run."""
        return len(self._running)

    async def idle(self) -> None:
        """Wait until no turn runs."""
        from anyio import Event

        if self._running:
            self._idle = Event()
            await self._idle.wait()

    async def _start(
        self,
        thread: ThreadRecord,
        turn: TurnRecord,
        inbox: Inbox | None,
        work: Callable[[], Awaitable[None]],
        entries: Sequence[Entry] = (),
        values: Values | None = None,
    ) -> None:
        if self._closing:
            raise RequestError("the server is shutting down")
        if len(self._running) >= MAX_RUNNING_TURNS:
            raise Overloaded(RETRY_AFTER_MS)
        running = self._running[turn.id] = _Running(Stop(), inbox)  # first: while it is written, it can be interrupted
        try:
            await thread.start_turn(turn, entries, values)
        except BaseException:
            del self._running[turn.id]
            self._note_if_idle()
            raise
        # In the context of the request that has started it, whenever and wherever it begins.
        run = partial(copy_context().run, self._tasks.start, self._run, thread, turn, running, work)
        self._started[turn.id] = run

    async def _run(
        self, thread: ThreadRecord, turn: TurnRecord, running: _Running, work: Callable[[], Awaitable[None]]
    ) -> None:
        current_context.set(current_context.get().of_turn(thread.id, turn.id))
        span = self._telemetry.turn(thread.id, turn.id)
        enter(span)
        error: TurnError | None = None
        ended, recorder = False, thread.recorder
        try:
            with running.stop:
                self._begin(thread, turn)
                await work()
                ended = True
        except Exception as exc:  # noqa: BLE001 - a turn must end with a notification whatever happens
            error, ended = _turn_error(exc), True
        finally:
            await self._end(thread, turn, error, interrupted=not ended)
            span.end("interrupted" if not ended else info_name(error["codexErrorInfo"]) if error else None)
        await recorder.flush()

    def _begin(self, thread: ThreadRecord, turn: TurnRecord) -> None:
        turn.begin()
        self._tell_status(thread)
        self._emit("turn/started", {"threadId": thread.id, "turn": turn.on_wire()})

    async def _end(self, thread: ThreadRecord, turn: TurnRecord, error: TurnError | None, *, interrupted: bool) -> None:
        turn.end("interrupted" if interrupted else "failed" if error else "completed", error)
        try:
            await thread.end_turn(turn)
        except Exception as exc:  # noqa: BLE001 - that it is over must be told
            _log_at_end(exc)
        finally:
            self._tell(thread, turn, error)

    def _tell(self, thread: ThreadRecord, turn: TurnRecord, error: TurnError | None) -> None:
        del self._running[turn.id]
        _whatever_happens(partial(self._tell_status, thread))
        if error is not None:
            told: ErrorNotification = {
                "error": error,
                "willRetry": False,
                "threadId": thread.id,
                "turnId": turn.id,
            }
            _whatever_happens(lambda: self._emit("error", told))
        if not _whatever_happens(partial(self._tell_end, thread, turn, summary=turn.status == "completed")):
            _whatever_happens(partial(self._tell_end, thread, turn, summary=False))
        _whatever_happens(thread.run_after_turn)
        if (ended := self._ends.pop(turn.id, None)) is not None:
            ended.set()
        self._note_if_idle()

    def _note_if_idle(self) -> None:
        if self._idle is not None and not self._running:
            self._idle.set()

    def _tell_status(self, thread: ThreadRecord) -> None:
        self._emit("thread/status/changed", {"threadId": thread.id, "status": thread.status_on_wire()})

    def _tell_end(self, thread: ThreadRecord, turn: TurnRecord, *, summary: bool) -> None:
        self._emit("turn/completed", {"threadId": thread.id, "turn": turn.on_wire(summary=summary)})


def _another_turn(active: TurnRecord, words: str) -> RequestError:
    return RequestError(words, {"activeTurnId": active.id})


def _going_on(active: TurnRecord) -> TurnRecord:
    """Return a turn that still takes messages. Raises ThreadStoreBusy."""
    if active.status != "inProgress":
        raise ThreadStoreBusy(f"the end of turn {active.id} is being written; try again")
    return active


def _inbox(running: _Running) -> Inbox:
    if running.inbox is None:
        info = {"activeTurnNotSteerable": {"turnKind": "compact"}}
        raise RequestError("cannot steer a compact turn", {"codexErrorInfo": info})
    return running.inbox


def _whatever_happens(step: Callable[[], None]) -> bool:
    """Take a step on the way out of a turn. Returns whether it was possible."""
    try:
        step()
    except Exception as exc:  # noqa: BLE001 - the steps after this one matter more
        _log_at_end(exc)
        return False
    return True


def _log_at_end(exc: Exception) -> None:
    log_exception("the end of a turn met an unexpected error", exc)


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
