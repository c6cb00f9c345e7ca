"""Lists over the protocol: threads, loaded threads, turns, items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory
    from tests.peer import Peer

pytestmark = pytest.mark.anyio


async def threads_with_turns(peer: Peer, backend: FakeBackend, *previews: str, **params: object) -> list[str]:
    await peer.login_with_tokens(backend.grant().access_token)
    ids = []
    for preview in previews:
        ids.append(await peer.start_thread(**params))
        await peer.turn(ids[-1], preview)
    return ids


async def ids_of(peer: Peer, **params: object) -> list[str]:
    return [one["id"] for one in (await peer.result("thread/list", params))["data"]]


async def test_threads_are_paged_the_newest_first(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        ids = await threads_with_turns(peer, backend, "a", "b", "c")
        page = await peer.result("thread/list", {"limit": 2})
        assert [one["id"] for one in page["data"]] == [ids[2], ids[1]]
        assert [one["turns"] for one in page["data"]] == [[], []]
        rest = await peer.result("thread/list", {"limit": 2, "cursor": page["nextCursor"]})
        assert ([one["id"] for one in rest["data"]], rest["nextCursor"]) == ([ids[0]], None)
        back = {"cursor": rest["backwardsCursor"], "sortDirection": "asc"}
        assert await ids_of(peer, **back) == ids


async def test_lists_are_filtered(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        first, second = await threads_with_turns(peer, backend, "find me", "other")
        (third,) = await threads_with_turns(peer, backend, "Find that", cwd="/there")
        await peer.start_thread()  # nothing said in it: not listed
        assert await ids_of(peer, searchTerm="FIND") == [third, first]
        assert await ids_of(peer, cwd="/there") == [third]
        assert await ids_of(peer, cwd=["/there", "/nowhere"]) == [third]
        assert await ids_of(peer, modelProviders=["none"]) == []
        assert await ids_of(peer, modelProviders=[], sourceKinds=["vscode"]) == [third, second, first]
        await peer.turn(second)
        assert await ids_of(peer, sortKey="updated_at", limit=1) == [second]


async def test_a_thread_of_another_process_is_listed_as_not_loaded(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        await threads_with_turns(peer, backend, "a")
        async with server() as other:
            (thread,) = (await other.result("thread/list"))["data"]
            assert thread["status"] == {"type": "notLoaded"}
        (thread,) = (await peer.result("thread/list"))["data"]
        assert thread["status"] == {"type": "idle"}


@pytest.mark.parametrize("params", [{"cursor": "nonsense"}, {"sortKey": "colour"}, {"limit": "5"}, {"cwd": 5}])
async def test_params_that_do_not_fit_are_refused(server: ServerFactory, params: dict[str, object]) -> None:
    async with server() as peer:
        assert (await peer.error("thread/list", params))["code"] == -32602


async def test_loaded_threads_are_paged(server: ServerFactory) -> None:
    async with server() as peer:
        ids = sorted([await peer.start_thread(ephemeral=number == 1) for number in range(3)])
        assert await peer.result("thread/loaded/list", {}) == {"data": ids, "nextCursor": None}
        page = await peer.result("thread/loaded/list", {"limit": 2})
        assert page["data"] == ids[:2]
        assert await peer.result("thread/loaded/list", {"limit": 2, "cursor": page["nextCursor"]}) == {
            "data": ids[2:],
            "nextCursor": None,
        }


async def test_turns_are_listed_with_as_much_of_their_items_as_asked(
    server: ServerFactory, backend: FakeBackend
) -> None:
    async with server() as peer:
        (thread_id,) = await threads_with_turns(peer, backend, "a")
        second = await peer.turn(thread_id, "b")
        (turn,) = (await peer.result("thread/turns/list", {"threadId": thread_id, "limit": 1}))["data"]
        assert (turn["id"], turn["itemsView"]) == (second["id"], "summary")
        assert [item["type"] for item in turn["items"]] == ["userMessage", "agentMessage"]
        for view, count in (("notLoaded", 0), ("full", 2)):
            params = {"threadId": thread_id, "itemsView": view, "sortDirection": "asc"}
            turns = (await peer.result("thread/turns/list", params))["data"]
            assert [(turn["itemsView"], len(turn["items"])) for turn in turns] == [(view, count)] * 2


async def test_items_are_listed_over_turns_or_for_one(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        (thread_id,) = await threads_with_turns(peer, backend, "a")
        second = await peer.turn(thread_id, "b")
        page = await peer.result("thread/items/list", {"threadId": thread_id, "limit": 3})
        assert [one["item"]["type"] for one in page["data"]] == ["userMessage", "agentMessage", "userMessage"]
        assert page["data"][2]["turnId"] == second["id"]
        assert page["data"][2]["completedAtMs"] > 0
        rest = await peer.result("thread/items/list", {"threadId": thread_id, "cursor": page["nextCursor"]})
        assert [one["item"]["text"] for one in rest["data"]] == ["You said: b"]
        one_turn = {"threadId": thread_id, "turnId": second["id"], "sortDirection": "desc"}
        found = (await peer.result("thread/items/list", one_turn))["data"]
        assert [one["item"]["type"] for one in found] == ["agentMessage", "userMessage"]


async def test_an_item_of_a_turn_is_where_a_page_begins(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        thread_id = await peer.start_thread()
        turns = [(await peer.turn(thread_id, text))["id"] for text in ("one", "two")]
        items = (await peer.result("thread/items/list", {"threadId": thread_id, "turnId": turns[0]}))["data"]
        asked, answered = (one["item"]["id"] for one in items)

        async def types(item_id: str, **params: object) -> list[str]:
            anchor = {"type": "item", "itemId": item_id}
            given = {"threadId": thread_id, "turnId": turns[0], "cursor": anchor, **params}
            return [one["item"]["type"] for one in (await peer.result("thread/items/list", given))["data"]]

        assert await types(asked) == ["agentMessage"]
        assert await types(answered) == []
        assert await types(answered, sortDirection="desc") == ["userMessage"]
        for params, words in (
            ({"turnId": None}, "turnId is required when cursor is an item anchor"),
            ({"turnId": ""}, "turnId is required when cursor is an item anchor"),
            ({"turnId": turns[1]}, "cursor.itemId does not identify an item in the requested history scope"),
        ):
            anchor = {"type": "item", "itemId": asked}
            error = await peer.error("thread/items/list", {"threadId": thread_id, "cursor": anchor, **params})
            assert (error["code"], error["message"]) == (-32602, words)


NOWHERE = "01a21432-0e46-73d0-91bd-133d087bc748"


async def test_threads_are_filtered_as_the_reference_filters_them(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        first, second = await peer.start_thread(), await peer.start_thread()
        for thread_id in (first, second):
            await peer.turn(thread_id)

        async def found(**params: object) -> list[str]:
            return [one["id"] for one in (await peer.result("thread/list", params))["data"]]

        everything: list[dict[str, Any]] = [
            {"sourceKinds": ["cli", "vscode"]},
            {"sourceKinds": []},
            {"projectId": None, "sectionId": None},
            {"originators": []},
            {"useStateDbOnly": True},
            {"excludedThreadIds": [NOWHERE]},
        ]
        nothing: list[dict[str, Any]] = [
            {"sourceKinds": ["cli"]},
            {"sectionId": "s"},
            {"parentThreadId": first},
            {"ancestorThreadId": first},
            {"excludedThreadIds": [first, second]},
        ]
        for params in everything:
            assert await found(**params) == [second, first]
        for params in nothing:
            assert await found(**params) == []
        assert await found(excludedThreadIds=[second], limit=1) == [first]


@pytest.mark.parametrize(
    ("params", "code", "words"),
    [
        ({"projectId": "p"}, -32602, "project not found: p"),
        ({"originators": ["x"]}, -32602, "originator filtering is not supported by the local app-server"),
        ({"excludedThreadIds": [NOWHERE] * 101}, -32602, "excludedThreadIds accepts at most 100 entries"),
        ({"excludedThreadIds": ["x"]}, -32602, "invalid excluded thread id: x"),
        ({"sortKey": "section_position"}, -32600, "section-position sorting requires a section filter"),
        (
            {"parentThreadId": NOWHERE, "ancestorThreadId": NOWHERE},
            -32600,
            "parentThreadId and ancestorThreadId are mutually exclusive",
        ),
    ],
)
async def test_a_filter_that_cannot_be_is_refused_in_the_words_of_the_reference(
    server: ServerFactory, params: dict[str, object], code: int, words: str
) -> None:
    async with server() as peer:
        error = await peer.error("thread/list", params)
        assert (error["code"], error["message"]) == (code, words)
