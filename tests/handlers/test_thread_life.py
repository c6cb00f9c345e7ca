"""The life of a thread over the protocol: resume, fork, names, archive, delete, and letting go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from appserver.server import subscriptions
from appserver.testing import Gate, cut, failed, http_error, stalled, text

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend, Reply, Stream
    from tests.conftest import ServerFactory
    from tests.peer import Peer

pytestmark = pytest.mark.anyio


async def sign_in(peer: Peer, backend: FakeBackend) -> None:
    await peer.login_with_tokens(backend.grant().access_token)


async def thread_with_turn(peer: Peer, backend: FakeBackend, text: str = "Hello", **params: object) -> str:
    await sign_in(peer, backend)
    thread_id = await peer.start_thread(**params)
    assert (await peer.turn(thread_id, text))["status"] == "completed"
    return thread_id


def texts_sent(backend: FakeBackend) -> list[str]:
    """Return the texts of the last request's input."""
    body: Any = backend.requests.to("/v1/responses")[-1].json()
    return [part["text"] for item in body["input"] for part in item["content"]]


async def stalled_turn(peer: Peer, backend: FakeBackend, thread_id: str) -> tuple[str, Gate]:
    """Start a turn that has said something and waits."""
    gate = Gate()
    backend.model.script(stalled(gate, "well"))
    turn_id = await peer.start_turn(thread_id, "go")
    await peer.notification("item/agentMessage/delta", turnId=turn_id)
    return turn_id, gate


# Resume


async def test_a_thread_resumed_by_another_server_goes_on_where_it_was(
    server: ServerFactory, backend: FakeBackend
) -> None:
    async with server() as peer:
        thread_id = await thread_with_turn(peer, backend, "alpha", model="special", developerInstructions="Rhyme.")
    async with server() as peer:
        await sign_in(peer, backend)
        assert "thread not found" in (await peer.error("turn/start", {"threadId": thread_id, "input": []}))["message"]
        result = await peer.result("thread/resume", {"threadId": thread_id})
        assert (result["model"], result["thread"]["status"], result["thread"]["preview"]) == (
            "special",
            {"type": "idle"},
            "alpha",
        )
        (turn,) = result["thread"]["turns"]
        assert (turn["status"], turn["itemsView"]) == ("completed", "full")
        assert [item["type"] for item in turn["items"]] == ["userMessage", "agentMessage"]
        usage = await peer.notification("thread/tokenUsage/updated", turnId=turn["id"])
        assert usage["tokenUsage"]["total"]["totalTokens"] == 15
        await peer.turn(thread_id, "beta")
        assert texts_sent(backend) == ["Rhyme.", "alpha", "You said: alpha", "beta"]


async def test_a_thread_that_was_only_started_can_be_resumed(server: ServerFactory) -> None:
    async with server() as peer:
        thread_id = await peer.start_thread()
    async with server() as peer:
        result = await peer.result(
            "thread/resume", {"threadId": thread_id, "model": "other", "baseInstructions": "Hm."}
        )
        assert (result["thread"]["id"], result["model"]) == (thread_id, "other")


async def test_resume_can_leave_out_turns_or_bring_a_page(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        thread_id = await thread_with_turn(peer, backend)
        second = (await peer.turn(thread_id, "again"))["id"]
        wanted = {"threadId": thread_id, "excludeTurns": True, "initialTurnsPage": {"limit": 1}}
        result = await peer.result("thread/resume", wanted)
        assert result["thread"]["turns"] == []
        assert [turn["id"] for turn in result["initialTurnsPage"]["data"]] == [second]
        back = {"threadId": thread_id, "cursor": result["turnsBackwardsCursor"]}
        assert (await peer.result("thread/turns/list", back))["data"][0]["id"] == second
        items = {"threadId": thread_id, "cursor": result["itemsBackwardsCursor"], "sortDirection": "desc"}
        assert (await peer.result("thread/items/list", items))["data"][0]["item"]["text"] == "You said: again"


async def test_resuming_a_running_thread_shows_its_turn(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        thread_id = await thread_with_turn(peer, backend)
        turn_id, gate = await stalled_turn(peer, backend, thread_id)
        thread = (await peer.result("thread/resume", {"threadId": thread_id}))["thread"]
        assert thread["status"]["type"] == "active"
        assert [turn["status"] for turn in thread["turns"]] == ["completed", "inProgress"]
        gate.release()
        assert (await peer.finished_turn(turn_id))["status"] == "completed"


async def test_a_provider_that_is_not_configured_any_more_is_named(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    async with server(f"model_providers.gone.base_url={backend.url}/v1") as peer:
        thread_id = await peer.start_thread(modelProvider="gone")
    async with server() as peer:
        error = await peer.error("thread/resume", {"threadId": thread_id})
        assert (error["message"], error["data"]) == (
            "failed to load configuration: Model provider `gone` not found",
            {"kind": "modelProviderNotFound"},
        )


NO_ROLLOUT = "no rollout found for thread id gone"
NOT_LOADED = "thread not loaded: gone"
NOT_FOUND = "thread not found: gone"


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("thread/resume", NO_ROLLOUT),
        ("thread/fork", NO_ROLLOUT),
        ("thread/archive", NO_ROLLOUT),
        ("thread/unarchive", "no archived rollout found for thread id gone"),
        ("thread/delete", NO_ROLLOUT),
        ("thread/name/set", NO_ROLLOUT),
        ("thread/metadata/update", NO_ROLLOUT),
        ("thread/read", NOT_LOADED),
        ("thread/turns/list", NOT_LOADED),
        ("thread/items/list", NOT_LOADED),
        ("thread/compact/start", NOT_FOUND),
        ("turn/start", NOT_FOUND),
        ("turn/steer", NOT_FOUND),
        ("turn/interrupt", NOT_FOUND),
    ],
)
async def test_a_thread_that_is_not_there_is_refused_in_the_words_of_the_reference(
    server: ServerFactory, method: str, words: str
) -> None:
    turn = {"turnId": "x", "expectedTurnId": "x", "input": [{"type": "text", "text": "x"}]}
    params = {"threadId": "gone", "name": "x", "gitInfo": {"sha": "1"}, **turn}
    async with server() as peer:
        error = await peer.error(method, params)
        assert error == {"code": -32600, "message": words, "data": {"kind": "threadNotFound"}}
        assert await peer.result("thread/unsubscribe", {"threadId": "gone"}) == {"status": "notLoaded"}


# Fork


async def test_a_fork_carries_the_history_and_leaves_its_source_alone(
    server: ServerFactory, backend: FakeBackend
) -> None:
    async with server() as peer:
        source = await thread_with_turn(peer, backend, "root")
        await peer.result("thread/name/set", {"threadId": source, "name": "Tree"})
        fork = (await peer.result("thread/fork", {"threadId": source}))["thread"]
        assert (fork["forkedFromId"], fork["name"], fork["preview"]) == (source, "Tree", "root")
        assert [turn["itemsView"] for turn in fork["turns"]] == ["full"]
        assert (await peer.notification("thread/started", after=len(peer.messages) - 3))["thread"]["id"] == fork["id"]
        await peer.turn(fork["id"], "branch")
        assert texts_sent(backend) == ["root", "You said: root", "branch"]
        read = await peer.result("thread/read", {"threadId": source, "includeTurns": True})
        assert len(read["thread"]["turns"]) == 1


async def test_a_fork_can_end_at_a_turn_or_before_it(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        source = await thread_with_turn(peer, backend, "one")
        second = (await peer.turn(source, "two"))["id"]
        await peer.turn(source, "three")
        for cut, sent in (("lastTurnId", ["one", "two"]), ("beforeTurnId", ["one"])):
            fork = (await peer.result("thread/fork", {"threadId": source, cut: second}))["thread"]
            assert len(fork["turns"]) == len(sent)
            await peer.turn(fork["id"], "on")
            assert [text for text in texts_sent(backend) if "said" not in text] == [*sent, "on"]
        both = await peer.error("thread/fork", {"threadId": source, "lastTurnId": second, "beforeTurnId": second})
        assert "cannot be combined" in both["message"]
        unknown = await peer.error("thread/fork", {"threadId": source, "lastTurnId": "nope"})
        assert unknown["data"] == {"kind": "turnNotFound"}


async def test_a_fork_in_the_middle_of_a_turn_has_it_as_far_as_it_came(
    server: ServerFactory, backend: FakeBackend
) -> None:
    async with server() as peer:
        source = await thread_with_turn(peer, backend, "one")
        turn_id, gate = await stalled_turn(peer, backend, source)
        refused = await peer.error("thread/fork", {"threadId": source, "lastTurnId": turn_id})
        assert refused["data"] == {"kind": "turnInProgress"}
        fork = (await peer.result("thread/fork", {"threadId": source}))["thread"]
        assert [turn["status"] for turn in fork["turns"]] == ["completed", "interrupted"]
        assert [item["type"] for item in fork["turns"][1]["items"]] == ["userMessage"]
        await peer.turn(fork["id"], "on")
        assert texts_sent(backend) == ["one", "You said: one", "go", "on"]
        gate.release()
        assert (await peer.finished_turn(turn_id))["status"] == "completed"


async def test_an_ephemeral_fork_is_not_listed(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        source = await thread_with_turn(peer, backend, "root")
        fork = (await peer.result("thread/fork", {"threadId": source, "ephemeral": True}))["thread"]
        assert fork["ephemeral"] is True
        assert [one["id"] for one in (await peer.result("thread/list"))["data"]] == [source]
        await peer.turn(fork["id"], "on")
        assert texts_sent(backend) == ["root", "You said: root", "on"]


# Ephemeral threads


async def test_an_ephemeral_thread_leaves_no_file(server: ServerFactory, backend: FakeBackend, home: Path) -> None:
    async with server() as peer:
        thread_id = await thread_with_turn(peer, backend, ephemeral=True)
        read = (await peer.result("thread/read", {"threadId": thread_id, "includeTurns": True}))["thread"]
        assert (read["ephemeral"], len(read["turns"])) == (True, 1)
        refused = await peer.error("thread/archive", {"threadId": thread_id})
        assert refused["data"] == {"kind": "ephemeralThread"}
        assert not (home / "threads.db").exists()


async def test_a_damaged_database_stops_no_ephemeral_thread(
    server: ServerFactory, backend: FakeBackend, home: Path
) -> None:
    (home / "threads.db").write_bytes(b"no database at all" * 100)
    async with server() as peer:
        error = await peer.error("thread/start", {})
        assert "threads.db" in error["message"]
        assert error["data"] == {"kind": "threadStoreCorrupt"}
        await thread_with_turn(peer, backend, ephemeral=True)


# Names and metadata


async def test_a_name_is_told_and_kept(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        thread_id = await thread_with_turn(peer, backend)
        assert await peer.result("thread/name/set", {"threadId": thread_id, "name": " Mine "}) == {}
        await peer.notification("thread/name/updated", threadId=thread_id, threadName="Mine")
    async with server() as peer:
        assert (await peer.result("thread/read", {"threadId": thread_id}))["thread"]["name"] == "Mine"
        await peer.result("thread/name/set", {"threadId": thread_id, "name": ""})
        await peer.notification("thread/name/updated", threadId=thread_id, threadName=None)


async def test_git_info_is_changed_member_by_member(server: ServerFactory) -> None:
    async with server() as peer:
        thread_id = await peer.start_thread()

        async def update(**info: str | None) -> object:
            params = {"threadId": thread_id, "gitInfo": info}
            return (await peer.result("thread/metadata/update", params))["thread"]["gitInfo"]

        assert await update(sha="1", branch="main") == {"sha": "1", "branch": "main", "originUrl": None}
        assert await update(branch=None) == {"sha": "1", "branch": None, "originUrl": None}
        assert await update() == {"sha": "1", "branch": None, "originUrl": None}
        assert await update(sha=None) is None


# Archive, delete, unsubscribe


async def test_archiving_unloads_and_unarchiving_brings_back(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        thread_id = await thread_with_turn(peer, backend)
        assert await peer.result("thread/archive", {"threadId": thread_id}) == {}
        await peer.notification("thread/archived", threadId=thread_id)
        await peer.notification("thread/status/changed", status={"type": "notLoaded"})
        assert (await peer.result("thread/loaded/list"))["data"] == []
        thread = (await peer.result("thread/unarchive", {"threadId": thread_id}))["thread"]
        assert thread["status"] == {"type": "notLoaded"}
        await peer.notification("thread/unarchived", threadId=thread_id)


async def test_archiving_interrupts_what_runs(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        thread_id = await thread_with_turn(peer, backend)
        turn_id, _ = await stalled_turn(peer, backend, thread_id)
        await peer.result("thread/archive", {"threadId": thread_id})
        assert (await peer.finished_turn(turn_id))["status"] == "interrupted"
        await peer.notification("thread/status/changed", status={"type": "notLoaded"})
        assert peer.methods[-1] == "thread/status/changed", "it is unloaded after the end of the turn"


async def test_a_deleted_thread_is_gone_and_its_turn_ends(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        thread_id = await thread_with_turn(peer, backend)
        turn_id, _ = await stalled_turn(peer, backend, thread_id)
        assert await peer.result("thread/delete", {"threadId": thread_id}) == {}
        await peer.notification("thread/deleted", threadId=thread_id)
        assert (await peer.finished_turn(turn_id))["status"] == "interrupted"
        assert (await peer.error("thread/read", {"threadId": thread_id}))["data"] == {"kind": "threadNotFound"}


async def test_a_thread_that_was_unsubscribed_from_stays_loaded_and_tells_its_status_only(
    server: ServerFactory, backend: FakeBackend
) -> None:
    async with server() as peer:
        thread_id = await thread_with_turn(peer, backend)
        assert await peer.result("thread/unsubscribe", {"threadId": thread_id}) == {"status": "unsubscribed"}
        assert await peer.result("thread/unsubscribe", {"threadId": thread_id}) == {"status": "notSubscribed"}
        assert (await peer.result("thread/loaded/list"))["data"] == [thread_id]
        before = len(peer.messages)
        await peer.start_turn(thread_id)
        await peer.notification("thread/status/changed", before, status={"type": "idle"})
        await peer.result("thread/name/set", {"threadId": thread_id, "name": "x"})
        told = [note["method"] for note in peer.messages[before:] if "threadId" in note.get("params", {})]
        assert told == ["thread/status/changed", "thread/status/changed", "thread/name/updated"]
        await peer.result("thread/resume", {"threadId": thread_id})
        assert (await peer.turn(thread_id))["status"] == "completed"


async def test_unsubscribing_ends_what_is_told_of_a_running_turn_until_the_thread_is_resumed(
    server: ServerFactory, backend: FakeBackend
) -> None:
    async with server() as peer:
        first = await thread_with_turn(peer, backend)
        second = await peer.start_thread()
        for thread_id, resumed in ((first, False), (second, True)):
            turn_id, gate = await stalled_turn(peer, backend, thread_id)
            await peer.result("thread/unsubscribe", {"threadId": thread_id})
            if resumed:
                await peer.result("thread/resume", {"threadId": thread_id})
            before = len(peer.messages)
            gate.release()
            if resumed:
                assert (await peer.finished_turn(turn_id))["status"] == "completed"
            else:
                await peer.notification("thread/status/changed", before, status={"type": "idle"})
                turns = (await peer.result("thread/turns/list", {"threadId": thread_id}))["data"]
                assert turns[0]["status"] == "completed"
                told = [note["method"] for note in peer.messages[before:] if "threadId" in note.get("params", {})]
                assert told == ["thread/status/changed"]


async def test_a_thread_that_nobody_listens_to_is_closed_after_a_while(
    server: ServerFactory, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "CLOSE_SECONDS", 0.01)
    async with server() as peer:
        thread_id, busy = await thread_with_turn(peer, backend), await peer.start_thread()
        _, gate = await stalled_turn(peer, backend, busy)
        await peer.result("thread/unsubscribe", {"threadId": busy})
        await peer.result("thread/unsubscribe", {"threadId": thread_id})
        await peer.notification("thread/closed", threadId=thread_id)
        assert await peer.result("thread/unsubscribe", {"threadId": thread_id}) == {"status": "notLoaded"}
        assert (await peer.result("thread/loaded/list"))["data"] == [busy], "its turn runs"
        gate.release()
        await peer.notification("thread/closed", threadId=busy)


async def test_an_unsubscribed_thread_that_is_archived_or_resumed_is_not_closed_later(
    server: ServerFactory, backend: FakeBackend
) -> None:
    async with server() as peer:
        thread_id = await thread_with_turn(peer, backend)
        for method in ("thread/archive", "thread/resume"):
            await peer.result("thread/resume", {"threadId": thread_id})
            await peer.result("thread/unsubscribe", {"threadId": thread_id})
            await peer.result(method, {"threadId": thread_id})
            await peer.result("thread/unarchive", {"threadId": thread_id})
            await peer.result("thread/resume", {"threadId": thread_id})
            assert (await peer.turn(thread_id))["status"] == "completed"


# Compaction


async def test_compaction_lets_a_summary_take_the_place_of_the_history(
    server: ServerFactory, backend: FakeBackend
) -> None:
    async with server() as peer:
        thread_id = await thread_with_turn(peer, backend, "a long story")
        backend.model.script(text("It was ", "a story."))
        assert await peer.result("thread/compact/start", {"threadId": thread_id}) == {}
        compacted = await peer.wait(
            lambda one: one.get("params", {}).get("item", {}).get("type") == "contextCompaction"
        )
        turn = await peer.finished_turn(compacted["params"]["turnId"])
        assert turn["status"] == "completed"
        assert texts_sent(backend)[:2] == ["a long story", "You said: a long story"]
        await peer.turn(thread_id, "on")
        summary, last = texts_sent(backend)
        assert summary.endswith("It was a story.")
        assert last == "on"
    async with server() as peer:
        await sign_in(peer, backend)
        turns = (await peer.result("thread/resume", {"threadId": thread_id}))["thread"]["turns"]
        assert [item["type"] for item in turns[1]["items"]] == ["contextCompaction"]
        await peer.turn(thread_id, "and on")
        assert texts_sent(backend) == [summary, "on", "You said: on", "and on"]


@pytest.mark.parametrize("reply", [http_error(503), failed("server_is_overloaded"), cut("It")])
async def test_a_compaction_that_a_retry_can_help_is_tried_again(
    server: ServerFactory, backend: FakeBackend, home: Path, reply: Reply
) -> None:
    backend.write_config(home, provider={"request_max_retries": 1, "stream_max_retries": 1})
    async with server() as peer:
        thread_id = await thread_with_turn(peer, backend, "a long story")
        backend.model.script(reply, text("It was a story."))
        await peer.result("thread/compact/start", {"threadId": thread_id})
        error = await peer.notification("error", willRetry=True)
        assert error["error"]["message"].startswith("Reconnecting... 1/1")
        assert (await peer.finished_turn(error["turnId"]))["status"] == "completed"
        await peer.turn(thread_id, "on")
        assert texts_sent(backend)[0].endswith("It was a story.")


@pytest.mark.parametrize("reply", [text(), failed("server_is_overloaded"), cut("It")])
async def test_a_compaction_that_fails_leaves_the_history(
    server: ServerFactory, backend: FakeBackend, reply: Stream
) -> None:
    async with server() as peer:
        thread_id = await thread_with_turn(peer, backend, "a long story")
        backend.model.script(reply)
        await peer.result("thread/compact/start", {"threadId": thread_id})
        error = await peer.notification("error", willRetry=False)
        assert (await peer.finished_turn(error["turnId"]))["status"] == "failed"
        await peer.turn(thread_id, "on")
        assert texts_sent(backend) == ["a long story", "You said: a long story", "on"]


async def test_a_compaction_is_one_turn_of_its_thread(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        thread_id = await thread_with_turn(peer, backend)
        turn_id, gate = await stalled_turn(peer, backend, thread_id)
        refused = await peer.error("thread/compact/start", {"threadId": thread_id})
        assert refused["data"] == {"activeTurnId": turn_id}
        gate.release()
        await peer.finished_turn(turn_id)
