"""The client against the real server as a subprocess."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from pydantic import BaseModel

from appserver import client as public
from appserver.client import (
    AsyncAppServer,
    OutputInvalid,
    ServerError,
    ServerGone,
    StreamOverflow,
    Subprocess,
    TurnFailed,
    TurnInterrupted,
    image,
    types,
)
from appserver.client.streams import NotificationStream, Told
from appserver.testing import Gate, http_error, message, output, reasoning, stalled, text
from tests.client.test_connection import odd

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.client.conftest import Connect

pytestmark = pytest.mark.anyio


class Weather(BaseModel):
    """What the model is to say."""

    city: str
    degrees: int = 0


async def test_the_handshake_tells_who_the_server_is(connect: Connect, home: Path) -> None:
    async with connect(client_info={"name": "app", "version": "7"}) as server:
        assert server.info.codex_home == str(home)
        assert server.info.user_agent.startswith("app/")


async def test_capabilities_go_into_the_handshake(connect: Connect) -> None:
    unwanted = {"optOutNotificationMethods": ["item/agentMessage/delta"]}
    async with connect(capabilities=unwanted) as server:
        thread = await server.threads.start()
        kinds = {type(note) async for note in thread.stream("Hello")}
    assert types.ItemCompletedNotification in kinds
    assert types.AgentMessageDeltaNotification not in kinds


async def test_a_method_of_any_name_can_be_called(client: AsyncAppServer) -> None:
    assert (await client.request("account/read"))["account"]["type"] == "chatgpt"
    with pytest.raises(ServerError) as refused:
        await client.request("no/such/method")
    assert refused.value.code == -32601
    assert "no/such/method" in refused.value.message


async def test_error_data_is_kept(client: AsyncAppServer, backend: FakeBackend) -> None:
    gate = Gate()
    backend.script(stalled(gate, "Hel"))
    thread = await client.threads.start()
    turn = await thread.turn("Hello")
    with pytest.raises(ServerError) as refused:
        await client.request("turn/interrupt", {"threadId": thread.id, "turnId": "another"})
    gate.release()
    assert refused.value.data == {"activeTurnId": turn.id}


async def test_a_turn_streams_to_its_completion(client: AsyncAppServer, backend: FakeBackend) -> None:
    backend.script(text("Hel", "lo", "!"))
    thread = await client.threads.start()
    notes = [note async for note in thread.stream("Hello")]
    assert [it.delta for it in notes if isinstance(it, types.AgentMessageDeltaNotification)] == ["Hel", "lo", "!"]
    match notes[-1]:
        case types.TurnCompletedNotification(thread_id=thread_id, turn=types.Turn(status="completed")):
            assert thread_id == thread.id
        case other:
            pytest.fail(str(other))


async def test_run_returns_the_last_message_and_passes_options_on(client: AsyncAppServer, backend: FakeBackend) -> None:
    backend.script(output(reasoning("hm"), message("First. "), message("The ", "end.")))
    thread = await client.threads.start(developer_instructions="Be brief.")
    result = await thread.run("Hello", model="other-model", service_tier=None)
    assert result.final_response == "The end."
    assert [type(item) for item in result.items] == [
        types.UserMessageItem,
        types.ReasoningItem,
        types.AgentMessageItem,
        types.AgentMessageItem,
    ]
    assert result.usage is not None
    sent = backend.requests.to("/v1/responses")[0].json()
    assert sent["model"] == "other-model"
    assert "Be brief." in str(sent["input"])


async def test_a_turn_can_be_streamed_first_and_summed_up_then(client: AsyncAppServer) -> None:
    thread = await client.threads.start()
    turn = await thread.turn("Hello")
    streamed = [note async for note in turn.stream()]
    result = await turn.run()
    assert (result.id, result.final_response) == (turn.id, "You said: Hello")
    assert len([note for note in streamed if isinstance(note, types.ItemCompletedNotification)]) == len(result.items)


async def test_a_failed_turn_is_raised_with_its_facts(client: AsyncAppServer, backend: FakeBackend) -> None:
    backend.script(http_error(400, {"error": {"message": "no such thing", "code": "bad"}}))
    thread = await client.threads.start()
    with pytest.raises(TurnFailed) as failed:
        await thread.run("Hello")
    assert (await thread.run("Again")).final_response == "You said: Again"
    assert failed.value.result.status == "failed"
    assert failed.value.info is not None
    assert failed.value.error is not None
    assert failed.value.message == failed.value.error.message


async def test_a_turn_that_takes_too_long_is_a_timeout(client: AsyncAppServer, backend: FakeBackend) -> None:
    gate = Gate()
    backend.script(stalled(gate, "Hel"))
    thread = await client.threads.start()
    with pytest.raises(TimeoutError, match=r"not completed within 0\.3s"):
        await thread.run("Hello", timeout=0.3)
    gate.release()


async def test_a_turn_is_steered(client: AsyncAppServer, backend: FakeBackend) -> None:
    gate = Gate()
    backend.script(stalled(gate, "first ", "second"), text("steered answer"))
    thread = await client.threads.start()
    turn = await thread.turn("go")
    await gate.reached.wait()
    await turn.steer("and now this")
    gate.release()
    assert (await turn.run()).final_response == "steered answer"
    assert "and now this" in backend.requests[-1].body.decode()


async def test_a_turn_that_is_interrupted_says_so_and_keeps_what_was_said(
    client: AsyncAppServer, backend: FakeBackend
) -> None:
    gate = Gate()
    backend.script(stalled(gate, "never ", "ending"))
    thread = await client.threads.start()
    turn = await thread.turn("go")
    await gate.reached.wait()
    await turn.interrupt()
    with pytest.raises(TurnInterrupted) as interrupted:
        await turn.run()
    assert interrupted.value.result.status == "interrupted"


async def test_turns_side_by_side_do_not_mix(client: AsyncAppServer) -> None:
    said: dict[int, str | None] = {}

    async def run(number: int) -> None:
        thread = await client.threads.start()
        said[number] = (await thread.run(f"number {number}")).final_response

    async with anyio.create_task_group() as tasks:
        for number in range(16):
            tasks.start_soon(run, number)
    assert said == {number: f"You said: number {number}" for number in range(16)}


async def test_a_pydantic_model_is_asked_for_and_read(client: AsyncAppServer, backend: FakeBackend) -> None:
    backend.script(text('{"city": "Bern",', ' "degrees": 3}'))
    thread = await client.threads.start()
    result = await thread.run("The weather?", output_type=Weather)
    assert result.output == Weather(city="Bern", degrees=3)
    sent = backend.requests.to("/v1/responses")[0].json()["text"]["format"]
    assert sent["strict"]
    assert sent["schema"]["required"] == ["city", "degrees"]
    assert sent["schema"]["additionalProperties"] is False


async def test_output_that_is_not_of_the_type_is_an_error_with_the_text(
    client: AsyncAppServer, backend: FakeBackend
) -> None:
    backend.script(text("Sunny."))
    thread = await client.threads.start()
    with pytest.raises(OutputInvalid, match="is no Weather") as wrong:
        await thread.run("The weather?", output_type=Weather)
    assert wrong.value.text == "Sunny."


async def test_images_are_sent(client: AsyncAppServer, backend: FakeBackend, tmp_path: Path) -> None:
    picture = b"\x89PNG\r\n\x1a\n" + bytes(16)
    file = tmp_path / "a.png"
    file.write_bytes(picture)
    thread = await client.threads.start()
    await thread.run(["What is this?", image(picture), image(file), types.MentionInput("notes", "/notes.md")])
    parts = backend.requests.to("/v1/responses")[0].json()["input"][-1]["content"]
    assert [part["type"] for part in parts].count("input_image") == 2


async def test_threads_are_named_listed_forked_archived_and_read(client: AsyncAppServer) -> None:
    thread = await client.threads.start()
    await thread.run("root question")
    await thread.set_name("A name")
    fork = await client.threads.fork(thread.id)
    await fork.run("branch question")
    assert {one.id for one in (await client.threads.list()).data} == {thread.id, fork.id}
    await thread.archive()
    assert [one.id for one in (await client.threads.list(search_term="root")).data] == [fork.id]
    assert (await thread.unarchive()).thread.name == "A name"
    read = await thread.read(include_turns=True)
    assert len(read.thread.turns) == 1
    resumed = await client.threads.resume(fork.id)
    assert (await resumed.run("more")).final_response == "You said: more"


async def test_a_picker_gets_its_models_and_a_panel_the_configuration(client: AsyncAppServer) -> None:
    models = (await client.models.list(limit=2)).data
    assert len(models) == 2
    assert (await client.config.read()).config["model"] == "fake-model"


async def test_the_server_tells_how_it_is(client: AsyncAppServer) -> None:
    assert (await client.diagnostics()).to_wire()


async def test_signing_in_with_a_key_and_out(connect: Connect) -> None:
    async with connect(token_provider=None) as server, server.notifications(types.AccountUpdatedNotification) as told:
        await server.account.login_api_key("sk-test-key")
        assert (await told.next()).auth_mode == "apikey"
        assert isinstance((await server.account.read()).account, types.ApiKeyAccount)
        await server.account.logout()
        assert (await told.next()).auth_mode is None


async def test_signing_in_with_tokens_by_hand(connect: Connect, backend: FakeBackend) -> None:
    async with connect(token_provider=None) as server:
        await server.account.login_tokens(backend.grant().access_token)
        account = (await server.account.read()).account
    assert account == types.ChatgptAccount("user@example.com", "pro")


async def test_signing_in_with_a_device_code(connect: Connect) -> None:
    async with connect(token_provider=None) as server:
        login = await server.account.login_device_code()
        assert login.user_code
        assert login.verification_url.startswith("http")
        assert (await login.wait()).success
        assert isinstance((await server.account.read()).account, types.ChatgptAccount)


@pytest.mark.usefixtures("callback_ports")
async def test_signing_in_with_a_browser_and_giving_up(connect: Connect) -> None:
    async with connect(token_provider=None) as server, httpx.AsyncClient(follow_redirects=True) as browser:
        login = await server.account.login_chatgpt()
        assert (await login.cancel()).status == "canceled"
        assert not (await login.wait()).success
        login = await server.account.login_chatgpt()
        assert (await browser.get(login.auth_url)).status_code == 200
        assert (await login.wait()).success


async def test_a_stream_has_only_the_classes_and_the_thread_it_asked_for(client: AsyncAppServer) -> None:
    mine, other = await client.threads.start(), await client.threads.start()
    async with client.notifications(types.TurnCompletedNotification, thread_id=mine.id) as ends:
        await other.run("Hello")
        await mine.run("Hello")
        assert (await ends.next()).thread_id == mine.id
        with pytest.raises(TimeoutError, match="no notification within"):
            await ends.next(timeout=0.05)


async def test_a_server_that_ends_at_once_is_told_with_its_exit_code(home: Path, backend: FakeBackend) -> None:
    environ = {**backend.environ(home), "APPSERVER_LOG": "no level"}
    with pytest.raises(ServerGone, match="exit code 2"):
        async with AsyncAppServer(Subprocess(env=environ)):
            raise AssertionError


async def test_the_home_and_overrides_are_those_that_were_given(tmp_path: Path) -> None:
    async with AsyncAppServer(Subprocess(home=tmp_path, config=['model="another"'])) as server:
        assert server.info.codex_home == str(tmp_path)
        assert (await server.config.read()).config["model"] == "another"


async def test_an_exception_in_the_block_comes_out_as_it_is(connect: Connect) -> None:
    with pytest.raises(LookupError, match=r"^as it is$"):
        async with connect():
            raise LookupError("as it is")


async def test_cancelling_the_block_ends_the_server(connect: Connect) -> None:
    with anyio.CancelScope() as scope:
        async with connect():
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught


async def test_a_client_that_is_not_open_says_so_and_one_that_was_closed_too(connect: Connect) -> None:
    client = connect()
    with pytest.raises(ServerGone, match="`async with` block"):
        await client.account.read()
    async with client as server, anyio.create_task_group() as tasks:
        stream = server.notifications(types.ThreadArchivedNotification)
        stream.open()
        tasks.cancel_scope.cancel()
    with pytest.raises(ServerGone, match="client was closed"):
        await client.account.read()
    with pytest.raises(ServerGone, match="client was closed"):
        await stream.next()


async def test_a_client_can_be_opened_again(connect: Connect) -> None:
    client = connect()
    for _ in range(2):
        async with client as server:
            assert (await server.account.read()).account is not None


async def test_params_that_are_no_json_are_refused_before_they_are_sent(client: AsyncAppServer) -> None:
    with pytest.raises(ValueError, match="JSON"):
        await client.request("thread/start", {"cwd": float("nan")})
    assert await client.request("account/read")


async def test_a_stream_that_nobody_reads_delivers_what_it_holds_and_then_says_so() -> None:
    stream = NotificationStream[Any](set(), lambda method, params: True, max_buffered=2)
    for number in range(4):
        stream.put(Told("n", {"number": number}))
    assert [(await stream.next()).to_wire()["number"] for _ in range(2)] == [0, 1]
    for _ in range(2):
        with pytest.raises(StreamOverflow, match="2 notifications"):
            await stream.next()


async def test_a_notification_of_another_shape_is_told_as_it_came() -> None:
    strange = 'send(method="turn/completed", params={"threadId": "t"})'
    async with odd("receive()", strange, "receive()") as server, server.notifications() as stream:
        await server.notify("go")
        assert await stream.next() == types.UnknownNotification("turn/completed", {"threadId": "t"})


async def test_a_turn_whose_end_is_told_before_its_start_is_answered_is_complete() -> None:
    turn = (
        "{'id': 'u', 'items': [], 'itemsView': 'full', 'status': 'completed', 'error': None, 'startedAt': None,"
        "'completedAt': None, 'durationMs': None}"
    )
    async with odd(
        "start = receive()",
        f"thread = {{name: '' for name in {sorted(types.Thread.__dataclass_fields__)}}}",
        "import re",
        "thread = {re.sub('_(.)', lambda m: m[1].upper(), name): value for name, value in thread.items()}",
        "thread |= {'id': 't', 'turns': [], 'status': {'type': 'idle'}}",
        "sandbox = {'type': 'readOnly'}",
        "rest = dict.fromkeys(['model', 'modelProvider', 'serviceTier', 'cwd', 'approvalPolicy', 'approvalsReviewer'])",
        "rest |= dict.fromkeys(['reasoningEffort', 'instructionSources', 'runtimeWorkspaceRoots'])",
        "send(id=start['id'], result={'thread': thread, 'sandbox': sandbox, **rest})",
        "start = receive()",
        f"send(method='turn/completed', params={{'threadId': 't', 'turn': {turn}}})",
        f"send(id=start['id'], result={{'turn': {turn}}})",
        "sys.stdin.read()",
    ) as server:
        thread = await server.threads.start()
        result = await thread.run("Hello")
        assert not server.open_streams
    assert (result.id, result.final_response) == ("u", None)


@pytest.mark.parametrize("name", public.__all__)
def test_what_is_public_is_typed_and_documented(name: str) -> None:
    its = getattr(public, name)
    if not (inspect.isclass(its) or inspect.isfunction(its)):
        return  # an alias: the string below it documents it
    assert inspect.getdoc(its)
    methods = inspect.getmembers(its, inspect.isfunction) if inspect.isclass(its) else [(name, its)]
    for method, function in methods:
        if method.startswith("_") or function.__module__.partition(".")[0] != "appserver":
            continue
        assert inspect.getdoc(function), method
        assert "return" in function.__annotations__, method
