"""What is in force for a thread: what has the last word, how long it holds, and who is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from appserver.testing import Gate, stalled, text

if TYPE_CHECKING:
    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory
    from tests.peer import Peer

pytestmark = pytest.mark.anyio

UPDATE, UPDATED = "thread/settings/update", "thread/settings/updated"
READ_ONLY = {"type": "readOnly", "networkAccess": False}


def mode(kind: str = "default", **settings: object) -> dict[str, Any]:
    return {"collaborationMode": {"mode": kind, "settings": {"model": "in-mode", **settings}}}


def sent(backend: FakeBackend, number: int = -1) -> dict[str, Any]:
    body: dict[str, Any] = backend.requests.to("/v1/responses")[number].json()
    return body


def told_by_developers(backend: FakeBackend) -> list[str]:
    return [item["content"][0]["text"] for item in sent(backend)["input"] if item["role"] == "developer"]


async def update(peer: Peer, thread: str, **params: object) -> Any:  # noqa: ANN401 - what is in force
    """Put something in force and return what the client is told."""
    start = len(peer.messages)
    assert await peer.result(UPDATE, {"threadId": thread, **params}) == {}
    return (await peer.notification(UPDATED, start, threadId=thread))["threadSettings"]


# For each key: what config.toml, `config`, thread/start, an update, turn/start and a mode say of it; and how to find it
# in a request to the model, or in what the client is told.
LAYERS = [
    (
        'model="in-settings"',
        {"model": "in-config"},
        {"model": "in-start"},
        {"model": "in-update"},
        {"model": "in-turn"},
        mode(),
        lambda body, _: body["model"],
    ),
    (
        'model_reasoning_effort="in-settings"',
        {"model_reasoning_effort": "in-config"},
        None,
        {"effort": "in-update"},
        {"effort": "in-turn"},
        mode(reasoning_effort="in-mode"),
        lambda body, _: body["reasoning"]["effort"],
    ),
    (
        'service_tier="in-settings"',
        {"service_tier": "in-config"},
        {"serviceTier": "in-start"},
        {"serviceTier": "in-update"},
        {"serviceTier": "in-turn"},
        None,
        lambda _, told: told["serviceTier"],
    ),
]


@pytest.mark.parametrize(("settings", "config", "start", "updated", "turn", "in_mode", "read"), LAYERS)
async def test_the_later_and_closer_word_is_in_force(
    server: ServerFactory,
    backend: FakeBackend,
    settings: str,
    config: dict[str, Any],
    start: dict[str, Any] | None,
    updated: dict[str, Any],
    turn: dict[str, Any],
    in_mode: dict[str, Any] | None,
    read: Any,  # noqa: ANN401 - a function
) -> None:
    async with server(settings) as peer:
        await peer.login_with_tokens(backend.grant().access_token)

        async def found(thread: str, **params: Any) -> object:  # noqa: ANN401 - members of params
            await peer.turn(thread, **params)
            return read(sent(backend), await peer.result("thread/resume", {"threadId": thread}))

        assert await found(await peer.start_thread()) == "in-settings"
        assert await found(await peer.start_thread(config=config)) == "in-config"
        thread = await peer.start_thread(config=config, **(start or {}))
        assert await found(thread) == ("in-start" if start else "in-config")
        await update(peer, thread, **updated)
        assert await found(thread) == "in-update"
        assert await found(thread, **turn) == "in-turn"
        assert await found(thread) == "in-turn"
        if in_mode:
            assert await found(thread, **turn, **in_mode) == "in-mode"
            assert await found(thread) == "in-mode"
            assert await found(thread, **turn) == "in-turn"


async def test_the_summary_follows_the_same_order(server: ServerFactory, backend: FakeBackend) -> None:
    async with server('model_reasoning_summary="concise"') as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        thread = await peer.start_thread()
        for params, expected in (({}, "concise"), ({"summary": "detailed"}, "detailed"), ({}, "detailed")):
            await peer.turn(thread, **params)
            assert sent(backend)["reasoning"]["summary"] == expected
        await update(peer, thread, summary="none")
        await peer.turn(thread)
        assert "summary" not in sent(backend)["reasoning"]


async def test_instructions_of_a_mode_stand_beside_those_of_the_thread(
    server: ServerFactory, backend: FakeBackend
) -> None:
    async with server('developer_instructions="From settings."') as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        thread = await peer.start_thread()
        await peer.turn(thread, **mode(developer_instructions="Ask first."))
        assert told_by_developers(backend) == [
            "From settings.",
            "<collaboration_mode>Ask first.</collaboration_mode>",
        ]
        await peer.turn(thread)
        assert len(told_by_developers(backend)) == 2
        await peer.turn(thread, **mode("plan"))
        assert "You are in plan mode." in told_by_developers(backend)[1]
        await peer.turn(thread, **mode())
        assert told_by_developers(backend) == ["From settings."]


async def test_an_update_tells_all_that_is_in_force(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        started = await peer.result("thread/start", {"cwd": "/work"})
        told = await update(
            peer,
            started["thread"]["id"],
            **mode("plan", reasoning_effort="low", developer_instructions="Plan."),
            summary="auto",
            serviceTier="fast",
            cwd="/elsewhere",
            approvalPolicy="on-request",
            approvalsReviewer="auto_review",
            sandboxPolicy={"type": "readOnly"},
        )
        assert told == {
            "model": "in-mode",
            "modelProvider": started["modelProvider"],
            "effort": "low",
            "summary": "auto",
            "serviceTier": "priority",
            "cwd": "/elsewhere",
            "collaborationMode": {
                "mode": "plan",
                "settings": {"model": "in-mode", "reasoning_effort": "low", "developer_instructions": "Plan."},
            },
            "approvalPolicy": "on-request",
            "approvalsReviewer": "auto_review",
            "sandboxPolicy": READ_ONLY,
        }


@pytest.mark.parametrize("older", ["code", "custom", "execute", "pair_programming"])
async def test_the_older_names_of_the_default_mode_are_taken(server: ServerFactory, older: str) -> None:
    async with server() as peer:
        thread = await peer.start_thread()
        assert (await update(peer, thread, **mode("plan")))["collaborationMode"]["mode"] == "plan"
        assert (await update(peer, thread, **mode(older)))["collaborationMode"]["mode"] == "default"


async def test_an_update_that_changes_nothing_tells_nothing(server: ServerFactory) -> None:
    async with server() as peer:
        thread = await peer.start_thread(model="m")
        await update(peer, thread, effort="high")
        for params in ({}, {"model": None}, {"model": "m", "effort": "high"}):
            assert await peer.result(UPDATE, {"threadId": thread, **params}) == {}
        assert peer.methods.count(UPDATED) == 1


async def test_what_a_turn_changes_is_told_after_its_answer_and_before_its_start(
    server: ServerFactory, backend: FakeBackend
) -> None:
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        thread = await peer.start_thread()
        await peer.notification("thread/started")
        start = len(peer.messages)
        turn_id = await peer.start_turn(thread, effort="high")
        await peer.finished_turn(turn_id)
        order = [message.get("method", "answer") for message in peer.messages[start:]]
        assert order[:4] == ["answer", UPDATED, "thread/status/changed", "turn/started"]
        await peer.turn(thread, effort="high")
        assert peer.methods.count(UPDATED) == 1


async def test_what_is_in_force_outlives_the_process(process: ServerFactory, backend: FakeBackend) -> None:
    token = backend.grant().access_token
    async with process() as peer:
        await peer.login_with_tokens(token)
        thread = await peer.start_thread()
        await update(
            peer,
            thread,
            **mode("plan", reasoning_effort="low", developer_instructions="Plan."),
            serviceTier="flex",
            cwd="/elsewhere",
            approvalPolicy="untrusted",
        )
    async with process() as peer:
        await peer.login_with_tokens(token)
        found = await peer.result("thread/resume", {"threadId": thread})
        assert (found["model"], found["reasoningEffort"], found["serviceTier"]) == ("in-mode", "low", "flex")
        assert (found["cwd"], found["approvalPolicy"]) == ("/elsewhere", "untrusted")
        assert found["collaborationMode"]["mode"] == "plan"
        await peer.turn(thread)
    assert told_by_developers(backend) == ["<collaboration_mode>Plan.</collaboration_mode>"]
    assert (sent(backend)["model"], sent(backend)["service_tier"]) == ("in-mode", "flex")


async def test_a_fork_goes_on_with_what_was_in_force(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        thread = await peer.start_thread()
        await update(peer, thread, effort="high", approvalPolicy="untrusted")
        await peer.turn(thread)
        forked = await peer.result("thread/fork", {"threadId": thread, "serviceTier": "flex"})
        assert (forked["reasoningEffort"], forked["approvalPolicy"]) == ("high", "untrusted")
        assert forked["serviceTier"] == "flex"


async def test_approvals_and_sandbox_are_echoed_as_asked(server: ServerFactory) -> None:
    async with server() as peer:
        plain = await peer.result("thread/start", {})
        assert (plain["approvalPolicy"], plain["approvalsReviewer"], plain["sandbox"]) == ("never", "user", READ_ONLY)
        asked = {"approvalPolicy": {"granular": {"rules": True}}, "approvalsReviewer": "auto_review"}
        found = await peer.result("thread/start", {**asked, "sandbox": "danger-full-access"})
        assert {name: found[name] for name in asked} == asked
        assert found["sandbox"] == {"type": "dangerFullAccess"}
        resumed = await peer.result(
            "thread/resume", {"threadId": found["thread"]["id"], "sandbox": "read-only", "approvalPolicy": "never"}
        )
        assert (resumed["sandbox"], resumed["approvalPolicy"]) == (READ_ONLY, "never")


async def test_a_running_turn_goes_on_with_what_was_in_force_at_its_start(
    server: ServerFactory, backend: FakeBackend
) -> None:
    gate = Gate()
    backend.script(stalled(gate, "Half"), text("Whole"))
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        thread = await peer.start_thread(model="old")
        first = await peer.start_turn(thread)
        await peer.notification("item/agentMessage/delta")
        assert await update(peer, thread, model="new")
        assert await peer.start_turn(thread, "more", effort="high") == first
        gate.release()
        await peer.finished_turn(first)
        assert [sent(backend, number)["model"] for number in (0, 1)] == ["old", "old"]
        await peer.turn(thread)
        assert (sent(backend)["model"], sent(backend)["reasoning"]["effort"]) == ("new", "high")


async def test_a_service_tier_for_one_turn_is_no_other_turns(server: ServerFactory, backend: FakeBackend) -> None:
    async with server() as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        thread = await peer.start_thread(model="gpt-5.5", serviceTier="flex")
        await peer.turn(thread, serviceTierForTurn="fast")
        assert sent(backend)["service_tier"] == "priority"
        await peer.turn(thread, serviceTierForTurn="default")
        assert "service_tier" not in sent(backend)
        await peer.turn(thread, serviceTierForTurn=None)
        assert sent(backend)["service_tier"] == "flex"
        assert UPDATED not in peer.methods


@pytest.mark.parametrize(
    "params",
    [
        {"summary": "long"},
        {"sandboxPolicy": {"type": "moat"}},
        {"collaborationMode": {"mode": "chaos", "settings": {"model": "m"}}},
        {"collaborationMode": {"mode": "plan", "settings": {}}},
        {"approvalPolicy": 5},
    ],
)
async def test_what_cannot_be_in_force_is_refused(server: ServerFactory, params: dict[str, Any]) -> None:
    async with server() as peer:
        thread = await peer.start_thread()
        assert (await peer.error(UPDATE, {"threadId": thread, **params}))["code"] == -32602
        assert UPDATED not in peer.methods


async def test_a_thread_that_is_not_loaded_has_nothing_to_update(server: ServerFactory) -> None:
    async with server() as peer:
        error = await peer.error(UPDATE, {"threadId": "01a2016d-8232-7e50-b236-db89dc4f6164", "model": "m"})
        assert (error["code"], error["data"]["kind"]) == (-32600, "threadNotFound")
