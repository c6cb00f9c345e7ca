"""A node holds a lease while it runs turns; the turns of one that has died, or was held up for long, are another's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest
import sqlalchemy as sa

from appserver.errors import ThreadStoreError
from appserver.gateway.database import node as module
from appserver.gateway.database.schema import nodes as table
from tests.threads.records import added, begin, end, loaded, message, remembered, run, say, thread, transcript_of
from tests.threads.stores.conftest import nodes, postgres_of_all

if TYPE_CHECKING:
    from appserver.gateway.database.node import Node
    from appserver.threads.stores.base import ThreadStore
    from tests.threads.stores.sharing import Nodes

__all__ = ["nodes", "postgres_of_all"]

pytestmark = pytest.mark.anyio

WAIT_SECONDS = 10.0


async def statuses(store: ThreadStore, thread_id: str) -> list[str]:
    return [one.turn.status for one in await transcript_of(store, thread_id)]


async def leases(node: Node) -> list[str]:
    async with node.database.reading() as connection:
        return list((await connection.execute(sa.select(table.c.id))).scalars())


async def ends_at(node: Node) -> float:
    """Return when a lease ends."""
    async with node.database.reading() as connection:
        return float((await connection.execute(sa.select(table.c.until).where(table.c.id == node.id))).scalar_one())


async def lose_lease(node: Node) -> None:
    """Let a lease run out."""
    async with node.database.writing() as connection:
        await connection.execute(sa.update(table).where(table.c.id == node.id).values(until=0.0))


async def test_a_turn_of_a_node_that_does_not_renew_its_lease_is_interrupted(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEASE_SECONDS", 0.3)
    monkeypatch.setattr(module, "RENEW_SECONDS", 1000.0)
    record, other = thread(), await nodes.open()
    await (await nodes.open()).add(record)
    await say(record, await begin(record), "one")
    theirs = await loaded(other, record.id)
    with anyio.fail_after(WAIT_SECONDS):
        while True:
            if await statuses(other, record.id) == ["interrupted"]:
                break
            await anyio.sleep(0.01)  # only the database's clock says when
    await run(theirs, "two")
    assert await statuses(other, record.id) == ["interrupted", "completed"]
    assert theirs.history == [remembered("one"), remembered("two")]


async def test_a_lease_is_renewed_as_long_as_a_turn_runs(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEW_SECONDS", 0.01)
    store, record = await nodes.open(), thread()
    node = nodes.node_of(store)
    await store.add(record)
    turn = await begin(record)
    first = await ends_at(node)
    with anyio.fail_after(WAIT_SECONDS):
        while True:
            if await ends_at(node) > first:
                break
            await anyio.sleep(0.01)  # nothing tells of a renewal
    await end(record, turn)


async def test_a_node_that_has_lost_a_turn_to_another_writes_nothing_to_it(nodes: Nodes) -> None:
    here, there, record = await nodes.open(), await nodes.open(), thread()
    await here.add(record)
    turn = await begin(record)
    await say(record, turn, "one")
    await lose_lease(nodes.node_of(here))
    theirs = await loaded(there, record.id)
    active = await begin(theirs)
    with pytest.raises(ThreadStoreError, match="another node took it for interrupted") as caught:
        await say(record, turn, "two")
    assert caught.value.kind == "threadStoreUnavailable"
    await end(record, turn)
    await say(theirs, active, "three")
    await end(theirs, active)
    told = [([entry.item for entry in one.entries], one.turn.status) for one in await transcript_of(there, record.id)]
    assert told == [([message("one")], "interrupted"), ([message("three")], "completed")]
    await run(record, "four")
    assert record.history == [remembered("one"), remembered("three"), remembered("four")]


async def test_a_node_that_was_held_up_goes_on_if_no_other_has_taken_its_turn(nodes: Nodes) -> None:
    here, there, record = await nodes.open(), await nodes.open(), thread()
    await here.add(record)
    turn = await begin(record)
    await lose_lease(nodes.node_of(here))
    assert await statuses(there, record.id) == ["interrupted"]
    assert await statuses(here, record.id) == ["inProgress"]
    await say(record, turn, "one")
    await end(record, turn)
    assert await statuses(there, record.id) == ["completed"]


async def test_a_node_has_no_lease_before_its_first_turn_and_after_its_end(nodes: Nodes) -> None:
    store = await nodes.open()
    node, record = nodes.node_of(store), await added(store)
    assert node.id in await leases(node)
    await node.close()
    assert node.id not in await leases(node)
    idle = nodes.first
    await idle.close()
    assert idle.id not in await leases(idle)
    await run(record, "one")
    assert await statuses(await nodes.open(), record.id) == ["completed", "completed"]


async def test_leases_of_dead_nodes_are_swept(nodes: Nodes) -> None:
    dead, node = nodes.first, await nodes.node()
    await dead.begin("a turn")
    await node.begin("another turn")
    await lose_lease(dead)
    assert dead.id in await leases(node)
    await node.close()
    assert dead.id not in await leases(node)
