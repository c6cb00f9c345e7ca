"""The blocking face: the same client, in a thread of its own."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from appserver import client
from appserver.client import (
    AppServer,
    RestartPolicy,
    ServerGone,
    Subprocess,
    TokenRequest,
    TurnLost,
    blocking,
    tool,
    types,
)
from appserver.testing import FakeBackend, Gate, function_call, output, running_backend, stalled, text
from codegen.blocking import FACES
from tests.client.test_app_server import Weather
from tests.processes import kill_by_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def backend() -> Iterator[FakeBackend]:
    with running_backend() as running:
        yield running


@pytest.fixture
def connect(tmp_path: Path, backend: FakeBackend) -> Callable[..., AppServer]:
    backend.write_config(tmp_path)

    def make(**arguments: Any) -> AppServer:  # noqa: ANN401 - those of the client
        start = Subprocess(home=tmp_path, env=backend.environ(tmp_path))
        return AppServer(start, token_provider=lambda request: backend.grant().access_token, **arguments)

    return make


def test_an_option_that_there_is_not_is_an_error_that_lists_those_that_there_are(
    connect: Callable[..., AppServer],
) -> None:
    with connect() as server:
        misspelt: dict[str, Any] = {"modle": "another"}
        for call in (server.threads.start, server.threads.list, server.threads.start().run):
            with pytest.raises(TypeError, match=r"no option 'modle'; there are .*\bcwd\b"):
                call(*(["Hello"] if "run" in call.__name__ else []), **misspelt)


def test_it_signs_in_runs_and_streams(connect: Callable[..., AppServer], backend: FakeBackend) -> None:
    with connect() as server:
        assert isinstance(server.account.read().account, types.ChatgptAccount)
        thread = server.threads.start(model="another")
        assert thread.run("Hello").final_response == "You said: Hello"
        backend.script(text("one ", "two"))
        deltas = [
            note.delta for note in thread.stream("count") if isinstance(note, types.AgentMessageDeltaNotification)
        ]
        assert deltas == ["one ", "two"]
        backend.script(text('{"city": "Bern", "degrees": 3}'))
        assert thread.run("The weather?", output_type=Weather).output.degrees == 3
        assert server.request("account/read")["account"]["type"] == "chatgpt"


def test_it_steers_and_interrupts(connect: Callable[..., AppServer], backend: FakeBackend) -> None:
    gate = Gate()
    backend.script(stalled(gate, "first "), text("steered"))
    with connect() as server:
        turn = server.threads.start().turn("go")
        gate.reached.wait_blocking()
        turn.steer("and this")
        gate.release()
        assert [type(note) for note in turn.stream()][-1] is types.TurnCompletedNotification
        assert turn.run().final_response == "steered"
        backend.script(stalled(Gate(), "never "))
        turn = server.threads.start().turn("go")
        turn.interrupt()
        with pytest.raises(client.TurnInterrupted):
            turn.run()


def test_it_runs_tools_that_use_the_client_themselves(connect: Callable[..., AppServer], backend: FakeBackend) -> None:
    with connect() as server:

        @tool
        def ask(question: str) -> str:
            """Ask another model."""
            return server.threads.start().run(question).final_response or ""

        backend.script(output(function_call("ask", {"question": "Why?"})))
        thread = server.threads.start(tools=[ask])
        thread.run("Ask.")
    assert "You said: Why?" in backend.requests[-1].body.decode()


def test_it_listens(connect: Callable[..., AppServer]) -> None:
    with connect() as server, server.notifications(types.TurnCompletedNotification) as ends:
        thread = server.threads.start()
        thread.run("Hello")
        assert ends.next().thread_id == thread.id
        thread.run("Hello")
        assert next(iter(ends)).turn.status == "completed"
        with pytest.raises(TimeoutError):
            ends.next(timeout=0.05)


def test_it_answers_requests_with_functions_that_may_block(
    connect: Callable[..., AppServer], backend: FakeBackend
) -> None:
    seen: list[object] = []

    def answer(params: dict[str, Any]) -> dict[str, Any]:
        seen.append(threading.current_thread() is threading.main_thread())
        return {"accessToken": backend.grant().access_token}

    with connect() as server:
        server.on_request("account/chatgptAuthTokens/refresh", answer)
        thread = server.threads.start()
        backend.expire_access_tokens()
        assert thread.run("Hello").final_response == "You said: Hello"
    assert seen == [False]


def test_it_outlives_its_server(connect: Callable[..., AppServer], backend: FakeBackend) -> None:
    gate = Gate()
    with connect(restart=RestartPolicy(first_delay=0.01)) as server:
        thread = server.threads.start()
        backend.script(stalled(gate, "Hel"))
        turn = thread.turn("Hello")
        gate.reached.wait_blocking()
        assert server.process_id is not None
        kill_by_id(server.process_id)
        with pytest.raises(TurnLost):
            turn.run()
        assert thread.run("Again").final_response == "You said: Again"


def test_it_signs_in_with_a_device_code(tmp_path: Path, backend: FakeBackend) -> None:
    backend.write_config(tmp_path)
    with AppServer(Subprocess(home=tmp_path, env=backend.environ(tmp_path))) as server:
        login = server.account.login_device_code()
        assert login.user_code
        assert login.wait().success


def test_any_number_of_threads_use_it(connect: Callable[..., AppServer]) -> None:
    said: dict[int, str | None] = {}
    with connect() as server:

        def run(number: int) -> None:
            said[number] = server.threads.start().run(f"number {number}").final_response

        workers = [threading.Thread(target=run, args=(number,)) for number in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert said == {number: f"You said: number {number}" for number in range(8)}


def test_outside_its_block_it_says_so(connect: Callable[..., AppServer]) -> None:
    server = connect()
    with pytest.raises(ServerGone, match="`with` block"):
        server.account.read()
    with server:
        thread = server.threads.start()
    with pytest.raises(ServerGone, match="`with` block"):
        thread.run("Hello")


def test_what_goes_wrong_at_the_start_comes_out_as_it_is() -> None:
    def provide(request: TokenRequest) -> str:
        raise LookupError("no vault")

    with (
        pytest.raises(ServerGone, match="no-such-command could not be started"),
        AppServer(Subprocess(["no-such-command"])),
    ):
        raise AssertionError
    with pytest.raises(LookupError, match=r"^no vault$"), AppServer(token_provider=provide):
        raise AssertionError


def test_an_exception_in_the_block_comes_out_as_it_is(connect: Callable[..., AppServer]) -> None:
    with pytest.raises(LookupError, match=r"^as it is$"), connect():
        raise LookupError("as it is")


@pytest.mark.parametrize("name", FACES)
def test_each_class_has_the_public_methods_of_its_asynchronous_twin(name: str) -> None:
    twin = {**vars(client.account), **vars(client.threads), **vars(client.methods), **vars(client)}[name]
    own = getattr(blocking, name.removeprefix("Async"))
    supervised = {"introduce", "lost", "restarted", "gone"}
    public = {one for one, value in inspect.getmembers(twin) if inspect.isfunction(value) and not one.startswith("_")}
    assert public - supervised <= set(dir(own))
    for method in public - supervised:
        assert list(inspect.signature(getattr(own, method)).parameters) == list(
            inspect.signature(getattr(twin, method)).parameters
        )


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT goes to the whole console there")
def test_ctrl_c_ends_a_wait_and_the_server(tmp_path: Path, backend: FakeBackend) -> None:
    backend.write_config(tmp_path)
    gate = Gate()
    backend.script(stalled(gate, "Hel"))
    script = f"""
from appserver.client import AppServer, Subprocess
try:
    start, token = Subprocess(home={str(tmp_path)!r}), {backend.grant().access_token!r}
    with AppServer(start, token_provider=lambda _: token) as server:
        server.threads.start().run("Hello")
except KeyboardInterrupt:
    print("interrupted")
"""
    environ = {**os.environ, **backend.environ(tmp_path)}
    process = subprocess.Popen([sys.executable, "-c", script], env=environ, stdout=subprocess.PIPE, text=True)
    gate.reached.wait_blocking()
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[0] == "interrupted\n"
