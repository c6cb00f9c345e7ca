"""Where threads are kept: the Protocol that `registry.py` works with, and what its implementations share.

There are three: memory.py for ephemeral threads, sqlite/ for the others, and the gateway's, in its database. One kit of
tests runs on all of them, and on one that answers late.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from appserver.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from appserver.threads.metadata import ThreadMetadata
    from appserver.threads.paging import Page, PageQuery, StoredItem, ThreadQuery
    from appserver.threads.record import ThreadRecord
    from appserver.threads.settings import ThreadSettings
    from appserver.threads.transcript import Cut, Entry, StoredTurn
    from appserver.threads.turn_record import TurnRecord
    from protocol.thread import TokenUsage
    from protocol.turn import ItemsView

T = TypeVar("T")

READ_ONLY = "threadStoreReadOnly"
FULL = "threadStoreFull"
UNAVAILABLE = "threadStoreUnavailable"
"""Kinds of ThreadStoreError: nothing can be written here at all, or not before there is room, or not now."""


class StoredThread(NamedTuple):
    """A thread as it is stored, without its transcript."""

    metadata: ThreadMetadata
    settings: ThreadSettings
    usage: TokenUsage


class Continuation(NamedTuple):
    """What a loaded thread goes on from: the input items of its next request, and its place in the store."""

    history: list[dict[str, Any]]
    place: object
    """The store's own."""


class Changes(NamedTuple):
    """What to change of a thread's metadata. None: leave it; for the name, "" takes it away."""

    name: str | None = None
    archived: bool | None = None
    git_info: dict[str, Any] | None = None


class ThreadReader(Protocol):
    """Reads one thread as it is at one moment, whatever is written meanwhile.

    A turn whose process has died is seen as interrupted. A reader may be used in another thread than the event loop's,
    so what it returns is not changed by others, and a query (see `ThreadStore.read`) uses nothing that is.
    """

    def thread(self) -> StoredThread:
        """Return the thread without its transcript."""

    def transcript(self) -> list[StoredTurn]:
        """Return all turns."""

    def first_entries(self) -> list[Entry]:
        """Return the entries before the first turn: what a client has put into the history."""

    def turns(self, query: PageQuery, view: ItemsView = "notLoaded") -> Page[TurnRecord]:
        """Return a page of turns, each with the items that a view shows at least. Raises InvalidParams."""

    def items(self, query: PageQuery, turn_id: str | None = None) -> Page[StoredItem]:
        """Return a page of items, of one turn or of all. Raises InvalidParams."""

    def continuation(self) -> Continuation:
        """Return what a record of this thread goes on from (see `ThreadStore.attach`)."""


class ThreadStore(Protocol):
    """Keeps threads. All coroutines raise ThreadStoreError, and RequestError for a thread that is not there.

    What waits for another process, or for a disk, does so off the event loop and within a bound; then ThreadStoreBusy
    is raised, and nothing has changed. Calls that write take effect in the order in which they are made, and are not
    cancelled halfway: a caller that is cancelled gets to know the outcome first.

    Order of threads: by creation (time, then id) or by last touch. A touch is the start or end of a turn, or a change
    of metadata; each has a number, so two threads never tie. Guarantee to a client that follows the cursors of `page`:
    a thread that fits the query from the first page to the last is seen exactly once, no thread is seen twice. For
    that, paging by last touch shows each thread at its place as of the first page; a cursor of a paging that began more
    than paging.TOUCHES_KEPT touches ago is refused. Threads without a turn and without a name are not listed.
    """

    async def add(
        self, thread: ThreadRecord, transcript: Sequence[StoredTurn] = (), first: Sequence[Entry] = ()
    ) -> None:
        """Keep a new thread, with turns and the entries before them, and record what happens in it."""

    async def fork(self, source_id: str, thread: ThreadRecord, cut: Cut) -> None:
        """Keep a new thread with the turns of another, up to a cut, and record what happens in it.

        A turn that is running is kept as far as it has come, as an interrupted one.
        """

    async def read(self, thread_id: str, query: Callable[[ThreadReader], T]) -> T:
        """Return what a query reads of a thread, all of it as of one moment. The reader is good for this call."""

    def attach(self, thread: ThreadRecord, continuation: Continuation) -> None:
        """Give a record of a stored thread its history, and record what happens in it from now on."""

    async def page(self, query: ThreadQuery) -> Page[ThreadMetadata]:
        """Return a page of threads. Raises InvalidParams for a cursor that is not ours."""

    async def change(self, thread_id: str, changes: Changes) -> ThreadMetadata:
        """Change the metadata of a thread, and return all of it."""

    async def delete(self, thread_id: str) -> None:
        """Forget a thread and its transcript."""

    def stop_waiting(self) -> None:
        """Let no call wait for another process any longer: one that does fails as busy."""

    async def close(self) -> None:
        """Close what is open."""


def turn_is_active(turn_id: str) -> RequestError:
    """Return the error for what cannot be done while another process runs a turn in the thread."""
    data = {"kind": "threadBusy", "activeTurnId": turn_id}
    return RequestError(f"turn {turn_id} is active in this thread, in another process", data)


def folded(text: str | None) -> str:
    """Return a text as searches compare it."""
    return plain((text or "").casefold())


def plain(text: str) -> str:
    """Return a text that a database takes. What else JSON can bring is spelled out: half a surrogate pair, and NUL."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
