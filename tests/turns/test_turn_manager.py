"""The manager's promise: whatever happens to a turn, it ends once, and the thread is free again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from appserver.errors import AuthError, BackendError, ConfigError, Overloaded, RequestError, ThreadStoreError
from appserver.tasks import Tasks
from appserver.threads.record import ThreadRecord
from appserver.threads.recorder import NullRecorder
from appserver.threads.turn_record import TurnRecord
from appserver.turns import inbox, manager
from appserver.turns.manager import TurnManager
from tests.turns.fakes import Stage, Stream, Told, answer, call, delta, message, opened, said, thread, words

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from protocol.item import Item

pytestmark = pytest.mark.anyio


class Faulty(Told):
    """Fails to tell what it is told to fail at: the n-th notification of a method."""

    def __init__(self, method: str, nth: int = 1) -> None:
        super().__init__()
        self._fault = (method, nth)
        self._seen: list[str] = []

    def __call__(self, method: str, params: object) -> None:
        self._seen.append(method)
        if (method, self._seen.count(method)) == self._fault:
            raise ValueError("not to be told")
        super().__call__(method, params)


class Desk:
    """A manager with its turns faked."""

    def __init__(self, *replies: Stream | Exception, told: Told | None = None) -> None:
        self.stage = Stage(*replies)
        self.told = told if told is not None else self.stage.told
        runner = replace(self.stage.runner, emit=self.told)
        self.tasks = Tasks()
        self.manager = TurnManager(runner, self.tasks, self.told)
        self.thread = self.stage.thread

    async def start(self, text: str = "Hello") -> TurnRecord:
        turn = await self.manager.start(self.thread, TurnRecord([]), said(text), self.stage.client, {})
        self.manager.begin(turn.id)
        return turn

    async def run(self, then: Callable[[], Awaitable[None] | None] | None = None) -> None:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                self.tasks.open(group)
                if then is not None:
                    await anyio.wait_all_tasks_blocked()
                    if (waits := then()) is not None:
                        await waits

    def ends(self) -> list[Any]:
        return [params["turn"] for params in self.told.of("turn/completed")]


async def test_a_turn_that_succeeds_ends_once_and_tells_in_order() -> None:
    desk = Desk(answer(message("m", "ok")))
    turn = await desk.start()
    await desk.run()
    ended = [*desk.told.methods[:2], *desk.told.methods[-2:]]
    assert ended == ["thread/status/changed", "turn/started", "thread/status/changed", "turn/completed"]
    assert [(end["id"], end["status"]) for end in desk.ends()] == [(turn.id, "completed")]
    assert desk.ends()[0]["items"][0]["text"] == "ok"


@pytest.mark.parametrize(
    ("failure", "info"),
    [
        (BackendError("full", "contextWindowExceeded"), "contextWindowExceeded"),
        (AuthError("sign in"), "unauthorized"),
        (ConfigError("bad"), "other"),
        (KeyError("bug"), "other"),
    ],
)
async def test_a_turn_that_fails_ends_once(failure: Exception, info: str) -> None:
    desk = Desk(failure)
    await desk.start()
    await desk.run()
    assert [end["status"] for end in desk.ends()] == ["failed"]
    assert desk.ends()[0]["error"]["codexErrorInfo"] == info
    assert desk.told.of("error")[-1]["willRetry"] is False
    assert desk.told.methods.index("error") < desk.told.methods.index("turn/completed")
    assert desk.thread.active is None


async def test_an_unexpected_error_says_nothing_of_its_insides() -> None:
    desk = Desk(KeyError("insides"))
    await desk.start()
    await desk.run()
    assert desk.ends()[0]["error"]["message"] == "Internal error"


async def test_a_usage_limit_tells_when_it_resets() -> None:
    limit = BackendError("used up", "usageLimitExceeded")
    limit.resets_at = 1_893_456_000
    desk = Desk(limit)
    await desk.start()
    await desk.run()
    assert desk.ends()[0]["error"]["resetsAt"] == 1_893_456_000


FAULTS = [
    ("thread/status/changed", 1),
    ("thread/status/changed", 2),
    ("turn/started", 1),
    ("item/started", 1),
    ("item/started", 2),
    ("item/started", 3),
    ("item/completed", 1),
    ("item/completed", 2),
    ("item/completed", 3),
    ("item/agentMessage/delta", 1),
    ("error", 1),
    ("error", 2),
    ("thread/tokenUsage/updated", 1),
    ("thread/tokenUsage/updated", 2),
    ("account/rateLimits/updated", 1),
    ("turn/completed", 1),
]


@pytest.mark.parametrize(("method", "nth"), FAULTS)
@pytest.mark.parametrize("ending", [answer(message("n", "end")), BackendError("end")], ids=["completed", "failed"])
async def test_a_turn_ends_once_whatever_cannot_be_told(method: str, nth: int, ending: Stream | Exception) -> None:
    limits = {"x-codex-primary-used-percent": "1"}
    cut = BackendError("cut", retryable=True)
    first = answer(opened("m"), delta("m", "x"), message("m", "x"), call(), headers=limits)
    desk = Desk(cut, first, ending, told=Faulty(method, nth))
    turn = await desk.start()
    await desk.run()
    assert [end["id"] for end in desk.ends()] == [turn.id]
    assert desk.thread.active is None


async def test_a_thread_whose_recorder_fails_is_free_again() -> None:
    desk = Desk(answer(message("m", "ok")))

    class Broken(ThreadRecord):
        async def end_turn(self, turn: TurnRecord) -> None:
            await super().end_turn(turn)
            raise OSError("disk full")

    members = {name: getattr(desk.thread, name) for name in ThreadRecord.__slots__}
    desk.thread = Broken(**members)
    await desk.start()
    await desk.run()
    assert [end["status"] for end in desk.ends()] == ["completed"]
    assert desk.thread.active is None


class FullRecorder(NullRecorder):
    """Takes so many items, and then no more."""

    def __init__(self, room: int) -> None:
        self.room = room

    async def add_item(self, turn: TurnRecord, item: Item | None, remembered: dict[str, Any] | None) -> None:
        self.room -= 1
        if self.room < 0:
            raise ThreadStoreError("threads.db: disk is full", "threadStoreUnavailable")


@pytest.mark.parametrize("room", range(5))
async def test_a_turn_that_cannot_be_written_fails_with_the_words_and_the_kind_of_the_store(room: int) -> None:
    desk = Desk(answer(message("m", "x"), call()), answer(message("n", "end")))
    desk.thread.recorder = FullRecorder(room)
    await desk.start()
    await desk.run()
    (end,) = desk.ends()
    if room == 4:
        assert end["status"] == "completed"
    else:
        assert (end["error"]["message"], end["error"]["kind"]) == (
            "threads.db: disk is full",
            "threadStoreUnavailable",
        )
        assert desk.told.of("error")[-1]["error"] == end["error"]


async def test_an_interrupt_ends_the_turn_once() -> None:
    desk = Desk(Stream([opened("m"), delta("m", "x"), anyio.Event()]))
    turn = await desk.start()

    def twice() -> None:
        desk.manager.interrupt(desk.thread, turn.id)
        desk.manager.interrupt(desk.thread, turn.id)

    await desk.run(twice)
    assert [end["status"] for end in desk.ends()] == ["interrupted"]
    assert "error" not in desk.told.methods


async def test_a_turn_that_is_interrupted_before_it_runs_ends_as_interrupted() -> None:
    desk = Desk(answer())
    turn = await desk.start()
    desk.manager.interrupt(desk.thread, turn.id)
    await desk.run()
    assert [end["status"] for end in desk.ends()] == ["interrupted"]


async def test_an_interrupt_names_the_turn_that_is_active() -> None:
    desk = Desk(answer())
    turn = await desk.start()
    with pytest.raises(RequestError, match=f"expected active turn id other but found {turn.id}") as refused:
        desk.manager.interrupt(desk.thread, "other")
    assert refused.value.data == {"activeTurnId": turn.id}


async def test_an_interrupt_without_a_turn_is_refused() -> None:
    with pytest.raises(RequestError, match="no active turn to interrupt"):
        Desk().manager.interrupt(Desk().thread, "gone")


async def test_a_shutdown_ends_every_turn_and_starts_no_other() -> None:
    desk = Desk(Stream([anyio.Event()]))
    await desk.start()
    await desk.run(desk.manager.interrupt_all)
    assert [end["status"] for end in desk.ends()] == ["interrupted"]
    with pytest.raises(RequestError, match="shutting down"):
        await desk.start()


async def test_a_start_while_a_turn_runs_is_heard_in_that_turn() -> None:
    desk = Desk(answer(message("m", "ok")))
    first = await desk.start("one")
    assert await desk.start("two") is first
    await desk.run()
    assert words(desk.stage.model.inputs[0]) == ["user: one", "user: two"]
    assert len(desk.ends()) == 1


async def test_steering_needs_the_active_turn() -> None:
    desk = Desk(answer())
    with pytest.raises(RequestError, match="no active turn to steer"):
        desk.manager.steer(desk.thread, "any", said("x"))
    turn = await desk.start()
    with pytest.raises(RequestError, match=f"expected active turn id `wrong` but found `{turn.id}`"):
        desk.manager.steer(desk.thread, "wrong", said("x"))


async def test_the_messages_that_wait_for_a_turn_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "MAX_WAITING", 2)
    desk = Desk(answer())
    turn = await desk.start()
    for _ in range(2):
        desk.manager.steer(desk.thread, turn.id, said("x"))
    with pytest.raises(Overloaded):
        desk.manager.steer(desk.thread, turn.id, said("y"))


async def test_a_turn_after_a_failed_one_succeeds() -> None:
    desk = Desk(BackendError("no"), answer(message("m", "ok")))
    await desk.start()
    await desk.run()
    desk.tasks = desk.manager._tasks = Tasks()
    await desk.start("again")
    await desk.run()
    assert [end["status"] for end in desk.ends()] == ["failed", "completed"]


async def test_a_turn_too_many_is_refused_as_overload_and_leaves_its_thread_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(manager, "MAX_RUNNING_TURNS", 1)
    desk = Desk(Stream([delta("m", "a"), anyio.Event()]))
    running, other = await desk.start(), thread()

    async def overload() -> None:
        for refused in (
            desk.manager.start(other, TurnRecord([]), said("Hello"), desk.stage.client, {}),
            desk.manager.start_work(other, TurnRecord([]), anyio.lowlevel.checkpoint),
        ):
            with pytest.raises(Overloaded):
                await refused
        assert other.active is None
        assert await desk.start("And") is running  # what goes to a turn that runs is no turn more
        desk.manager.steer(desk.thread, running.id, said("More"))
        desk.manager.interrupt(desk.thread, running.id)

    await desk.run(overload)
    assert [end["id"] for end in desk.ends()] == [running.id]


async def test_a_thousand_turns_at_once_are_no_overload() -> None:
    desk = Desk()
    for _ in range(1000):
        await desk.manager.start(thread(), TurnRecord([]), said("Hello"), desk.stage.client, {})
