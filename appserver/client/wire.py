"""From JSON to the classes of `types/`, and back.

What is not known is kept: members that a class does not have are passed over, a member of a tagged union with another
tag is an `Unknown`, a notification of another method or shape an `UnknownNotification`. So a client works with a newer
server. Knows no class of `types/` by name.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from types import NoneType, UnionType
from typing import Any, ClassVar, Self, TypeVar, Union, cast, get_args, get_origin

from appserver.client.errors import ServerGone
from protocol.names import camel, snake

T = TypeVar("T")

Decoder = Callable[[Any], Any]


class Data:
    """An object on the wire. Its attributes are the members, in snake case."""

    wire_names: ClassVar[Mapping[str, str]] = {}
    """The members whose names are not the attribute's in camel case."""

    @classmethod
    def from_wire(cls, value: object) -> Self:
        """Read JSON. Raises ServerGone where a member is missing: the server does not speak the protocol."""
        return decode(cls, value)

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON of it. A member that may be left out and is None is left out."""
        return _encoded(self)


class Notification(Data):
    """Something that the server tells. `method` is its name on the wire."""

    method: ClassVar[str]


@dataclass(frozen=True)
class Unknown(Data):
    """A member of a tagged union that this version does not know: `raw` is the JSON."""

    type: str
    raw: dict[str, Any]

    def to_wire(self) -> dict[str, Any]:
        """Return it as it came."""
        return self.raw


@dataclass(frozen=True)
class UnknownNotification(Notification):
    """A notification that this version does not know, or that does not have the shape of its class."""

    method: str  # type: ignore[misc] # of the object here, of the class elsewhere
    params: dict[str, Any]

    def to_wire(self) -> dict[str, Any]:
        """Return the params as they came."""
        return self.params


def decode(kind: type[T], value: object) -> T:
    """Read JSON as a type. Raises ServerGone where it does not have that shape."""
    try:
        decoded: T = _decoder(cast(Hashable, kind))(value)
    except WrongShape as exc:
        raise ServerGone(f"The app-server does not speak the protocol: {exc}") from None
    return decoded


def encode(value: object) -> Any:  # noqa: ANN401 - JSON
    """Return the JSON of what may have objects of our classes in it."""
    if hasattr(value, "to_wire"):
        return encode(value.to_wire())
    if isinstance(value, Mapping):
        return {name: encode(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [encode(one) for one in value]
    return value


class WrongShape(Exception):
    """Says in words what is missing."""


def _encoded(data: Data) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if isinstance(tag := getattr(data, "type", None), str):
        found["type"] = tag
    for one in fields(data):  # type: ignore[arg-type] # every subclass is a dataclass
        value = getattr(data, one.name)
        if value is not None or one.default is MISSING:
            found[data.wire_names.get(one.name) or camel(one.name)] = encode(value)
    return found


@cache
def _decoder(kind: Any) -> Decoder:  # noqa: ANN401 - a type expression
    """Return what reads a type. Scalars are taken as they come: their types are the server's promise."""
    if isinstance(kind, type) and issubclass(kind, Data):
        return _object_decoder(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _union_decoder([one for one in arguments if one is not NoneType])
    if origin is list and (one := _decoder(arguments[0])) is not _as_it_is:
        return lambda value: [one(element) for element in value] if isinstance(value, list) else _wrong("a list")
    if origin is dict and (one := _decoder(arguments[1])) is not _as_it_is:
        return lambda value: {k: one(v) for k, v in value.items()} if isinstance(value, dict) else _wrong("an object")
    return _as_it_is


def _as_it_is(value: object) -> object:
    return value


def _wrong(expected: str) -> object:
    raise WrongShape(f"{expected} is missing")


def _object_decoder(kind: type[Data]) -> Decoder:
    members = {one.name: _decoder(one.type) for one in fields(kind)}  # type: ignore[arg-type] # it is a dataclass
    required = [one.name for one in fields(kind) if one.default is MISSING]  # type: ignore[arg-type]

    def read(value: object) -> Data:
        if not isinstance(value, dict):
            raise WrongShape(f"there is no {kind.__name__}")
        found = {}
        for wire, one in value.items():
            if (decoder := members.get(name := snake(wire))) is not None:
                found[name] = one if decoder is _as_it_is else decoder(one)
        for name in required:
            if name not in found:
                raise WrongShape(f"there is no {camel(name)} in {kind.__name__}")
        return kind(**found)

    return read


def _union_decoder(options: list[Any]) -> Decoder:
    """Read one of several types: objects are told apart by their tag, or there is only one class of them."""
    classes = [one for one in options if isinstance(one, type) and issubclass(one, Data) and one is not Unknown]
    if not classes:
        others = [one for option in options if (one := _decoder(option)) is not _as_it_is]
        return _unless_none(others[0]) if others else _as_it_is
    tagged = {tag: _object_decoder(one) for one in classes if isinstance(tag := getattr(one, "type", None), str)}
    only = None if tagged else _object_decoder(classes[0])

    def read(value: object) -> object:
        if not isinstance(value, dict):
            return value
        decoder = only or tagged.get(value.get("type", ""))
        return decoder(value) if decoder else Unknown(str(value.get("type")), value)

    return read


def _unless_none(decoder: Decoder) -> Decoder:
    return lambda value: None if value is None else decoder(value)
