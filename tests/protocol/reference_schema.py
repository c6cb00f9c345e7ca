"""Compares our schema with the reference's, for the methods that both have, and puts the differences into words.

A difference is a line such as "ThreadStartParams: ignores environments, projectId". What a client sends may have
members that we ignore, but must not need more than the reference does; what we send must have what the reference
promises.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from protocol.schema_export import schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Schema = dict[str, Any]

GENERATE_SECONDS = 60

# The reference does not say which method its result types belong to; most follow from the method's name.
RESULT_NAMES = {
    "account/read": "GetAccount",
    "account/login/start": "LoginAccount",
    "account/login/cancel": "CancelLoginAccount",
    "account/logout": "LogoutAccount",
    "account/rateLimits/read": "GetAccountRateLimits",
    "account/usage/read": "GetAccountTokenUsage",
    "account/chatgptAuthTokens/refresh": "ChatgptAuthTokensRefresh",
    "item/tool/call": "DynamicToolCall",
    "thread/inject_items": "ThreadInjectItems",
    "thread/name/set": "ThreadSetName",
    "app/list": "AppsList",
    "config/mcpServer/reload": "McpServerRefresh",
    "mcpServerStatus/list": "ListMcpServerStatus",
}


class Difference(NamedTuple):
    """Where, what kind of difference, and the name of the member or variant, if any."""

    place: str
    what: str
    name: str = ""


@dataclass
class Reference:
    """The reference's generated schema."""

    directory: Path
    _files: dict[str, Schema] = field(default_factory=dict)

    @classmethod
    def generate(cls, binary: str, directory: Path) -> Reference:
        """Have the reference's executable write its schema."""
        command = [binary, "app-server", "generate-json-schema", "--out", str(directory), "--experimental"]
        subprocess.run(command, check=True, capture_output=True, timeout=GENERATE_SECONDS)
        return cls(directory)

    def params(self, section: str) -> dict[str, Schema]:
        """Return the params of each method of ClientRequest, ServerRequest or ServerNotification."""
        return {method: _resolved(document, document) for method, document in self.params_documents(section).items()}

    def params_documents(self, section: str) -> dict[str, Schema]:
        """Return the same with the definitions that they refer to, for a validator."""
        document = self._file(section)
        return {
            one["properties"]["method"]["enum"][0]: {
                **one["properties"].get("params", {}),
                "definitions": document.get("definitions", {}),
            }
            for one in document["oneOf"]
        }

    def result(self, method: str) -> Schema:
        """Return the result of a method."""
        document = self.result_document(method)
        resolved: Schema = _resolved(document, document)
        return resolved

    def result_document(self, method: str) -> Schema:
        """Return the same with the definitions that it refers to, for a validator."""
        name = RESULT_NAMES.get(method) or "".join(part[0].upper() + part[1:] for part in method.split("/"))
        return next(
            self._file(f"{place}/{name}Response")
            for place in ("v2", "v1", ".")
            if (self.directory / place / f"{name}Response.json").exists()
        )

    def _file(self, name: str) -> Schema:
        if name not in self._files:
            self._files[name] = json.loads((self.directory / f"{name}.json").read_text("utf-8"))
        return self._files[name]


def differences(reference: Reference) -> list[str]:
    """Return every difference between our schema and the reference's: one line for each type and kind of difference.

    What stands in a type of ours that has a name is told of the type, once, wherever it is used.
    """
    ours = schema()
    found: set[Difference] = set()
    for section, name in (("clientRequests", "ClientRequest"), ("serverRequests", "ServerRequest")):
        theirs = reference.params(name)
        for method, types in ours["methods"][section].items():
            if method not in theirs:
                found.add(Difference(method, "only ours"))
                continue
            from_client = section == "clientRequests"
            params = _resolved(types["params"] or {}, ours)
            found.update(_compared(f"{method} params", _object(params), _object(theirs[method]), received=from_client))
            result = _resolved(types["result"], ours)
            found.update(_compared(f"{method} result", result, reference.result(method), received=not from_client))
    told = reference.params("ServerNotification")
    for method, types in ours["methods"]["serverNotifications"].items():
        if method in told:
            found.update(_compared(method, _resolved(types["params"], ours), told[method], received=False))
        else:
            found.add(Difference(method, "only ours"))
    return [_line(place, what, [one.name for one in group]) for (place, what), group in _grouped(found)]


def _grouped(found: set[Difference]) -> Iterator[tuple[tuple[str, str], Iterator[Difference]]]:
    return groupby(sorted(found), key=lambda one: (one.place, one.what))


def _line(place: str, what: str, names: list[str]) -> str:
    return f"{place}: {what} {', '.join(names)}".rstrip()


def _object(kind: Schema) -> Schema:
    """Return the params of a method that takes none as an object without members."""
    return kind if _variants(kind) else {"type": "object"}


def _compared(place: str, ours: Schema | bool, theirs: Schema | bool, *, received: bool) -> Iterator[Difference]:
    """Compare two types: of what we receive, or of what we send."""
    mine, other = _variants(ours), _variants(theirs)
    if not mine or not other:
        return  # at least one of them says nothing of objects
    for tag in sorted(mine.keys() - other.keys()):
        yield Difference(place, "has its own", tag)
    if received:
        for tag in sorted(other.keys() - mine.keys()):
            yield Difference(place, "does not take", tag)
    for tag in sorted(mine.keys() & other.keys()):
        inner = mine[tag].get("title") or f"{place} {tag}".strip()
        yield from _compared_objects(inner, mine[tag], other[tag], received=received)


def _compared_objects(place: str, ours: Schema, theirs: Schema, *, received: bool) -> Iterator[Difference]:
    mine, other = ours.get("properties", {}), theirs.get("properties", {})
    needed, promised = set(ours.get("required", ())), set(theirs.get("required", ()))
    for name in sorted(mine.keys() - other.keys()):
        yield Difference(place, "adds", name)
    for name in sorted(other.keys() - mine.keys()):
        if received:
            yield Difference(place, "ignores", name)
        else:
            yield Difference(place, "lacks" if name in promised else "leaves out", name)
    for name in sorted(mine.keys() & other.keys()):
        if received and name in needed - promised:
            yield Difference(place, "needs", name)
        elif not received and name in promised - needed:
            yield Difference(place, "may leave out", name)
        yield from _compared(f"{place}.{name}", mine[name], other[name], received=received)


def _variants(kind: Schema | bool) -> dict[str, Schema]:
    """Return the objects that a type can be, by their tag ("" for the only one); other values are not compared."""
    found: dict[str, Schema] = {}
    for one in _flat(kind):
        if "properties" in one or (one.get("type") == "object" and "additionalProperties" not in one):
            tag = one.get("properties", {}).get("type", {})
            key = str(tag.get("const") or (tag.get("enum") or [""])[0])
            found[key] = _either(found[key], one) if key in found else one
    return found


def _either(one: Schema, other: Schema) -> Schema:
    """Return an object that may be one or the other: with the members of both, and only the common needs."""
    return {
        "properties": {**one.get("properties", {}), **other.get("properties", {})},
        "required": [name for name in one.get("required", ()) if name in other.get("required", ())],
    }


def _flat(kind: Schema | bool) -> Iterator[Schema]:
    """Return what a type can be: through unions, and into lists. What a union's members share goes into each."""
    if not isinstance(kind, dict):
        return  # `true`: anything at all
    inner = kind.get("oneOf") or kind.get("anyOf")
    if inner:
        shared, needs = kind.get("properties", {}), kind.get("required", [])
        for one in inner:
            whole = {**one, "properties": {**shared, **one.get("properties", {})}} if shared else one
            yield from _flat({**whole, "required": [*needs, *whole.get("required", [])]} if needs else whole)
    elif "array" in kind.get("type", ()) and isinstance(kind.get("items"), dict):
        yield from _flat(kind["items"])
    else:
        yield kind


def _resolved(kind: Any, document: Schema, above: tuple[str, ...] = ()) -> Any:  # noqa: ANN401 - any piece of a schema
    """Replace references by what they refer to; a type within itself is cut off."""
    if isinstance(kind, list):
        return [_resolved(one, document, above) for one in kind]
    if not isinstance(kind, dict):
        return kind
    reference = kind.get("$ref")
    if isinstance(reference, str):
        if reference in above:
            return {}
        target: Any = document
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
        return _resolved(target, document, (*above, reference))
    skipped = ("$defs", "definitions", "description")
    merged = {key: _resolved(value, document, above) for key, value in kind.items() if key not in skipped}
    for part in merged.pop("allOf", []):
        merged = {**part, **merged}
    return merged
