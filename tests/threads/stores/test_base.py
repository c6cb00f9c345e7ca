"""What every thread store does: one kit, run on each of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from appserver.errors import InvalidParams, RequestError, ThreadNotFound
from appserver.threads.paging import PageQuery, ThreadQuery
from appserver.threads.stores.base import Changes
from appserver.threads.stores.memory import MemoryThreads
from appserver.threads.transcript import Cut, Entry, with_all_outputs
from appserver.threads.turn_record import TurnRecord
from tests.threads.records import (
    added,
    begin,
    end,
    items_of,
    loaded,
    message,
    remembered,
    run,
    say,
    stored_thread,
    thread,
    transcript_of,
    turns_of,
)

if TYPE_CHECKING:
    from appserver.threads.stores.base import ThreadStore
    from protocol.item import Item
    from tests.threads.stores.sharing import Sharing

pytestmark = pytest.mark.anyio


async def listed(store: ThreadStore, **query: Any) -> list[str]:  # noqa: ANN401 - any of a query's members
    return [one.id for one in (await store.page(ThreadQuery(**query))).rows]


async def test_a_loaded_thread_is_the_one_that_was_kept(store: ThreadStore) -> None:
    kept = await added(store, "Hello", "one", "two", developer_instructions="Rhyme.", effort="high")
    found = await loaded(store, kept.id)
    assert found.history == kept.history == [remembered("one"), remembered("two")]
    assert (found.settings.instructions, found.settings.developer_instructions, found.metadata.effort) == (
        "Be brief.",
        "Rhyme.",
        "high",
    )
    assert found.metadata.preview == "Hello"
    assert int(found.metadata.created_at) == int(kept.metadata.created_at)


async def test_settings_that_are_changed_between_turns_are_kept(store: ThreadStore) -> None:
    record = await added(store, "Hello", "one")
    await record.change_settings(
        {"model": "other", "cwd": "/elsewhere", "mode": "plan", "approval_policy": {"granular": {}}}
    )
    found = await loaded(store, record.id)
    assert (found.metadata.model, found.metadata.cwd, found.settings.mode) == ("other", "/elsewhere", "plan")
    assert found.settings.approval_policy == {"granular": {}}


def entry(item: Item | None, sent: dict[str, Any]) -> Entry:
    return Entry(item, sent, forgets=False, completed_at=1.5)


async def test_settings_that_cannot_be_written_are_not_changed(sharing: Sharing) -> None:
    store = await sharing.open()
    record = await added(store, "Hello")
    await store.delete(record.id)
    with pytest.raises(RequestError):
        await record.change_settings({"model": "other"})
    assert record.metadata.model == "fake-model"


async def test_overrides_and_usage_of_a_turn_are_kept(store: ThreadStore) -> None:
    record = thread()
    await store.add(record)
    turn = await begin(record)
    record.choose({"model": "other-model", "summary": "detailed"})
    record.metadata = replace(record.metadata, preview="Hello")
    await say(record, turn, "one")
    record.add_usage(
        {
            "totalTokens": 3,
            "inputTokens": 1,
            "cachedInputTokens": 0,
            "cacheWriteInputTokens": 0,
            "outputTokens": 2,
            "reasoningOutputTokens": 0,
        }
    )
    await end(record, turn)
    found = await loaded(store, record.id)
    assert (found.metadata.model, found.metadata.preview) == ("other-model", "Hello")
    assert found.settings.summary == "detailed"
    assert found.usage["totalTokens"] == 3


async def test_a_turn_is_kept_with_what_it_begins_with(store: ThreadStore) -> None:
    record = thread()
    await store.add(record)
    turn, hidden, shown = TurnRecord([]), entry(None, remembered("hidden")), entry(message("one"), remembered("one"))
    await record.start_turn(turn, [hidden, shown], {"model": "other-model", "preview": "Hello", "mode": "plan"})
    assert (turn.items, record.history) == ([message("one")], [remembered("hidden"), remembered("one")])
    assert (record.metadata.model, record.metadata.preview, record.settings.mode) == ("other-model", "Hello", "plan")
    (kept,) = await transcript_of(store, record.id)
    assert (kept.turn.id, kept.entries) == (turn.id, [hidden, shown])
    found = await loaded(store, record.id)
    assert (found.metadata.model, found.metadata.preview, found.settings.mode) == ("other-model", "Hello", "plan")


async def test_the_transcript_has_turns_and_items_in_order(store: ThreadStore) -> None:
    record = await added(store, "Hello", "one", "two")
    second = await run(record, "three")
    past = await transcript_of(store, record.id)
    assert [[entry.item for entry in one.entries] for one in past] == [
        [message("one"), message("two")],
        [message("three")],
    ]
    assert past[1].turn.viewed("full") == second.viewed("full")


async def test_how_a_turn_ended_is_kept(store: ThreadStore) -> None:
    record = thread()
    await store.add(record)
    turn = await begin(record)
    turn.end("failed", {"message": "no", "codexErrorInfo": "other", "additionalDetails": None})
    await record.end_turn(turn)
    (found,) = await transcript_of(store, record.id)
    assert found.turn.viewed("notLoaded") == turn.viewed("notLoaded")
    assert found.turn.error == {"message": "no", "codexErrorInfo": "other", "additionalDetails": None}


async def test_a_thread_that_is_not_there_is_named_and_told_apart(store: ThreadStore) -> None:
    for ask in (
        stored_thread(store, "gone"),
        transcript_of(store, "gone"),
        turns_of(store, "gone", PageQuery(), "full"),
        items_of(store, "gone", PageQuery()),
        store.change("gone", Changes(name="x")),
        store.delete("gone"),
        stored_thread(store, "\ud800"),
    ):
        with pytest.raises(RequestError, match="thread not found: ") as caught:
            await ask
        assert caught.value.data == {"kind": "threadNotFound"}


async def test_a_thread_without_a_turn_or_name_is_kept_and_not_listed(store: ThreadStore) -> None:
    record = thread()
    await store.add(record)
    assert await listed(store) == []
    assert (await stored_thread(store, record.id)).metadata.id == record.id
    await store.change(record.id, Changes(name="Named"))
    assert await listed(store) == [record.id]
    await store.change(record.id, Changes(name=""))
    assert await listed(store) == []
    await run(record)
    assert await listed(store) == [record.id]


async def test_the_newest_thread_is_listed_first_and_ties_are_broken_by_id(store: ThreadStore) -> None:
    ids = [(await added(store, created_at=at, id=name)).id for name, at in (("b", 5.0), ("a", 5.0), ("c", 4.0))]
    assert ids == ["b", "a", "c"]
    assert await listed(store) == ["b", "a", "c"]
    assert await listed(store, descending=False) == ["c", "a", "b"]


async def test_by_last_touch_the_thread_that_was_used_last_comes_first(store: ThreadStore) -> None:
    first, second = await added(store), await added(store)
    await run(first)
    assert await listed(store, sort_key="updated_at") == [first.id, second.id]
    await store.change(second.id, Changes(name="x"))
    assert await listed(store, sort_key="updated_at") == [second.id, first.id]


async def test_filters_hold_together(store: ThreadStore) -> None:
    here = await added(store, "Straße nach ROM", cwd="/here")
    there = await added(store, "Something else", cwd="/there")
    await store.change(there.id, Changes(name="Rome again"))
    assert await listed(store, search="rom") == [there.id, here.id]
    assert await listed(store, search="STRASSE") == [here.id]
    assert await listed(store, search="%") == []
    assert await listed(store, cwds=("/there", "/else")) == [there.id]
    assert await listed(store, providers=("other",)) == []
    assert await listed(store, providers=("other", "fake"), search="rom", cwds=("/here",)) == [here.id]


async def test_archived_threads_are_a_list_of_their_own(store: ThreadStore) -> None:
    record = await added(store)
    await store.change(record.id, Changes(archived=True))
    assert (await listed(store), await listed(store, archived=True)) == ([], [record.id])
    assert (await stored_thread(store, record.id)).metadata.archived
    await store.change(record.id, Changes(archived=False))
    assert (await listed(store), await listed(store, archived=True)) == ([record.id], [])


async def test_a_deleted_thread_leaves_nothing(store: ThreadStore) -> None:
    record = await added(store, "Hello", "one")
    await store.delete(record.id)
    assert await listed(store) == []
    with pytest.raises(RequestError):
        await transcript_of(store, record.id)


async def test_git_info_is_kept_and_taken_away(store: ThreadStore) -> None:
    record = await added(store)
    await store.change(record.id, Changes(git_info={"sha": "abc", "branch": None, "originUrl": None}))
    assert (await stored_thread(store, record.id)).metadata.git_info == {
        "sha": "abc",
        "branch": None,
        "originUrl": None,
    }
    await store.change(record.id, Changes(git_info={}))
    assert (await stored_thread(store, record.id)).metadata.git_info is None


async def test_turns_are_paged_both_ways(store: ThreadStore) -> None:
    record = thread()
    await store.add(record)
    ids = [(await run(record, str(number))).id for number in range(5)]
    page = await turns_of(store, record.id, PageQuery(limit=2), "full")
    assert [turn.id for turn in page.rows] == [ids[4], ids[3]]
    assert page.rows[0].items == [message("4")]
    following = await turns_of(store, record.id, PageQuery(limit=3, cursor=page.next))
    assert ([turn.id for turn in following.rows], following.next) == ([ids[2], ids[1], ids[0]], None)
    assert following.rows[0].items == []
    back = await turns_of(store, record.id, PageQuery(cursor=following.back, descending=False))
    assert [turn.id for turn in back.rows] == [ids[2], ids[3], ids[4]]


async def test_items_are_paged_over_turns_and_within_one(store: ThreadStore) -> None:
    record = await added(store, "", "a", "b")
    second = await run(record, "c", "d")
    page = await items_of(store, record.id, PageQuery(limit=3, descending=False))
    assert [one.item for one in page.rows] == [message("a"), message("b"), message("c")]
    assert page.rows[2].turn_id == second.id
    following = await items_of(store, record.id, PageQuery(cursor=page.next, descending=False))
    assert ([one.item for one in following.rows], following.next) == ([message("d")], None)
    of_one = await items_of(store, record.id, PageQuery(descending=True), second.id)
    assert [one.item for one in of_one.rows] == [message("d"), message("c")]


async def test_items_are_paged_from_an_item_of_their_turn(store: ThreadStore) -> None:
    record = await added(store, "", "a", "b", "c")
    first, second = (await transcript_of(store, record.id))[0].turn.id, (await run(record, "a", "d")).id

    async def texts(turn_id: str, anchor: str, *, descending: bool = False) -> list[Item]:
        query = PageQuery(anchor=anchor, descending=descending)
        return [one.item for one in (await items_of(store, record.id, query, turn_id)).rows]

    assert await texts(first, "msg-a") == [message("b"), message("c")]
    assert await texts(first, "msg-c", descending=True) == [message("b"), message("a")]
    assert await texts(second, "msg-a") == [message("d")]
    for turn_id, anchor in ((second, "msg-b"), ("nope", "msg-a"), (first, ""), (first, "msg"), ("\ud800", "\ud800")):
        with pytest.raises(InvalidParams, match="does not identify an item"):
            await texts(turn_id, anchor)


async def test_excluded_threads_are_left_out_before_the_limit(store: ThreadStore) -> None:
    ids = [(await added(store)).id for _ in range(3)]
    for sort_key in ("created_at", "updated_at"):
        assert await listed(store, sort_key=sort_key, limit=1, excluded=(ids[2], "nope")) == [ids[1]]
        assert await listed(store, sort_key=sort_key, excluded=tuple(ids)) == []


async def test_what_only_the_model_is_told_is_no_item(store: ThreadStore) -> None:
    record = thread()
    await store.add(record)
    turn = await begin(record)
    await record.add_item(turn, None, remembered("hidden"))
    await record.add_item(turn, message("shown"), None)
    await end(record, turn)
    assert [one.item for one in (await items_of(store, record.id, PageQuery())).rows] == [message("shown")]
    assert (await loaded(store, record.id)).history == [remembered("hidden")]


async def test_a_summary_stands_for_all_that_was_said_before_it(store: ThreadStore) -> None:
    record = await added(store, "", "long", "story")
    turn = await begin(record)
    await record.replace_history(turn, message("compacted"), remembered("in short"))
    await end(record, turn)
    await run(record, "more")
    assert record.history == [remembered("in short"), remembered("more")]
    assert (await loaded(store, record.id)).history == record.history
    assert len((await items_of(store, record.id, PageQuery())).rows) == 4


async def test_a_fork_has_the_turns_of_its_source_and_goes_its_own_way(store: ThreadStore) -> None:
    source = await added(store, "Hello", "one")
    fork = thread("Hello", forked_from=source.id)
    await store.fork(source.id, fork, Cut())
    assert fork.history == source.history
    assert [one.turn.viewed("full") for one in await transcript_of(store, fork.id)] == [
        one.turn.viewed("full") for one in await transcript_of(store, source.id)
    ]
    await run(fork, "two")
    await run(source, "three")
    assert (await loaded(store, fork.id)).history == [remembered("one"), remembered("two")]
    assert (await loaded(store, source.id)).history == [remembered("one"), remembered("three")]
    assert (await stored_thread(store, fork.id)).metadata.forked_from == source.id
    assert set(await listed(store)) == {source.id, fork.id}


async def test_a_fork_ends_with_a_turn_or_before_it(store: ThreadStore) -> None:
    source, other = await added(store, "Hello", "one"), await added(store)
    middle = await run(source, "two")
    await run(other, "else")
    await run(source, "three")
    for cut, texts in ((Cut(last=middle.id), ["one", "two"]), (Cut(before=middle.id), ["one"])):
        fork = thread(forked_from=source.id)
        await store.fork(source.id, fork, cut)
        assert fork.history == [remembered(text) for text in texts]
        assert [one.item for one in (await items_of(store, fork.id, PageQuery(descending=False))).rows] == [
            message(text) for text in texts
        ]


async def test_a_fork_before_the_first_turn_is_empty_and_not_listed(store: ThreadStore) -> None:
    source = thread("Hello")
    await store.add(source)
    first, fork = await run(source, "one"), thread(forked_from=source.id)
    await store.fork(source.id, fork, Cut(before=first.id))
    assert (await transcript_of(store, fork.id), fork.history) == ([], [])
    assert await listed(store) == [source.id]


async def test_a_fork_in_the_middle_of_a_turn_has_it_as_an_interrupted_one(store: ThreadStore) -> None:
    source = await added(store, "Hello", "one")
    turn, fork = await begin(source), thread(forked_from=source.id)
    await say(source, turn, "two")
    await store.fork(source.id, fork, Cut())
    await say(source, turn, "three")
    (_, copied) = await transcript_of(store, fork.id)
    assert (copied.turn.status, copied.turn.id) == ("interrupted", turn.id)
    assert copied.turn.completed_at is not None
    assert [entry.item for entry in copied.entries] == [message("two")]
    assert (await transcript_of(store, source.id))[1].turn.status == "inProgress"
    await run(fork, "four")
    await end(source, turn)


async def test_a_cut_that_cannot_be_made_is_refused_and_nothing_is_kept(store: ThreadStore) -> None:
    source = await added(store, "Hello", "one")
    turn = await begin(source)
    for cut, words in (
        (Cut(last="nope"), "turn not found: nope"),
        (Cut(before="\ud800"), "turn not found"),
        (Cut(last=turn.id), "in progress"),
        (Cut(last=turn.id, before=turn.id), "cannot be combined"),
    ):
        fork = thread(forked_from=source.id)
        with pytest.raises(RequestError, match=words):
            await store.fork(source.id, fork, cut)
        with pytest.raises(ThreadNotFound):
            await stored_thread(store, fork.id)


async def test_turns_that_were_kept_elsewhere_are_kept(store: ThreadStore) -> None:
    elsewhere = MemoryThreads()
    source = await added(elsewhere, "Hello", "one", "two")
    fork = thread("Hello", forked_from=source.id)
    await store.add(fork, await transcript_of(elsewhere, source.id))
    assert fork.history == (await loaded(store, fork.id)).history == source.history
    assert (await transcript_of(store, fork.id))[0].turn.viewed("full") == (await transcript_of(elsewhere, source.id))[
        0
    ].turn.viewed("full")


async def test_a_tool_call_that_was_cut_off_gets_an_output(store: ThreadStore) -> None:
    record = thread()
    await store.add(record)
    turn = await begin(record)
    call = {"type": "function_call", "call_id": "call-1", "name": "look", "arguments": "{}"}
    await record.add_item(turn, None, call)
    await end(record, turn, "interrupted")
    assert with_all_outputs((await loaded(store, record.id)).history) == [
        call,
        {"type": "function_call_output", "call_id": "call-1", "output": "aborted"},
    ]


@pytest.mark.parametrize("cursor", ["", "nonsense", "bnVsbA", "W10", "WyJ0dXJucyIsZmFsc2UsMV0", "\u2028"])
async def test_a_cursor_that_is_not_ours_is_refused(store: ThreadStore, cursor: str) -> None:
    with pytest.raises(InvalidParams, match="cursor"):
        await store.page(ThreadQuery(cursor=cursor))


async def test_text_that_no_database_takes_is_kept(store: ThreadStore) -> None:
    odd = "half \ud800 a pair\x00"
    record = await added(store, odd, odd, cwd=odd)
    assert (await stored_thread(store, record.id)).metadata.preview == odd
    assert await listed(store, cwds=(odd,)) == [record.id]
    assert await listed(store, search="\ud800") == [record.id]
    assert [one.item for one in (await items_of(store, record.id, PageQuery())).rows] == [message(odd)]
