"""The method table as TypeScript: one file for each module of protocol/, and an index.

There are only types, so nothing is left of it at run time; imports name files as Node.js resolves them, which every
module setting of the compiler understands. Pure but for `write_typescript`. Run it as
`appserver generate-ts --out schema/typescript`; a test compares the result with what is committed, and another one has
the compiler check it.
"""

from __future__ import annotations

import json
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, Union, get_args, get_origin

from typing_extensions import get_type_hints, is_typeddict

from protocol import methods
from protocol.base import Secret, WithDefault
from protocol.named_types import Named, file_of, modules, named_types, reachable, table_types

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

HEADER = "// Generated from protocol/ by `appserver generate-ts`. Do not edit.\n"

JSON_VALUE = """
/** Any JSON. */
export type JsonValue = number | string | boolean | null | Array<JsonValue> | { [key: string]: JsonValue };
"""

SIMPLE = {str: "string", Secret: "string", int: "number", float: "number", bool: "boolean", NoneType: "null"}


def typescript() -> dict[str, str]:
    """Return the text of each file, by its name."""
    texts = {"json": JSON_VALUE}
    writer = _Writer()
    for module in modules():
        if text := writer.module_text(file_of(module)):
            texts[file_of(module)] = text
    texts["methods"] = writer.methods_text()
    texts["index"] = "".join(f'export type * from "./{file}.js";\n' for file in texts)
    return {f"{file}.ts": f"{HEADER}{text}" for file, text in texts.items()}


def write_typescript(directory: Path) -> list[Path]:
    """Write the files into a directory, which is made if it is missing. Returns their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in typescript().items():
        path = directory / name
        path.write_text(text, encoding="utf-8", newline="\n")
        written.append(path)
    return written


class _Writer:
    """Writes types, and knows which names of other files a text needs."""

    def __init__(self) -> None:
        self._named = named_types()
        self._reachable = reachable(self._named, table_types())
        self._used: set[tuple[str, str]] = set()

    def module_text(self, file: str) -> str:
        """Write the types of one module that the method table leads to."""
        return self._file_text(file, [self._definition(one) for one in self._reachable if one.file == file])

    def methods_text(self) -> str:
        """Write the unions of all messages, and the result of each request."""
        blocks = [
            "/** The id of a request. */\nexport type RequestId = string | number;\n",
            self._requests("ClientRequest", "A request of the client.", methods.CLIENT_REQUESTS),
            self._notifications("ClientNotification", "A notification of the client.", methods.CLIENT_NOTIFICATIONS),
            self._requests("ServerRequest", "A request of the server.", methods.SERVER_REQUESTS),
            self._notifications("ServerNotification", "A notification of the server.", methods.SERVER_NOTIFICATIONS),
            self._results("ClientRequestResults", "What the server answers, by method.", methods.CLIENT_REQUESTS),
            self._results("ServerRequestResults", "What the client answers, by method.", methods.SERVER_REQUESTS),
        ]
        return self._file_text("methods", blocks)

    def _file_text(self, file: str, blocks: list[str]) -> str:
        imports: dict[str, list[str]] = {}
        for other, name in sorted(self._used):
            if other != file:
                imports.setdefault(other, []).append(name)
        self._used.clear()
        lines = [f'import type {{ {", ".join(names)} }} from "./{other}.js";\n' for other, names in imports.items()]
        return "".join(lines) + "".join(f"\n{block}" for block in blocks) if blocks else ""

    def _definition(self, one: Named) -> str:
        if is_typeddict(one.kind):
            return f"{_comment(one.doc)}export type {one.name} = {self._object(one.kind)};\n"
        return f"{_comment(one.doc)}export type {one.name} = {self._type(one.kind, by_name=False)};\n"

    def _object(self, kind: Any) -> str:  # noqa: ANN401 - a type expression
        members = [
            f"  {_key(name)}{'' if name in kind.__required_keys__ else '?'}: {self._type(hint)};\n"
            for name, hint in get_type_hints(kind, include_extras=True).items()
        ]
        return "{\n" + "".join(members) + "}" if members else "Record<string, never>"

    def _type(self, kind: Any, *, by_name: bool = True) -> str:  # noqa: ANN401 - a type expression
        named = self._named.get(kind) if by_name else None
        if named is not None:
            return self._use(named.file, named.name)
        if kind in SIMPLE:
            return SIMPLE[kind]
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is NotRequired:
            return self._type(arguments[0])
        if origin is Annotated:
            defaults = [one for one in arguments[1:] if isinstance(one, WithDefault)]
            return self._annotated(arguments[0], defaults[0]) if defaults else self._type(arguments[0], by_name=by_name)
        if origin is Literal:
            return " | ".join(json.dumps(value) for value in arguments)
        if origin in (Union, UnionType):
            return " | ".join(self._type(one) for one in arguments)
        if origin is list:
            return f"Array<{self._type(arguments[0])}>"
        if origin is dict:
            return f"{{ [key: string]: {self._type(arguments[1])} }}"
        if kind is Any or kind is object:
            return self._use("json", "JsonValue")
        raise TypeError(f"there is no TypeScript for {kind}")

    def _annotated(self, kind: Any, default: WithDefault) -> str:  # noqa: ANN401 - a type expression
        """Write a type, the member that has a default in it optional."""
        options = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
        return " | ".join(self._with_default(one, default) for one in options)

    def _with_default(self, kind: Any, default: WithDefault) -> str:  # noqa: ANN401 - a type expression
        written = self._type(kind)
        if default.value not in get_args(get_type_hints(kind)[default.name]):
            return written
        name = json.dumps(default.name)
        return f"(Omit<{written}, {name}> & {{ {_key(default.name)}?: {json.dumps(default.value)} }})"

    def _use(self, file: str, name: str) -> str:
        self._used.add((file, name))
        return name

    def _requests(self, name: str, doc: str, table: Mapping[str, methods.Method]) -> str:
        return _union(
            name, doc, (f'"{one}"; id: RequestId; {self._params(types.params)}' for one, types in table.items())
        )

    def _notifications(self, name: str, doc: str, table: Mapping[str, Any]) -> str:
        return _union(name, doc, (f'"{one}"; {self._params(params)}' for one, params in table.items()))

    def _params(self, kind: Any) -> str:  # noqa: ANN401 - a type expression
        return "params?: undefined" if kind is None else f"params: {self._type(kind)}"

    def _results(self, name: str, doc: str, table: Mapping[str, methods.Method]) -> str:
        members = "".join(f'  "{one}": {self._type(types.result)};\n' for one, types in table.items())
        return f"{_comment(doc)}export type {name} = {{\n{members}}};\n"


def _union(name: str, doc: str, members: Iterable[str]) -> str:
    return f"{_comment(doc)}export type {name} =" + "".join(f"\n  | {{ method: {one} }}" for one in members) + ";\n"


def _comment(doc: str) -> str:
    if not doc:
        return ""
    lines = doc.replace("*/", "* /").splitlines()
    if len(lines) == 1:
        return f"/** {lines[0]} */\n"
    return "/**\n" + "".join(f" * {line}".rstrip() + "\n" for line in lines) + " */\n"


def _key(name: str) -> str:
    return name if name.isidentifier() else json.dumps(name)
