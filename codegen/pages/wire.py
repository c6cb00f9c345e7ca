"""The reference of what travels on the wire, as Markdown: one page of methods, one of types. Pure."""

from __future__ import annotations

import inspect
import json
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NotRequired, Union, get_args, get_origin

from typing_extensions import get_type_hints, is_typeddict

from codegen.summaries import summaries
from protocol.base import Secret, WithDefault
from protocol.methods import CLIENT_NOTIFICATIONS, CLIENT_REQUESTS, SERVER_NOTIFICATIONS, SERVER_REQUESTS
from protocol.named_types import Named, named_types, reachable, table_types

if TYPE_CHECKING:
    from protocol.methods import Method

TYPES_PAGE: Final = "types.md"

SIMPLE: Final = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null", Any: "any JSON"}

METHODS_HEAD: Final = """# Methods and notifications

Generated from the method table, `protocol/methods.py`. How they play together, with excerpts of real sessions, is in
[the protocol](../protocol.md). A member without *required* may be left out. The same as JSON Schema and as TypeScript:
`appserver generate-json-schema` and `appserver generate-ts`.
"""

TYPES_HEAD: Final = """# Types

Generated from `protocol/`. Every type that a [method](methods.md) has among its params or in its result, by module. A
member without *required* may be left out.
"""


def methods_page() -> str:
    """Return the page of methods."""
    writer = _Writer()
    sections = [
        ("Requests of the client", [writer.request(*one) for one in CLIENT_REQUESTS.items()]),
        ("Notifications of the client", [writer.notification(*one) for one in CLIENT_NOTIFICATIONS.items()]),
        ("Requests of the server", [writer.request(*one) for one in SERVER_REQUESTS.items()]),
        ("Notifications of the server", [writer.notification(*one) for one in SERVER_NOTIFICATIONS.items()]),
    ]
    return METHODS_HEAD + "".join(f"\n## {title}\n{''.join(entries)}" for title, entries in sections)


def types_page() -> str:
    """Return the page of types."""
    writer = _Writer()
    files: dict[str, list[Named]] = {}
    for one in writer.reachable:
        files.setdefault(one.file, []).append(one)
    sections = (f"\n## {file}\n" + "".join(map(writer.definition, its)) for file, its in files.items())
    return TYPES_HEAD + "".join(sections)


class _Writer:
    """Writes types as Markdown."""

    def __init__(self) -> None:
        self._named = named_types()
        self._summaries = summaries()
        self.reachable = reachable(self._named, table_types())

    def request(self, method: str, types: Method) -> str:
        """Write the entry of a request."""
        params = self._part("Params", types.params) if types.params is not None else "\nIt takes no params.\n"
        return f"\n### `{method}`\n\n{self._summary(method)}\n{params}{self._part('Result', types.result)}"

    def notification(self, method: str, params: Any) -> str:  # noqa: ANN401 - a type expression
        """Write the entry of a notification."""
        text = self._part("Params", params) if params is not None else "\nIt has no params.\n"
        return f"\n### `{method}`\n\n{self._summary(method)}\n{text}"

    def definition(self, one: Named) -> str:
        """Write the entry of a type."""
        doc = f"\n{_prose(one.doc)}\n" if one.doc else ""
        body = self._members(one.kind) if is_typeddict(one.kind) else f"\n{self._type(one.kind, by_name=False)}\n"
        return f"\n### {one.name} {{ #{one.name} }}\n{doc}{body}"

    def _summary(self, method: str) -> str:
        return self._summaries[method].replace("](", "](../")

    def _part(self, title: str, kind: Any) -> str:  # noqa: ANN401 - a type expression
        named = self._named.get(kind)
        lead = f"\n**{title}**: {self._type(kind)}\n"
        if named is None or not is_typeddict(kind):
            return lead
        doc = f"\n{_prose(named.doc)}\n" if named.doc else ""
        return lead + doc + self._members(kind)

    def _members(self, kind: Any) -> str:  # noqa: ANN401 - a type expression
        hints = get_type_hints(kind, include_extras=True)
        if not hints:
            return "\nAn empty object.\n"
        rows = "".join(
            f"| `{name}` | {self._type(hint)} | {'required' if name in kind.__required_keys__ else ''} |\n"
            for name, hint in hints.items()
        )
        return f"\n| member | type | |\n|---|---|---|\n{rows}"

    def _type(self, kind: Any, *, by_name: bool = True) -> str:  # noqa: ANN401 - a type expression
        named = self._named.get(kind) if by_name else None
        if named is not None:
            return f"[{named.name}]({TYPES_PAGE}#{named.name})"
        if kind in SIMPLE:
            return SIMPLE[kind]
        if kind is Secret:
            return "string, secret"
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is NotRequired:
            return self._type(arguments[0])
        if origin is Annotated:
            defaults = [one for one in arguments[1:] if isinstance(one, WithDefault)]
            text = self._type(arguments[0], by_name=by_name)
            return text + "".join(f"; without `{one.name}` it is `{json.dumps(one.value)}`" for one in defaults)
        if origin is Literal:
            return " or ".join(f"`{json.dumps(value)}`" for value in arguments)
        if origin in (Union, UnionType):
            return " or ".join(self._type(one) for one in arguments)
        if origin is list:
            return f"array of {self._type(arguments[0])}"
        if origin is dict:
            return f"object of {self._type(arguments[1])}"
        raise ValueError(f"no way to write {kind}")


def _prose(doc: str) -> str:
    """Return a docstring as Markdown: what looks like an HTML tag is text."""
    return inspect.cleandoc(doc).replace("<", "&lt;")
