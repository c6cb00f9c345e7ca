"""The client with the reference's server, where its executable is installed."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from appserver.client import AsyncAppServer, RestartPolicy, Subprocess, tool, types
from appserver.testing import function_call, output, text
from tests.client.test_app_server import Weather
from tests.processes import kill_by_id
from tests.protocol.conftest import reference_binary

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        reference_binary() is None,
        reason="the reference's executable is not here (set CODEX_BIN, or install openai-codex-cli-bin)",
    ),
]


@tool
def lookup(ticket: str) -> str:
    """Look up a ticket."""
    return f"{ticket} is open"


@pytest.fixture
def reference(home: Path, backend: FakeBackend) -> AsyncAppServer:
    command = [reference_binary() or "", "app-server"]
    start = Subprocess(command, env=backend.environ(home), stderr=subprocess.DEVNULL)
    return AsyncAppServer(start, restart=RestartPolicy(), capabilities={"experimentalApi": True})


async def test_turns_tools_and_structured_output_work_with_it(reference: AsyncAppServer, backend: FakeBackend) -> None:
    async with reference as server:
        await server.account.login_api_key("sk-test-key")
        assert isinstance((await server.account.read()).account, types.ApiKeyAccount)
        thread = await server.threads.start(tools=[lookup])
        backend.script(output(function_call("lookup", {"ticket": "A"})), text("It is open."))
        assert (await thread.run("Is A open?")).final_response == "It is open."
        assert "A is open" in backend.requests[-1].body.decode()
        backend.script(text('{"city": "Bern", "degrees": 3}'))
        assert (await thread.run("The weather?", output_type=Weather)).output == Weather(city="Bern", degrees=3)
        deltas = [note async for note in thread.stream("Hi") if isinstance(note, types.AgentMessageDeltaNotification)]
        assert "".join(note.delta for note in deltas) == "You said: Hi"
        assert (await server.models.list()).data
        assert [one.id for one in (await server.threads.list()).data] == [thread.id]


async def test_it_is_started_again_when_it_dies(reference: AsyncAppServer) -> None:
    async with reference as server:
        await server.account.login_api_key("sk-test-key")
        thread = await server.threads.start()
        await thread.run("Hello")
        assert server.process_id is not None
        kill_by_id(server.process_id)
        assert (await thread.run("Again")).final_response == "You said: Again"
