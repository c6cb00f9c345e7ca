"""The client's tools as they are written down: functions in namespaces, and names that the backend takes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.errors import InvalidParams
from appserver.turns.tool_definitions import checked, definitions, names_of


def function(name: str, **members: object) -> Any:  # noqa: ANN401 - a tool
    return {"type": "function", "name": name, "description": "d", "inputSchema": {"type": "object"}, **members}


def space(name: str, *tools: object) -> Any:  # noqa: ANN401 - a tool
    return {"type": "namespace", "name": name, "description": "mine", "tools": list(tools)}


def test_functions_that_name_a_namespace_are_put_into_it() -> None:
    found = checked([function("a", namespace="ns"), function("b"), function("c", namespace="ns")])
    assert [(one["type"], one["name"]) for one in found] == [("namespace", "ns"), ("function", "b")]
    assert definitions(found)[0]["description"] == "Tools in the ns namespace."
    assert names_of(found) == {("ns", "a"), ("ns", "c"), (None, "b")}


def test_a_namespace_takes_the_functions_that_name_it_and_keeps_its_description() -> None:
    found = checked([space("ns", function("a")), function("b", namespace="ns")])
    assert [(one["name"], one["description"]) for one in found] == [("ns", "mine")]
    assert names_of(found) == {("ns", "a"), ("ns", "b")}


@pytest.mark.parametrize("namespace", [None, ""])
def test_a_namespace_without_a_name_is_none(namespace: str | None) -> None:
    assert names_of(checked([function("a", namespace=namespace)])) == {(None, "a")}


@pytest.mark.parametrize("tool", [function("no spaces"), function("ü"), function(""), function("a", namespace="a.b")])
def test_a_name_that_the_backend_would_refuse_is_refused(tool: Any) -> None:  # noqa: ANN401 - a tool
    with pytest.raises(InvalidParams, match="dynamic tool name must match"):
        checked([tool])


@pytest.mark.parametrize(
    "tools",
    [
        [function("a"), function("a")],
        [function("a", namespace="ns"), function("a", namespace="ns")],
        [space("ns", function("a"), function("a"))],
    ],
)
def test_a_name_that_comes_twice_is_refused(tools: Any) -> None:  # noqa: ANN401 - tools
    with pytest.raises(InvalidParams, match="duplicate dynamic tool name: a"):
        checked(tools)


def test_one_name_may_stand_in_several_namespaces() -> None:
    assert len(names_of(checked([function("a"), function("a", namespace="x"), function("a", namespace="y")]))) == 3


NAMES = st.from_regex(r"[a-zA-Z0-9_-]{1,8}", fullmatch=True)


@given(st.lists(st.tuples(st.none() | NAMES, NAMES), unique=True))
def test_no_tool_is_lost_and_checking_twice_changes_nothing(names: list[tuple[str | None, str]]) -> None:
    found = checked([function(name, namespace=namespace) for namespace, name in names])
    assert names_of(found) == set(names)
    assert checked(found) == found
