"""What threads are made with: config.toml, `config` beside a thread's params, and the defaults of the model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from appserver.testing import make_jwt

if TYPE_CHECKING:
    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory
    from tests.peer import Peer

pytestmark = pytest.mark.anyio

LOOK_AT = ("model", "reasoning", "text", "service_tier")


async def sent(peer: Peer, backend: FakeBackend, thread_id: str) -> dict[str, Any]:
    """Run a turn and return what the model was asked with."""
    await peer.turn(thread_id)
    body: Any = backend.requests.to("/v1/responses")[-1].json()
    return {name: body[name] for name in LOOK_AT if name in body}


@pytest.mark.parametrize(
    ("model", "reasoning", "text"),
    [
        ("gpt-6.1-sol", {"effort": "low"}, {"verbosity": "low"}),
        ("gpt-6-sol", {"effort": "medium"}, {"verbosity": "low"}),
        ("gpt-6-sol-2026-11-01", {"effort": "medium"}, {"verbosity": "low"}),
        ("openai/gpt-6.1-sol", {"effort": "low"}, {"verbosity": "low"}),
        ("somebody-elses", {"summary": "auto"}, None),
    ],
)
async def test_where_nothing_is_chosen_the_defaults_of_the_model_are_sent(
    server: ServerFactory, backend: FakeBackend, model: str, reasoning: dict[str, str], text: dict[str, str] | None
) -> None:
    async with server(f"model={model}") as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        started = await peer.result("thread/start", {})
        assert (started["model"], started["reasoningEffort"]) == (model, None)
        asked = await sent(peer, backend, started["thread"]["id"])
        assert asked == {"model": model, "reasoning": reasoning, **({"text": text} if text else {})}


async def test_what_config_toml_chooses_is_sent(server: ServerFactory, backend: FakeBackend) -> None:
    chosen = (
        "model=gpt-6.1-sol",
        "model_reasoning_effort=high",
        "model_reasoning_summary=detailed",
        "model_verbosity=high",
        "service_tier=fast",
        "instructions=You are a pirate.",
        "developer_instructions=Be brief.",
    )
    async with server(*chosen) as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        started = await peer.result("thread/start", {})
        assert (started["reasoningEffort"], started["serviceTier"]) == ("high", "priority")
        assert await sent(peer, backend, started["thread"]["id"]) == {
            "model": "gpt-6.1-sol",
            "reasoning": {"summary": "detailed", "effort": "high"},
            "text": {"verbosity": "high"},
            "service_tier": "priority",
        }
        body: Any = backend.requests.to("/v1/responses")[-1].json()
        assert body["instructions"] == "You are a pirate."
        assert body["input"][0]["content"] == [{"type": "input_text", "text": "Be brief."}]


@pytest.mark.parametrize(
    ("model", "tier", "sent_tier", "warned"),
    [
        ("gpt-6.1-sol", "fast", "priority", False),
        ("gpt-6.1-sol-2026-11-01", "priority", "priority", False),
        ("somebody-elses", "fast", None, True),
        ("gpt-6.1-sol", "weird", None, True),
        ("somebody-elses", "flex", "flex", False),
        ("somebody-elses", "default", None, False),
    ],
)
async def test_a_service_tier_that_the_model_does_not_have_is_left_out_and_told(
    server: ServerFactory, backend: FakeBackend, model: str, tier: str, sent_tier: str | None, warned: bool
) -> None:
    async with server(f"model={model}", f"service_tier={tier}") as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        thread_id = await peer.start_thread()
        assert (await sent(peer, backend, thread_id)).get("service_tier") == sent_tier
        told = [note["params"] for note in peer.notifications if note["method"] == "warning"]
        named = "priority" if tier == "fast" else tier
        words = f"Configured service tier `{named}` is not advertised as supported for model `{model}`"
        warning = {"threadId": thread_id, "message": f"{words} and will be omitted from requests."}
        assert told == ([warning] if warned else [])


async def test_config_of_a_thread_lies_over_config_toml_and_under_the_params(
    server: ServerFactory, backend: FakeBackend
) -> None:
    async with server("model_reasoning_effort=low", "model=ours") as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        config = {"model": "theirs", "model_reasoning_effort": "xhigh", "service_tier": "flex"}
        thread_id = await peer.start_thread(config=config)
        asked = await sent(peer, backend, thread_id)
        assert (asked["model"], asked["reasoning"]["effort"]) == ("theirs", "xhigh")
        assert asked["service_tier"] == "flex"
        thread_id = await peer.start_thread(config=config, model="param")
        assert (await sent(peer, backend, thread_id))["model"] == "param"


@pytest.mark.parametrize("method", ["thread/resume", "thread/fork"])
async def test_config_changes_a_thread_that_is_resumed_or_forked_and_nothing_else_does(
    server: ServerFactory, backend: FakeBackend, method: str
) -> None:
    async with server("model_reasoning_effort=low", "model=ours") as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        thread_id = await peer.start_thread(config={"model": "theirs", "service_tier": "flex"})
        await peer.turn(thread_id)
    async with server("model_reasoning_effort=high", "model=other") as peer:
        await peer.login_with_tokens(backend.grant().access_token)
        params = {"threadId": thread_id, "config": {"model_reasoning_effort": "xhigh"}}
        thread = await peer.result(method, params)
        asked = await sent(peer, backend, thread["thread"]["id"])
        assert (asked["model"], asked["reasoning"]["effort"], asked["service_tier"]) == ("theirs", "xhigh", "flex")


async def test_a_provider_can_be_defined_and_chosen_with_the_thread(
    server: ServerFactory, backend: FakeBackend
) -> None:
    config = {
        "model_provider": "theirs",
        "model_providers.theirs": {"name": "Theirs", "base_url": f"{backend.url}/v1"},
    }
    async with server() as peer:
        await peer.login_with_tokens(make_jwt())
        started = await peer.result("thread/start", {"config": config})
        assert started["modelProvider"] == "theirs"
        thread_id = started["thread"]["id"]
        await peer.turn(thread_id)
        assert backend.requests.to("/v1/responses")[-1].bearer is None
        error = await peer.error("thread/start", {"modelProvider": "theirs"})
        assert error["message"] == "failed to load configuration: Model provider `theirs` not found"
        resumed = await peer.result("thread/resume", {"threadId": thread_id, "config": config})
        assert resumed["modelProvider"] == "theirs"


async def test_a_mistake_in_config_is_refused_in_the_references_words(server: ServerFactory) -> None:
    async with server() as peer:
        error = await peer.error("thread/start", {"config": {"model_reasoning_effort": 5}})
        assert error["code"] == -32600
        assert error["message"] == (
            "failed to load configuration: config: model_reasoning_effort: expected str, got int"
        )
        assert error["data"] == {"kind": "configurationError"}


@pytest.mark.parametrize(
    ("keys", "policy", "sandbox"),
    [
        ({"approval_policy": "on-request"}, "on-request", {"type": "readOnly", "networkAccess": False}),
        ({"approval_policy": {"granular": {"rules": True}}}, {"granular": {"rules": True}}, None),
        ({"sandbox_mode": "danger-full-access"}, "never", {"type": "dangerFullAccess"}),
        (
            {
                "sandbox_mode": "workspace-write",
                "sandbox_workspace_write": {"network_access": True, "writable_roots": ["/opt"]},
            },
            "never",
            {
                "type": "workspaceWrite",
                "writableRoots": ["/opt"],
                "networkAccess": True,
                "excludeTmpdirEnvVar": False,
                "excludeSlashTmp": False,
            },
        ),
    ],
)
@pytest.mark.parametrize("way", ["settings", "config"])
async def test_approvals_and_sandbox_are_told_as_they_are_configured(
    server: ServerFactory, way: str, keys: dict[str, Any], policy: object, sandbox: object
) -> None:
    keys = {**keys, "approvals_reviewer": "auto_review"}
    overrides = [f"{key}={toml(value)}" for key, value in keys.items()] if way == "settings" else []
    async with server(*overrides) as peer:
        started = await peer.result("thread/start", {"config": keys} if way == "config" else {})
        assert (started["approvalPolicy"], started["approvalsReviewer"]) == (policy, "auto_review")
        assert sandbox is None or started["sandbox"] == sandbox
        asked = await peer.result("thread/start", {"approvalPolicy": "never", "sandbox": "read-only", "config": keys})
        assert (asked["approvalPolicy"], asked["sandbox"]["type"]) == ("never", "readOnly")


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"approval_policy": 5}, "approval_policy: expected str, got int"),
        ({"sandbox_mode": "none"}, 'sandbox_mode: expected "read-only", "workspace-write" or "danger-full-access"'),
        (
            {"sandbox_mode": "workspace-write", "sandbox_workspace_write.writable_roots": [1]},
            "sandbox_workspace_write.writable_roots: expected strings",
        ),
    ],
)
async def test_an_approval_or_a_sandbox_that_there_cannot_be_is_refused(
    server: ServerFactory, config: dict[str, Any], problem: str
) -> None:
    async with server() as peer:
        error = await peer.error("thread/start", {"config": config})
        assert error["message"] == f"failed to load configuration: config: {problem}"


def toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(one)}" for key, one in value.items()) + "}"
    return json.dumps(value)
