"""The types of the method table as frozen dataclasses: one file for each module of protocol/. Pure."""

from __future__ import annotations

import re
import textwrap
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, Union, get_args, get_origin

from typing_extensions import get_type_hints, is_typeddict

from codegen.naming import pascal
from protocol import absent, methods
from protocol.base import Secret, TaggedBy
from protocol.named_types import Named, named_types, reachable
from protocol.names import camel, snake

if TYPE_CHECKING:
    from collections.abc import Iterable

PACKAGE = "appserver.client.types"

SIMPLE = {str: "str", Secret: "str", int: "int", float: "float", bool: "bool", NoneType: "None"}

ABSENT = {types for types in vars(absent).values() if is_typeddict(types)}
"""Features that are not here: the client has no methods for them."""

NOTIFICATIONS = "notifications"

HIDDEN = {"authToken"}
"""Members that no repr shows."""

DOC_WIDTH = 110
"""Of a line of a docstring, without its indentation."""


class TypeWriter:
    """Writes types, and knows which names of other files a text needs."""

    def __init__(self) -> None:
        self._named = {kind: one for kind, one in named_types().items() if one.file != "absent"}
        self._shared = _shared_params()
        self._used: set[tuple[str, str]] = set()

    def files(self) -> dict[str, str]:
        """Return the text of each file of the package, by its name."""
        wanted = [one for one in reachable(self._named, _roots()) if one.kind not in self._shared]
        order = list(dict.fromkeys(one.file for one in wanted))
        texts = {file: self._file(file, [one for one in wanted if one.file == file]) for file in order}
        texts[NOTIFICATIONS] = self._notifications()
        exported = {file: names for file in texts if (names := _names(texts[file]))}
        return {f"{file}.py": text for file, text in {**texts, "__init__": _package(exported)}.items()}

    def name_of(self, kind: Any) -> str:  # noqa: ANN401 - a type expression
        """Return what the class of a TypedDict is called."""
        return self._named[kind].name

    def expression(self, kind: Any, *, by_name: bool = True, prefix: str = "") -> str:  # noqa: ANN401 - a type expression
        """Write a type as an annotation. `prefix`: stands before the names of our classes, which are not imported."""
        named = self._named.get(kind) if by_name else None
        if named is not None:
            if not prefix:
                self._used.add((named.file, named.name))
            return f"{prefix}{named.name}"
        if kind in SIMPLE:
            return SIMPLE[kind]
        origin, arguments = get_origin(kind), get_args(kind)
        if origin in (NotRequired, Annotated):
            return self.expression(arguments[0], by_name=by_name, prefix=prefix)
        if origin is Literal:
            return f"Literal[{', '.join(repr(one) for one in arguments)}]"
        if origin in (Union, UnionType):
            return " | ".join(dict.fromkeys(self.expression(one, prefix=prefix) for one in arguments))
        if origin is list:
            return f"list[{self.expression(arguments[0], prefix=prefix)}]"
        if origin is dict:
            return f"dict[str, {self.expression(arguments[1], prefix=prefix)}]"
        if kind is Any or kind is object:
            return "Any"
        raise TypeError(f"there is no Python class for {kind}")

    def imports(self, body: str, own: str = "", extra: Iterable[str] = ()) -> str:
        """Write the imports of a text. `own`: the file that it stands in; `extra`: names of typing."""
        ours: dict[str, list[str]] = {}
        for file, name in self._used:
            if file != own:
                ours.setdefault(f"{PACKAGE}.{file}", []).append(name)
        self._used.clear()
        if wire := _used(body, "Data", "Notification", "Unknown"):
            ours["appserver.client.wire"] = wire
        standard = {"collections.abc": _used(body, "Mapping"), "dataclasses": _used(body, "dataclass", "field")}
        standard["typing"] = [*_used(body, "Any", "ClassVar", "Literal"), *extra]
        return "\n".join(_imports(one) for one in (standard, ours))

    def _file(self, file: str, wanted: list[Named]) -> str:
        body = "".join(self._definition(one) for one in wanted)
        return head(f"Classes of protocol/{file}.py.") + self.imports(body, file) + body

    def _definition(self, one: Named) -> str:
        if is_typeddict(one.kind):
            return self._class(one.name, one.kind, one.doc)
        text = self.expression(one.kind, by_name=False)
        if any(isinstance(mark, TaggedBy) for mark in get_args(one.kind)):
            text += " | Unknown"
        documented = docstring(one.doc) if one.doc else ""
        return f"\n{one.name} = {text}\n{documented}\n"

    def _class(self, name: str, kind: Any, doc: str, base: str = "Data", members: str = "") -> str:  # noqa: ANN401 - a type expression
        hints = get_type_hints(kind, include_extras=True)
        required = [one for one in hints if one in kind.__required_keys__]
        ordered = (*required, *(one for one in hints if one not in required))  # as a dataclass must have them
        lines = [self._member(wire, hints[wire], optional=wire not in required) for wire in ordered]
        odd = {snake(wire): wire for wire in hints if camel(snake(wire)) != wire}
        if odd:
            lines.append(f"wire_names: ClassVar[Mapping[str, str]] = {odd!r}")
        documented = f"{docstring(doc, hints)}\n" if doc else ""
        body = documented + members + "\n".join(lines)
        return f"\n\n@dataclass(frozen=True)\nclass {name}({base}):\n{textwrap.indent(body or 'pass', '    ')}\n"

    def _member(self, wire: str, hint: Any, *, optional: bool) -> str:  # noqa: ANN401 - a type expression
        text = self.expression(hint)
        if wire == "type" and text.startswith("Literal["):
            return f"type: ClassVar[{text}] = {text.removeprefix('Literal[').removesuffix(']')}"
        if not optional:
            return f"{snake(wire)}: {text}" + (" = field(repr=False)" if wire in HIDDEN else "")
        return f"{snake(wire)}: {text if text.endswith('None') or text == 'Any' else f'{text} | None'} = None"

    def _notifications(self) -> str:
        """Write a class for each notification of the server's, and the union of all."""
        blocks, names = [], []
        for method, params in methods.SERVER_NOTIFICATIONS.items():
            named = self._named[params]
            name = f"{pascal(method)}Notification" if params in self._shared else named.name
            names.append(name)
            own = f'method: ClassVar[str] = "{method}"\n'
            blocks.append(self._class(name, params, named.doc, "Notification", own))
        known = "\nKNOWN: tuple[type[Notification], ...] = (" + "".join(f"{name}, " for name in names) + ")\n"
        body = "".join(blocks) + known + '"""The class of every notification in the method table."""\n'
        return head("What the server tells: a class for each method.") + self.imports(body) + body


def _roots() -> list[Any]:
    """Return what the client's methods take and return: params are taken apart, and secrets stay out of classes."""
    ours = [types for types in methods.CLIENT_REQUESTS.values() if not ABSENT & set(types)]
    theirs = [types.params for types in methods.SERVER_REQUESTS.values()]
    params = [types.params for types in ours if is_typeddict(types.params)]
    members = [_members(kind) for kind in (*params, *methods.SERVER_NOTIFICATIONS.values())]
    return [*(types.result for types in ours), *theirs, *(hint for hints in members for hint in hints)]


def _members(kind: Any) -> Iterable[Any]:  # noqa: ANN401 - a type expression
    return get_type_hints(kind, include_extras=True).values()


def _shared_params() -> set[Any]:
    """Return what more than one notification carries: each gets a class of its own."""
    params = list(methods.SERVER_NOTIFICATIONS.values())
    return {kind for kind in params if params.count(kind) > 1}


def head(doc: str) -> str:
    """Write the top of a generated file."""
    return f'"""{doc}\n\nGenerated from protocol/ by `python -m codegen`. Do not edit.\n"""\n\n'


def _imports(names: dict[str, list[str]]) -> str:
    lines = (f"from {module} import {', '.join(sorted(its))}\n" for module, its in sorted(names.items()) if its)
    return "".join(lines)


def _used(body: str, *names: str) -> list[str]:
    return [name for name in names if re.search(rf"\b{name}\b(?!\.)", re.sub(r'""".*?"""', "", body, flags=re.DOTALL))]


def docstring(doc: str, members: Iterable[str] = ()) -> str:
    """Write a docstring that spells the members as the class does."""
    for wire in sorted(members, key=len, reverse=True):
        doc = re.sub(rf"\b{wire}\b", snake(wire), doc) if snake(wire) != wire else doc
    paragraphs = [textwrap.fill(one, DOC_WIDTH) for one in doc.split("\n\n")]
    text = "\n\n".join(paragraphs)
    return f'"""{text}\n"""\n' if "\n" in text else f'"""{text}"""\n'


def _names(text: str) -> list[str]:
    return re.findall(r"^(?:class )?([A-Z]\w*)(?:\(| = )", text, re.MULTILINE)


def _package(exported: dict[str, list[str]]) -> str:
    top = head("What travels between client and server, as classes: results, items, notifications.")
    lines = [f"from {PACKAGE}.{file} import {', '.join(names)}\n" for file, names in sorted(exported.items())]
    everything = sorted({*(name for names in exported.values() for name in names), *WIRE})
    lines.append(f"from appserver.client.wire import {', '.join(WIRE)}\n")
    return top + "".join(lines) + f"\n__all__ = {everything!r}\n"


WIRE = ("Data", "Notification", "Unknown", "UnknownNotification")
"""What every type derives from, and what stands for those that are not known."""
