"""Values for the fuzz: those that a JSON Schema allows, and those that nobody expects."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

KEPT = 25
"""Ids that are remembered of each kind: enough to meet again what was made, few enough that it gets a past."""

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53 + 1, -(2**63), 2**64, 10**400, 0.5, -0.0, 1e308, 5e-324,
    "", " ", "x", "0", "null", "\x00", "\ud800", "\udfff\ud800", "\u2028", "\U0001f600", "e\u0301", "\r\n", "%s{}",
    "../../..", "/", "C:\\nul", "a\x00.png", "\ud800.png", "x" * 10_000, "'; DROP TABLE threads; --",
    [], {}, [[]], [None], {"": None}, {"__class__": 1}, {"type": "text"}, {"threadId": []},
)  # fmt: skip

MEMBERS = ("threadId", "type", "id", "method", "params", "jsonrpc", "self", "then", "", "__proto__", "\ud800", "config")


class Values:
    """Makes values from one source of randomness.

    By a member's name, `known` is what it may well be, and `live` what fits together: a turn that runs, and its thread.
    """

    def __init__(self, random: Random, definitions: Mapping[str, Any]) -> None:
        self._random = random
        self._definitions = definitions
        self.known: dict[str, deque[str]] = {}
        self.live: dict[str, str] = {}
        self.use_live = False

    def learn(self, member: str, value: str) -> None:
        """Remember a value for the members of this name."""
        self.known.setdefault(member, deque(maxlen=KEPT)).append(value)

    def fitting(self, schema: Mapping[str, Any], member: str = "") -> Any:  # noqa: ANN401 - JSON
        """Make a value that a schema allows."""
        random = self._random
        while "$ref" in schema:
            schema = self._definitions[schema["$ref"].rpartition("/")[2]]
        if choices := schema.get("anyOf") or schema.get("oneOf"):
            return self.fitting(random.choice(choices), member)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return random.choice(schema["enum"])
        make: Mapping[str, Callable[[], Any]] = {
            "object": lambda: self._object(schema),
            "array": lambda: [
                self.fitting(schema.get("items", {}), member) for _ in range(random.choice((0, 1, 1, 2)))
            ],
            "string": lambda: self._text(member),
            "integer": lambda: random.choice((0, 1, 2, 25, 100, 2**31, random.randrange(1000))),
            "number": lambda: random.choice((0, 0.5, 1, 1e9)),
            "boolean": lambda: random.random() < 0.5,
            "null": lambda: None,
        }
        return make.get(schema.get("type", ""), self.odd)()

    def odd(self) -> Any:  # noqa: ANN401 - JSON
        """Make a value of any type and size, seldom a deep one."""
        random = self._random
        match random.randrange(20):
            case 0:
                return self.deep(random.choice((5, 60)))
            case 1 | 2:
                return [self.odd() for _ in range(random.randrange(4))]
            case 3 | 4:
                return {random.choice(MEMBERS): self.odd() for _ in range(random.randrange(4))}
            case _:
                return random.choice(ODD)

    def deep(self, levels: int) -> Any:  # noqa: ANN401 - JSON
        """Make a value that is nested so deeply."""
        value: Any = self._random.choice(ODD[:10])
        for _ in range(levels):
            value = [value] if self._random.random() < 0.5 else {self._random.choice(MEMBERS): value}
        return value

    def mutated(self, value: Any) -> Any:  # noqa: ANN401 - JSON
        """Change something in a value: itself, one of its members, or which it has."""
        random = self._random
        if isinstance(value, dict) and value and random.random() < 0.9:
            name = random.choice(list(value))
            match random.randrange(8):
                case 0:
                    return {member: inner for member, inner in value.items() if member != name}
                case 1:
                    return {**value, random.choice(MEMBERS): self.odd()}
                case 2:
                    return {**value, name: [value[name]]}
                case _:
                    return {**value, name: self.mutated(value[name])}
        if isinstance(value, list) and value and random.random() < 0.8:
            place = random.randrange(len(value))
            return [*value[:place], self.mutated(value[place]), *value[place + random.randrange(2) :]]
        return self.odd()

    def _object(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        required = schema.get("required", ())
        members = schema.get("properties", {})
        found = {
            name: self.fitting(inner, name)
            for name, inner in members.items()
            if name in required or self._random.random() < 0.3
        }
        if not members and schema.get("additionalProperties"):
            found[self._random.choice(MEMBERS)] = self.odd()
        return found

    def _text(self, member: str) -> str:
        if self.use_live and member in self.live:
            return self.live[member]
        if member in self.known and self._random.random() < 0.85:
            return self._random.choice(self.known[member])
        return self._random.choice(("text", "one two", "", "\U0001f600", "\ud800", "x" * 300))
