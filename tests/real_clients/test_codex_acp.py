"""`@agentclientprotocol/codex-acp` from npm, unmodified: the adapter by which Zed and JetBrains editors use the server.

It is a subprocess that speaks the Agent Client Protocol (JSON-RPC on stdio) with an editor, here with the tests, and
starts our command.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from appserver.testing import text
from tests.peer import Peer, process_peer
from tests.real_clients.launch import CODEX_ACP, executable, installed, node

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from appserver.testing import FakeBackend

pytestmark = pytest.mark.anyio

API_KEY = "sk-test-key-of-the-editor"


class Editor(Peer):
    """The editor's side of the Agent Client Protocol."""

    async def send(self, message: Any) -> None:  # noqa: ANN401 - one JSON message
        await super().send({"jsonrpc": "2.0", **message})

    async def sign_in(self) -> None:
        """Shake hands and sign in with the key in the environment."""
        await self.result("initialize", {"protocolVersion": 1, "clientCapabilities": {}})
        await self.result("authenticate", {"methodId": "api-key"})

    async def prompt(self, session_id: str, words: str) -> Any:  # noqa: ANN401 - its result
        """Say something in a session and wait until the turn is over."""
        return await self.result(
            "session/prompt", {"sessionId": session_id, "prompt": [{"type": "text", "text": words}]}
        )

    async def set_option(self, session_id: str, option: str, value: str) -> None:
        """Choose a value of one of the session's options."""
        params = {"sessionId": session_id, "configId": option, "value": value}
        options = (await self.result("session/set_config_option", params))["configOptions"]
        assert {one["id"]: one["currentValue"] for one in options}[option] == value

    def chunks(self, session_id: str, kind: str) -> list[str]:
        """Return the texts of the updates of one kind so far."""
        updates = [note["params"] for note in self.notifications if note["method"] == "session/update"]
        return [
            update["update"]["content"]["text"]
            for update in updates
            if update["sessionId"] == session_id and update["update"]["sessionUpdate"] == kind
        ]


@pytest.fixture
async def editor(tmp_path: Path, home: Path, backend: FakeBackend) -> AsyncIterator[Editor]:
    environ = {
        **os.environ,
        **backend.environ(home),
        "CODEX_PATH": str(executable(tmp_path)),
        "OPENAI_API_KEY": API_KEY,
        "NO_BROWSER": "1",
    }
    async with process_peer([node(), installed(CODEX_ACP)], environ, Editor) as connected:
        await connected.sign_in()
        yield connected


@pytest.fixture
def workspace(tmp_path: Path) -> dict[str, Any]:
    return {"cwd": str(tmp_path), "mcpServers": []}


async def new_session(editor: Editor, workspace: dict[str, Any]) -> str:
    session_id: str = (await editor.result("session/new", workspace))["sessionId"]
    return session_id


async def test_it_streams_the_answer_to_a_prompt(
    editor: Editor, workspace: dict[str, Any], backend: FakeBackend
) -> None:
    backend.script(text("Hello", " editor"))
    session_id = await new_session(editor, workspace)
    assert (await editor.prompt(session_id, "hi"))["stopReason"] == "end_turn"
    assert "".join(editor.chunks(session_id, "agent_message_chunk")) == "Hello editor"


async def test_it_lists_and_loads_a_session_with_its_history(editor: Editor, workspace: dict[str, Any]) -> None:
    session_id = await new_session(editor, workspace)
    await editor.prompt(session_id, "remember me")
    listed = (await editor.result("session/list", {}))["sessions"]
    assert [session["sessionId"] for session in listed] == [session_id]
    before = len(editor.chunks(session_id, "user_message_chunk"))
    await editor.result("session/load", {"sessionId": session_id, **workspace})
    assert editor.chunks(session_id, "user_message_chunk")[before:] == ["remember me"]
    assert "You said: remember me" in editor.chunks(session_id, "agent_message_chunk")


async def test_a_fork_goes_on_from_the_history(editor: Editor, workspace: dict[str, Any], backend: FakeBackend) -> None:
    session_id = await new_session(editor, workspace)
    await editor.prompt(session_id, "the trunk")
    fork = (await editor.result("session/fork", {"sessionId": session_id, **workspace}))["sessionId"]
    assert fork != session_id
    assert (await editor.prompt(fork, "a branch"))["stopReason"] == "end_turn"
    assert "the trunk" in backend.requests[-1].body.decode()


async def test_a_chosen_model_and_effort_reach_the_backend(
    editor: Editor, workspace: dict[str, Any], backend: FakeBackend
) -> None:
    session = await editor.result("session/new", workspace)
    options = {option["id"]: option for option in session["configOptions"]}
    models = [one["value"] for one in options["model"]["options"] if one["value"] != options["model"]["currentValue"]]
    await editor.set_option(session["sessionId"], "model", models[0])
    await editor.set_option(session["sessionId"], "reasoning_effort", "high")
    await editor.prompt(session["sessionId"], "think")
    sent = backend.requests[-1].json()
    assert (sent["model"], sent["reasoning"]["effort"]) == (models[0], "high")


async def test_every_mode_can_be_chosen_between_prompts(editor: Editor, workspace: dict[str, Any]) -> None:
    session = await editor.result("session/new", workspace)
    session_id = session["sessionId"]
    for mode in session["modes"]["availableModes"]:
        await editor.result("session/set_mode", {"sessionId": session_id, "modeId": mode["id"]})
        assert (await editor.prompt(session_id, f"in {mode['id']}"))["stopReason"] == "end_turn"
    await editor.set_option(session_id, "collaboration_mode", "plan")
    assert (await editor.prompt(session_id, "a plan"))["stopReason"] == "end_turn"


async def test_it_compacts_a_session(editor: Editor, workspace: dict[str, Any], backend: FakeBackend) -> None:
    session_id = await new_session(editor, workspace)
    await editor.prompt(session_id, "a long story")
    asked = len(backend.requests)
    assert (await editor.prompt(session_id, "/compact"))["stopReason"] == "end_turn"
    assert len(backend.requests) > asked
    assert (await editor.prompt(session_id, "go on"))["stopReason"] == "end_turn"


async def test_a_closed_session_takes_no_prompt_until_it_is_loaded(editor: Editor, workspace: dict[str, Any]) -> None:
    session_id = await new_session(editor, workspace)
    await editor.prompt(session_id, "before")
    await editor.result("session/close", {"sessionId": session_id})
    await editor.error("session/prompt", {"sessionId": session_id, "prompt": [{"type": "text", "text": "too late"}]})
    await editor.result("session/load", {"sessionId": session_id, **workspace})
    assert (await editor.prompt(session_id, "after"))["stopReason"] == "end_turn"


async def test_after_a_logout_a_session_needs_a_new_login(editor: Editor, workspace: dict[str, Any]) -> None:
    await editor.result("logout", {})
    await editor.error("session/new", workspace)
    await editor.result("authenticate", {"methodId": "api-key"})
    assert await new_session(editor, workspace)
