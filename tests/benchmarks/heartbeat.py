"""The pauses of an event loop: how late a task runs that wants to run every few milliseconds, and what ran instead."""

from __future__ import annotations

import gc
import sys
import threading
import time
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import anyio

if TYPE_CHECKING:
    from collections.abc import Iterator

BEAT_SECONDS = 0.005
LOOK_SECONDS = 0.01
"""How late a beat has to be for the loop's stack to be looked at, and how often that is done."""

ROOT = Path(__file__).parents[2]
FRAMES_SHOWN = 4


class Pause(NamedTuple):
    """A time in which the loop did not come round. Seconds: in all, of CPU in the loop's thread, of the collector."""

    seconds: float = 0.0
    cpu: float = 0.0
    collecting: float = 0.0
    stack: str = ""
    """What ran when it was looked at last, innermost last; empty if the pause was too short for a look."""


class Heartbeat:
    """Beats in the loop that `run` is called in, and keeps the longest pause."""

    def __init__(self) -> None:
        self._longest = Pause()
        self._beat = time.perf_counter()
        self._collecting = 0.0
        self._collection_began = 0.0
        self._stack = ""
        self._thread = threading.get_ident()

    def take(self) -> Pause:
        """Return the longest pause since the last call."""
        longest, self._longest = self._longest, Pause()
        return longest

    async def run(self) -> None:
        """Beat until cancelled."""
        with self._watching():
            while True:
                self._beat, cpu = time.perf_counter(), time.thread_time()
                await anyio.sleep(BEAT_SECONDS)
                late = time.perf_counter() - self._beat - BEAT_SECONDS
                if late > self._longest.seconds:
                    self._longest = Pause(late, time.thread_time() - cpu, self._collecting, self._stack)
                self._collecting, self._stack = 0.0, ""

    @contextmanager
    def _watching(self) -> Iterator[None]:
        ended = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(ended,))
        gc.callbacks.append(self._note_collection)
        watcher.start()
        try:
            yield
        finally:
            gc.callbacks.remove(self._note_collection)
            ended.set()
            watcher.join()

    def _watch(self, ended: threading.Event) -> None:
        while not ended.wait(LOOK_SECONDS):
            if time.perf_counter() - self._beat > BEAT_SECONDS + LOOK_SECONDS:
                self._stack = _told(sys._current_frames().get(self._thread))

    def _note_collection(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._collection_began = time.perf_counter()
        else:
            self._collecting += time.perf_counter() - self._collection_began


def _told(frame: object) -> str:
    """Say where a thread is: our innermost functions, and the function that runs."""
    stack = traceback.extract_stack(frame)  # type: ignore[arg-type]  # None stands for this thread, which does no harm
    ours = [one for one in stack if one.filename.startswith(str(ROOT / "appserver"))][-FRAMES_SHOWN:]
    shown = [f"{Path(one.filename).relative_to(ROOT)}:{one.lineno} {one.name}" for one in ours]
    if stack and (not ours or stack[-1] is not ours[-1]):
        shown.append(f"{Path(stack[-1].filename).name}:{stack[-1].lineno} {stack[-1].name}")
    return " > ".join(shown)
