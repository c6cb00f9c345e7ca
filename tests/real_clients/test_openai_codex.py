"""The reference's own Python client, unmodified, against our command.

Skipped where `openai_codex` is not installed; `.ci/run` installs it without its dependencies, because one of them is
the reference's binary.
"""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from appserver.testing import FakeBackend, Gate, running_backend, stalled, text
from tests.real_clients.launch import executable

openai_codex = pytest.importorskip("openai_codex", reason="openai_codex is not installed (.ci/run installs it)")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BROWSER_SECONDS = 20.0

# The client leaves the pipes of the process it started to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Collect what the client left while its warnings are still passed over."""
    yield
    gc.collect()


@pytest.fixture
def backend() -> Iterator[FakeBackend]:
    with running_backend() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, backend: FakeBackend) -> Path:
    backend.write_config(tmp_path)
    return tmp_path


@pytest.fixture
def config(tmp_path: Path, home: Path, backend: FakeBackend) -> Any:  # noqa: ANN401 - the client's own type
    return openai_codex.CodexConfig(codex_bin=str(executable(tmp_path)), env=backend.environ(home))


@pytest.fixture
def codex(config: Any) -> Iterator[Any]:  # noqa: ANN401 - the client's own type
    with openai_codex.Codex(config) as client:
        client.login_api_key("sk-test-key")
        yield client


def deltas(turn: Any, react: Callable[[int], None]) -> list[str]:  # noqa: ANN401 - the client's own type
    """Read a turn's stream to its end, calling react after each piece of text."""
    found: list[str] = []
    for event in turn.stream():
        if event.method == "item/agentMessage/delta":
            found.append(event.payload.delta)
            react(len(found))
    return found


def test_it_signs_in_with_a_key_and_runs_a_turn(codex: Any) -> None:  # noqa: ANN401
    assert codex.account().account.root.type == "apiKey"
    result = codex.thread_start().run("hello")
    assert result.status.value == "completed"
    assert result.final_response == "You said: hello"
    assert result.usage is not None


def test_it_signs_in_with_a_device_code(config: Any) -> None:  # noqa: ANN401
    with openai_codex.Codex(config) as client:
        login = client.login_chatgpt_device_code()
        assert login.user_code
        assert login.wait().success
        assert client.account().account.root.type == "chatgpt"


@pytest.mark.usefixtures("callback_ports")
def test_it_signs_in_with_a_browser(config: Any) -> None:  # noqa: ANN401
    with openai_codex.Codex(config) as client:
        login = client.login_chatgpt()
        page = httpx.get(login.auth_url, follow_redirects=True, timeout=BROWSER_SECONDS)
        assert page.status_code == 200
        assert login.wait().success
        client.logout()
        assert client.account().account is None


def test_it_streams(codex: Any, backend: FakeBackend) -> None:  # noqa: ANN401
    backend.script(text("one ", "two ", "three"))
    turn = codex.thread_start().turn("count")
    assert deltas(turn, lambda _: None) == ["one ", "two ", "three"]


def test_it_steers(codex: Any, backend: FakeBackend) -> None:  # noqa: ANN401
    gate = Gate()
    backend.script(stalled(gate, "first ", "second"), text("steered answer"))
    turn = codex.thread_start().turn("go")

    def steer(count: int) -> None:
        if count == 1:
            turn.steer("and now this")
            gate.release()

    assert deltas(turn, steer)[-1] == "steered answer"
    assert "and now this" in backend.requests[-1].body.decode()


def test_it_interrupts(codex: Any, backend: FakeBackend) -> None:  # noqa: ANN401
    backend.script(stalled(Gate(), "never ", "ending"))
    turn = codex.thread_start().turn("go")
    ended: list[str] = []
    for event in turn.stream():
        if event.method == "item/started" and event.payload.item.root.type == "agentMessage":
            turn.interrupt()
        if event.method == "turn/completed":
            ended.append(event.payload.turn.status.value)
    assert ended == ["interrupted"]


def test_it_forks_archives_names_and_lists(codex: Any, backend: FakeBackend) -> None:  # noqa: ANN401
    thread = codex.thread_start()
    thread.run("root question")
    thread.set_name("A name")
    fork = codex.thread_fork(thread.id)
    fork.run("branch question")
    assert "root question" in backend.requests[-1].body.decode()
    assert {entry.id for entry in codex.thread_list().data} == {thread.id, fork.id}
    codex.thread_archive(thread.id)
    assert {entry.id for entry in codex.thread_list().data} == {fork.id}
    assert codex.thread_unarchive(thread.id).id == thread.id
    assert len(thread.read(include_turns=True).thread.turns) == 1


def test_it_resumes_after_a_restart(config: Any, backend: FakeBackend) -> None:  # noqa: ANN401
    with openai_codex.Codex(config) as client:
        client.login_api_key("sk-test-key")
        thread = client.thread_start()
        thread.run("remember this")
    with openai_codex.Codex(config) as client:
        client.thread_resume(thread.id).run("what did I say?")
    assert "remember this" in backend.requests[-1].body.decode()


def test_it_lists_models(codex: Any) -> None:  # noqa: ANN401
    models = codex.models().data
    assert sum(model.is_default for model in models) == 1


def test_it_compacts(codex: Any) -> None:  # noqa: ANN401
    thread = codex.thread_start()
    thread.run("a long story")
    thread.compact()
    with contextlib.suppress(openai_codex.CodexError):  # a turn may join the compaction's end, or be told to wait
        thread.run("go on")


def test_it_passes_an_output_schema(codex: Any, backend: FakeBackend) -> None:  # noqa: ANN401
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    codex.thread_start().run("a number", output_schema=schema)
    assert backend.requests[-1].json()["text"]["format"]["schema"] == schema


@pytest.mark.anyio
async def test_the_asynchronous_one_works_too(config: Any) -> None:  # noqa: ANN401
    async with openai_codex.AsyncCodex(config) as client:
        await client.login_api_key("sk-test-key")
        thread = await client.thread_start()
        assert (await thread.run("hello")).final_response == "You said: hello"
        assert [entry.id for entry in (await client.thread_list()).data] == [thread.id]
