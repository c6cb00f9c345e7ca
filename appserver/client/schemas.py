"""JSON Schema of Python types, for tools and for structured output. Imports pydantic when a schema is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")


def output_schema(kind: type[Any]) -> dict[str, Any]:
    """Return the schema that a model's output must fit: of a pydantic model, or anything that pydantic can read.

    It is strict, as backends want it: every member of an object is required, and no other is allowed. A member with a
    default is required too, as the model has to say something. Raises TypeError for a type that is no JSON object, and
    for one that may have any member: a strict schema cannot say that.
    """
    from pydantic import TypeAdapter  # late: it costs more than the rest of the client

    schema = TypeAdapter[Any](kind).json_schema()
    if "$ref" in schema:  # a type that refers to itself: the root must be an object all the same
        definitions = schema["$defs"]
        schema = {**definitions[schema["$ref"].removeprefix("#/$defs/")], "$defs": definitions}
    if schema.get("type") != "object":
        raise TypeError(f"{_name(kind)} is no JSON object: have a model with it as a member")
    for place in _objects(schema):
        _make_strict(place, _name(kind))
    return schema


def read_output(kind: type[T], text: str) -> T:
    """Read what a model has said as this type. Raises ValueError if it is not."""
    from pydantic import TypeAdapter  # late: see above

    read: T = TypeAdapter(kind).validate_json(text)
    return read


def _objects(value: object) -> Iterator[dict[str, Any]]:
    """Yield every schema in a schema. A property may have any name, so they are walked by place."""
    if not isinstance(value, dict):
        return
    yield value
    for name in ("properties", "$defs"):
        for one in value.get(name, {}).values():
            yield from _objects(one)
    for name in ("anyOf", "oneOf", "allOf", "prefixItems"):
        for one in value.get(name, ()):
            yield from _objects(one)
    for name in ("items", "additionalProperties"):
        yield from _objects(value.get(name))


def _make_strict(schema: dict[str, Any], name: str) -> None:
    schema.pop("default", None)
    schema.pop("title", None)
    schema.pop("discriminator", None)
    if "oneOf" in schema:  # of a tagged union; backends know anyOf
        schema["anyOf"] = schema.pop("oneOf")
    if "$ref" in schema:  # beside a reference nothing is allowed
        reference = schema["$ref"]
        schema.clear()
        schema["$ref"] = reference
    if schema.get("type") == "object":
        if schema.get("additionalProperties") or "properties" not in schema:
            raise TypeError(f"{name} has an object that may have any member: name them")
        schema["additionalProperties"] = False
        schema["required"] = list(schema["properties"])


def _name(kind: object) -> str:
    return getattr(kind, "__name__", str(kind))
