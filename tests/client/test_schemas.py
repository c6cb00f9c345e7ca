"""Strict schemas of what a model is to say."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from appserver.client.schemas import output_schema, read_output


class Place(BaseModel):
    name: str
    code: str = Field(default="x", title="Code", description="what it is called in lists")


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]
    place: Annotated[Place, Field(description="where it lives")]


class Answer(BaseModel):
    """The whole answer."""

    default: Place
    pets: list[Annotated[Cat | Dog, Field(discriminator="kind")]]
    note: str | None = None
    pair: tuple[int, Place]


class Tree(BaseModel):
    children: list[Tree] = []


class Row(TypedDict):
    a: int


def objects(schema: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - JSON
    if isinstance(schema, list):
        return [one for part in schema for one in objects(part)]
    if not isinstance(schema, dict):
        return []
    found = [schema] if schema.get("type") == "object" else []
    return found + [one for part in schema.values() for one in objects(part)]


@pytest.mark.parametrize("kind", [Answer, Tree, Row, Place])
def test_every_member_is_required_and_no_other_allowed(kind: type[Any]) -> None:
    schema = output_schema(kind)
    assert schema["type"] == "object"
    assert objects(schema)
    for one in objects(schema):
        assert one["additionalProperties"] is False
        assert one["required"] == list(one["properties"])
    assert '"default":' not in str(schema)


def test_what_backends_do_not_take_is_left_out_and_descriptions_stay() -> None:
    schema = output_schema(Answer)
    assert schema["description"] == "The whole answer."
    assert schema["$defs"]["Place"]["properties"]["code"] == {
        "type": "string",
        "description": "what it is called in lists",
    }
    assert schema["$defs"]["Dog"]["properties"]["place"] == {"$ref": "#/$defs/Place"}
    assert set(schema["properties"]["pets"]["items"]) == {"anyOf"}
    assert "default" in schema["properties"]  # a member that has this name


@pytest.mark.parametrize("kind", [int, list[int], dict[str, int]])
def test_what_is_no_object_with_named_members_is_refused(kind: type[Any]) -> None:
    with pytest.raises(TypeError):
        output_schema(kind)


class Loose(BaseModel):
    extra: dict[str, int]


def test_an_object_with_any_member_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="Loose has an object that may have any member"):
        output_schema(Loose)


def test_output_is_read_as_the_type() -> None:
    assert read_output(Place, '{"name": "A"}') == Place(name="A")
    assert read_output(Row, '{"a": 1}') == {"a": 1}
    with pytest.raises(ValueError, match="Place"):
        read_output(Place, "{}")
