"""Pages while threads come and change: nothing is dropped, nothing comes twice, and both stores agree."""

from __future__ import annotations

import sqlite3
import tempfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appserver.errors import InvalidParams
from appserver.gateway.database.threads.store import SqlThreads
from appserver.threads import paging as pages
from appserver.threads.paging import MAX_LIMIT, PRUNING_STEP, ThreadQuery
from appserver.threads.stores.base import Changes
from appserver.threads.stores.memory import MemoryThreads
from appserver.threads.stores.sqlite.store import SqliteThreads
from tests.threads import slow_store
from tests.threads.records import added, run, thread

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.threads.paging import SortKey
    from appserver.threads.record import ThreadRecord
    from appserver.threads.stores.base import ThreadStore
    from tests.threads.stores.sharing import Nodes

pytestmark = pytest.mark.anyio

UNHURRIED = [HealthCheck.too_slow]

# What happens between two pages: a new thread (and how its time compares), a turn in one, a name for one.
HAPPENINGS = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 4)),
    st.tuples(st.just("turn"), st.integers(0, 30)),
    st.tuples(st.just("name"), st.integers(0, 30)),
    st.tuples(st.just("delete"), st.integers(0, 30)),
)


class Scene:
    """The same threads in one store; what happens is named by numbers, so that two scenes can be alike."""

    def __init__(self, store: ThreadStore) -> None:
        self.store = store
        self.threads: list[ThreadRecord] = []
        self.deleted: set[str] = set()

    async def happen(self, what: str, number: int) -> None:
        if what == "add":
            made = thread(id=f"{number}-{len(self.threads)}", created_at=float(number))
            await self.store.add(made)
            await run(made)
            self.threads.append(made)
            return
        alive = [one for one in self.threads if one.id not in self.deleted]
        if not alive:
            return
        chosen = alive[number % len(alive)]
        if what == "turn":
            await run(chosen)
        elif what == "name":
            await self.store.change(chosen.id, Changes(name=f"name {number}"))
        else:
            await self.store.delete(chosen.id)
            self.deleted.add(chosen.id)

    async def page_through(self, query: ThreadQuery, between: list[list[tuple[str, int]]]) -> list[str]:
        seen: list[str] = []
        for happenings in [*between, *[[]] * 100]:
            page = await self.store.page(query)
            seen += [one.id for one in page.rows]
            if page.next is None:
                return seen
            query = query._replace(cursor=page.next)
            for what, number in happenings:
                await self.happen(what, number)
        raise AssertionError("the pages do not end")


@pytest.mark.parametrize("sort_key", ["created_at", "updated_at"])
@settings(max_examples=60, deadline=None, suppress_health_check=UNHURRIED)
@given(
    before=st.lists(st.integers(0, 4), min_size=1, max_size=12),
    between=st.lists(st.lists(HAPPENINGS, max_size=4), max_size=8),
    limit=st.integers(1, 5),
    descending=st.booleans(),
)
async def test_whatever_happens_between_pages_drops_no_thread_and_shows_none_twice(
    sort_key: SortKey, before: list[int], between: list[list[tuple[str, int]]], limit: int, descending: bool
) -> None:
    query = ThreadQuery(limit=limit, sort_key=sort_key, descending=descending)
    with tempfile.TemporaryDirectory() as home:
        stores = MemoryThreads(), SqliteThreads(home)
        try:
            await check_pages(stores, query, before, between)
        finally:
            for store in stores:
                await store.close()


@pytest.mark.parametrize("sort_key", ["created_at", "updated_at"])
@settings(max_examples=15, deadline=None, suppress_health_check=[*UNHURRIED, HealthCheck.function_scoped_fixture])
@given(
    before=st.lists(st.integers(0, 4), min_size=1, max_size=12),
    between=st.lists(st.lists(HAPPENINGS, max_size=4), max_size=8),
    limit=st.integers(1, 5),
    descending=st.booleans(),
)
async def test_neither_does_it_in_the_database_of_the_gateway(
    nodes: Nodes,
    sort_key: SortKey,
    before: list[int],
    between: list[list[tuple[str, int]]],
    limit: int,
    descending: bool,
) -> None:
    query = ThreadQuery(limit=limit, sort_key=sort_key, descending=descending)
    stores = MemoryThreads(), SqlThreads(nodes.first, await nodes.add_user())
    await check_pages(stores, query, before, between)


async def check_pages(
    stores: tuple[ThreadStore, ThreadStore], query: ThreadQuery, before: list[int], between: list[list[tuple[str, int]]]
) -> None:
    pages = []
    for store in stores:
        scene = Scene(store)
        for number in before:
            await scene.happen("add", number)
        at_first = {one.id for one in scene.threads}
        seen = await scene.page_through(query, between)
        assert len(seen) == len(set(seen)), "a thread came twice"
        assert at_first - scene.deleted <= set(seen), "a thread was dropped"
        pages.append(seen)
    assert pages[0] == pages[1]


async def test_a_paging_goes_on_over_many_touches_and_is_refused_after_too_many(
    store: ThreadStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "TOUCHES_KEPT", 300)
    monkeypatch.setattr(slow_store, "SECONDS", 0.0)
    threads = [await added(store) for _ in range(4)]
    first = await store.page(ThreadQuery(limit=1, sort_key="updated_at"))
    for number in range(299):
        await store.change(threads[number % 3].id, Changes(name=f"{number}"))
    rest = await store.page(ThreadQuery(sort_key="updated_at", cursor=first.next))
    assert [one.id for one in (*first.rows, *rest.rows)] == [one.id for one in reversed(threads)]
    for _ in range(2):
        await store.change(threads[0].id, Changes(name="again"))
    with pytest.raises(InvalidParams, match="cursor: too old"):
        await store.page(ThreadQuery(sort_key="updated_at", cursor=first.next))
    newer = await store.page(ThreadQuery(sort_key="updated_at", cursor=first.back, descending=False))
    assert len(newer.rows) == 4, "who goes back begins now"


async def test_touches_do_not_grow_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "TOUCHES_KEPT", 100)
    store = SqliteThreads(str(tmp_path))
    connection = sqlite3.connect(tmp_path / "threads.db", isolation_level=None)

    def touches() -> int:
        return int(connection.execute("SELECT count(*) FROM touches").fetchone()[0])

    threads = [await added(store) for _ in range(20)]
    for number in range(1000):
        await store.change(threads[number % 7].id, Changes(name=f"{number}"))
    assert touches() <= 100 + PRUNING_STEP + len(threads)
    last = connection.execute("SELECT max(number) FROM touches").fetchone()
    for one in threads:
        await store.delete(one.id)
    assert connection.execute("SELECT number FROM touches").fetchall() == [last], "no number is used twice"
    connection.close()
    await store.close()


async def test_going_back_from_a_page_shows_what_was_used_since() -> None:
    store = MemoryThreads()
    threads = [await added(store) for _ in range(3)]
    page = await store.page(ThreadQuery(limit=1, sort_key="updated_at"))
    await run(threads[0])
    newer = await store.page(ThreadQuery(sort_key="updated_at", cursor=page.back, descending=False))
    assert [one.id for one in newer.rows] == [threads[2].id, threads[0].id]


def test_no_page_is_longer_than_the_bound() -> None:
    from appserver.threads.paging import page_size

    assert (page_size(None), page_size(0), page_size(10**30)) == (25, 1, MAX_LIMIT)


MANY = 10_000
STEPS_PER_THREAD = 30
"""Instructions of SQLite's virtual machine for a thread that is shown, or that has to be looked at: by a search, and by
touch those that were shown on earlier pages."""

_COPIES = """
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
    INSERT INTO threads (id, created_at, updated_at, touched, archived, listed, cwd, provider, name_folded,
        preview_folded, name, git_info, metadata, usage)
    SELECT id || n, created_at + n, updated_at, touched + n, archived, listed, cwd, provider, name_folded,
        preview_folded || n, name, git_info, metadata, usage FROM threads, numbers
"""


@pytest.mark.parametrize("sort_key", ["created_at", "updated_at"])
@pytest.mark.parametrize("search", [None, "find me999", "nowhere to be found"])
async def test_a_page_of_many_threads_looks_at_each_of_them_once_at_most(
    tmp_path: Path, sort_key: SortKey, search: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1

    def connect(*args: Any, **options: Any) -> sqlite3.Connection:  # noqa: ANN401 - those of sqlite3.connect
        connection = sqlite3.Connection(*args, **options)
        connection.set_progress_handler(step, 1)
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect)
    store = SqliteThreads(str(tmp_path))
    await added(store, "find me", "x" * 1000, instructions="y" * 10_000)
    connection = sqlite3.Connection(tmp_path / "threads.db", isolation_level=None)
    connection.execute(_COPIES, (MANY - 1,))
    connection.execute("INSERT INTO touches (thread) SELECT key FROM threads")
    connection.close()
    query, costs, count = ThreadQuery(limit=MAX_LIMIT, sort_key=sort_key, search=search), list[int](), 0
    while True:
        steps = 0
        page = await store.page(query)
        costs.append(steps)
        count += len(page.rows)
        if page.next is None:
            break
        query = query._replace(cursor=page.next)
    await store.close()
    assert count == {None: MANY, "find me999": 11}.get(search, 0)
    seen = MAX_LIMIT if search is None and sort_key == "created_at" else MANY
    assert max(costs) < STEPS_PER_THREAD * seen
