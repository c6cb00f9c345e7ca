"""Tools as Python functions: what the model is told of them, and what becomes of calls."""

from __future__ import annotations

import enum
import threading
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from pydantic import BaseModel, Field

from appserver.client import Tool, ToolCall, tool
from appserver.client.tools import Toolbox, content
from appserver.client.types import DynamicToolCallItem, DynamicToolCallParams, ToolImage, ToolText
from appserver.testing import function_call, output, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from appserver.client import AsyncAppServer
    from appserver.testing import FakeBackend
    from tests.client.conftest import Connect

pytestmark = pytest.mark.anyio


class State(enum.Enum):
    OPEN = "open"
    CLOSED = "closed"


class Person(BaseModel):
    name: str
    age: int = 0


def call(function: Tool[..., Any], **arguments: object) -> DynamicToolCallParams:
    return DynamicToolCallParams("t", "u", "c", function.namespace, function.name, arguments)


@tool
def lookup(ticket: str, deep: bool = False) -> str:
    """Look up a ticket.

    Of the tracker.
    """
    return f"{ticket} is open{' indeed' if deep else ''}"


def test_name_description_and_schema_come_from_the_function() -> None:
    assert lookup.to_wire() == {
        "type": "function",
        "name": "lookup",
        "description": "Look up a ticket.\n\nOf the tracker.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "ticket": {"type": "string", "title": "Ticket"},
                "deep": {"type": "boolean", "title": "Deep", "default": False},
            },
            "required": ["ticket"],
            "additionalProperties": False,
        },
    }


def test_a_tool_is_still_a_function() -> None:
    assert lookup("A") == "A is open"
    assert str(lookup.__doc__).startswith("Look up")


def test_what_the_decorator_says_wins_and_annotations_describe() -> None:
    @tool(name="find", description="Finds.", namespace="crm")
    def search(what: Annotated[str, Field(description="who to look for", max_length=5)]) -> str:
        return what

    definition = search.to_wire()
    assert (definition["name"], definition["description"], definition["namespace"]) == ("find", "Finds.", "crm")
    assert definition["inputSchema"]["properties"]["what"]["description"] == "who to look for"


async def test_arguments_arrive_as_the_types_that_were_declared() -> None:
    seen: list[object] = []

    @tool
    def note(person: Person, state: State, several: list[Person], schema: str = "x", copy: int = 1) -> None:
        seen.extend([person, state, several, schema, copy])

    given = {"person": {"name": "A"}, "state": "closed", "several": [{"name": "B", "age": 3}], "copy": 2}
    result = await note.run(call(note, **given))
    assert result == {"contentItems": [{"type": "inputText", "text": "null"}], "success": True}
    assert seen == [Person(name="A"), State.CLOSED, [Person(name="B", age=3)], "x", 2]


async def test_a_function_that_may_block_runs_in_a_thread_and_a_coroutine_in_the_loop() -> None:
    @tool
    def blocking() -> str:
        return str(threading.current_thread() is threading.main_thread())

    @tool
    async def waiting() -> str:
        return str(threading.current_thread() is threading.main_thread())

    assert (await blocking.run(call(blocking)))["contentItems"][0]["text"] == "False"
    assert (await waiting.run(call(waiting)))["contentItems"][0]["text"] == "True"


async def test_the_call_itself_is_filled_in_and_the_model_is_not_told_of_it() -> None:
    @tool
    def where(what: str, made: ToolCall) -> str:
        return f"{what} {made.thread_id} {made.turn_id} {made.call_id}"

    assert list(where.input_schema["properties"]) == ["what"]
    assert (await where.run(call(where, what="x")))["contentItems"][0]["text"] == "x t u c"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [({}, "ticket"), ({"ticket": "A", "colour": "red"}, "colour"), ({"ticket": ["A"]}, "valid string")],
)
async def test_arguments_that_do_not_fit_are_told_to_the_model(arguments: dict[str, object], told: str) -> None:
    result = await lookup.run(call(lookup, **arguments))
    assert not result["success"]
    assert told in result["contentItems"][0]["text"]


@pytest.mark.parametrize(
    ("failure", "told"), [(LookupError("no such ticket"), "no such ticket"), (OSError(), "OSError")]
)
async def test_what_a_tool_raises_is_told_to_the_model_and_its_words_are_not_logged(
    failure: Exception, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    @tool
    def fail() -> str:
        raise failure

    caplog.set_level("DEBUG")
    assert await fail.run(call(fail)) == {"contentItems": [{"type": "inputText", "text": told}], "success": False}
    assert "no such ticket" not in caplog.text


@pytest.mark.parametrize(
    ("returned", "shown"),
    [
        ("text", ["text"]),
        (3, ["3"]),
        ({"a": [1]}, ['{"a": [1]}']),
        (Person(name="Ä"), ['{"name": "Ä", "age": 0}']),
        ([Person(name="B")], ['[{"name": "B", "age": 0}]']),
        (ToolText("plain"), ["plain"]),
        ([ToolText("one"), ToolText("two")], ["one", "two"]),
        ([], ["[]"]),
    ],
)
def test_what_a_tool_returns_becomes_content(returned: object, shown: list[str]) -> None:
    assert [part["text"] for part in content(returned)] == shown


def test_an_image_is_content() -> None:
    assert content(ToolImage("data:,")) == [{"type": "inputImage", "imageUrl": "data:,"}]


async def test_what_cannot_be_written_as_json_is_a_failed_result() -> None:
    @tool
    def odd() -> object:
        return object()

    assert not (await odd.run(call(odd)))["success"]


def test_parameters_without_names_are_refused() -> None:
    @tool
    def several(*parts: str) -> str:
        return "".join(parts)

    with pytest.raises(TypeError, match="a tool's parameters have names"):
        several.to_wire()


def test_a_threads_own_tool_comes_before_the_clients() -> None:
    @tool(name="lookup")
    def another(ticket: str) -> str:
        return ticket

    box = Toolbox([lookup])
    box.add("t", [another])
    assert box.find("t", None, "lookup") is another
    assert box.find("u", None, "lookup") is lookup
    box.forget("t")
    assert box.find("t", None, "lookup") is lookup
    assert box.find("t", "crm", "lookup") is None


async def test_the_model_calls_tools_and_goes_on_with_what_they_say(connect: Connect, backend: FakeBackend) -> None:
    @tool
    async def fail(n: int) -> str:
        raise LookupError(f"no {n}")

    backend.script(
        output(function_call("lookup", {"ticket": "A"}), function_call("fail", {"n": 1}, "call-2")), text("It is open.")
    )
    async with connect(tools=[lookup]) as server:
        thread = await server.threads.start(tools=[fail])
        result = await thread.run("Is A open?")
    calls = {item.tool: item for item in result.items if isinstance(item, DynamicToolCallItem)}
    assert result.final_response == "It is open."
    assert calls["lookup"].success
    assert calls["lookup"].content_items == [ToolText("A is open")]
    assert not calls["fail"].success
    assert calls["fail"].content_items == [ToolText("no 1")]


async def test_a_tool_without_a_function_is_a_failed_call(client: AsyncAppServer, backend: FakeBackend) -> None:
    backend.script(output(function_call("elsewhere", {})), text("Well."))
    definition = {"name": "elsewhere", "description": "Not here.", "inputSchema": {"type": "object"}}
    thread = await client.threads.start(tools=[definition])
    result = await thread.run("Go")
    assert [item.success for item in result.items if isinstance(item, DynamicToolCallItem)] == [False]


async def test_tools_of_a_thread_are_let_go_of_with_it(client: AsyncAppServer) -> None:
    thread = await client.threads.start(tools=[lookup])
    thread_id, found = thread.id, client.toolbox.find
    assert found(thread_id, None, "lookup") is lookup
    del thread
    assert found(thread_id, None, "lookup") is None


async def test_a_partial_and_an_object_can_be_tools() -> None:
    class Greeter:
        __name__ = "greet"

        async def __call__(self, name: str) -> str:
            return f"Hello {name}"

    function: Callable[..., Any] = Greeter()
    greet: Tool[..., Any] = Tool(function, None, "Greets.", None)
    assert greet.name == "greet"
