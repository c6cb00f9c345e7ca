"""Where threads live. In this form: in memory, as long as the process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appserver.errors import RequestError

if TYPE_CHECKING:
    from appserver.turns.state import ThreadRecord


class MemoryThreads:
    """Keeps thread records by id."""

    def __init__(self) -> None:
        self._threads: dict[str, ThreadRecord] = {}

    def add(self, thread: ThreadRecord) -> None:
        """Keep a new thread."""
        self._threads[thread.id] = thread

    def get(self, thread_id: str) -> ThreadRecord:
        """Return a thread. Raises RequestError if there is none with this id."""
        found = self._threads.get(thread_id)
        if found is None:
            raise RequestError(f"thread not found: {thread_id}")
        return found
