"""The requests of the method table as methods of resources, and what may be left out of them as options. Pure."""

from __future__ import annotations

import inspect
import re
import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple

from typing_extensions import get_type_hints, is_typeddict

from codegen.naming import place_of
from codegen.summaries import summaries
from codegen.types import ABSENT, TypeWriter, docstring, head
from protocol import methods
from protocol.names import camel, snake

if TYPE_CHECKING:
    from collections.abc import Iterator

WRITTEN_BY_HAND = {
    "initialize": None,  # the client sends it itself
    # These return or take more than JSON: handles of threads and turns, tools, tokens. What may be left out of them
    # is generated all the same: method -> the name of its options, and the members that the client fills in itself.
    "account/login/start": None,
    "thread/start": ("ThreadStartOptions", {"dynamicTools"}),
    "thread/resume": ("ThreadResumeOptions", {"threadId"}),
    "thread/fork": ("ThreadForkOptions", {"threadId"}),
    "turn/start": ("TurnOptions", {"threadId", "input", "outputSchema", "clientUserMessageId"}),
    "turn/interrupt": None,
    "turn/steer": ("SteerOptions", {"threadId", "input", "expectedTurnId", "clientUserMessageId"}),
}

EXTENDED_BY_HAND = ("account", "server", "threads")
"""Resources that have more: logins, handles of threads."""

METHODS_HEAD = """
from __future__ import annotations

from typing import TYPE_CHECKING

from appserver.client import types
from appserver.client.caller import Caller
from appserver.client.options import {options}

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Unpack
"""

THREAD = "AsyncThreadMethods"
"""The class of what a thread can be asked: its id is known."""


class Request(NamedTuple):
    """A method of the client: its name, the params type, and the result (None: nothing to tell)."""

    method: str
    resource: str
    name: str
    params: Any
    result: Any


def methods_file() -> str:
    """Write the classes of the resources."""
    writer, said = TypeWriter(), summaries()
    found = list(_requests())
    resources = dict.fromkeys(one.resource for one in found)
    blocks = [
        _class(
            f"Async{resource.capitalize()}{'Methods' if resource in EXTENDED_BY_HAND else ''}",
            f"Methods of the protocol, as `{'server' if resource == 'server' else f'server.{resource}'}`.",
            [_method(writer, one, said[one.method]) for one in found if one.resource == resource],
        )
        for resource in resources
    ]
    of_a_thread = [one for one in found if one.resource == "threads" and "threadId" in _required(one.params)]
    its_id = "    id: str\n"
    methods_ = [its_id, *(_method(writer, one, said[one.method], known="threadId") for one in of_a_thread)]
    blocks.append(_class(THREAD, "Methods of the protocol for one thread.", methods_))
    options = dict.fromkeys(_options_name(one) for one in found if _optional(one.params))
    imports = METHODS_HEAD.replace("{options}", ", ".join(options))
    return head("The requests of the method table, by resource.") + imports + "".join(blocks)


def options_file() -> str:
    """Write what may be left out of requests, as keyword arguments."""
    writer = TypeWriter()
    blocks = [
        _options(writer, _options_name(one), one.params, set(_required(one.params)))
        for one in _requests()
        if _optional(one.params)
    ]
    for method, its in WRITTEN_BY_HAND.items():
        if its:
            name, filled_in = its
            blocks.append(_options(writer, name, methods.CLIENT_REQUESTS[method].params, filled_in))
    body = "".join(dict.fromkeys(blocks))
    return head("What may be left out of requests.") + writer.imports(body, extra=("TypedDict",)) + body


def _requests() -> Iterator[Request]:
    """Find what is generated: everything that is here, and is not written by hand."""
    for method, (params, result) in methods.CLIENT_REQUESTS.items():
        place = place_of(method)
        if place and method not in WRITTEN_BY_HAND and not {params, result} & ABSENT:
            yield Request(method, *place, params, result if get_type_hints(result) else None)


def _class(name: str, doc: str, members: list[str]) -> str:
    return f'\n\nclass {name}(Caller):\n    """{doc}"""\n\n' + "\n".join(members)


def _method(writer: TypeWriter, one: Request, summary: str, known: str = "") -> str:
    """Write a method. `known`: a member that the object has itself, as its id."""
    hints = get_type_hints(one.params, include_extras=True) if one.params else {}
    required = [wire for wire in _required(one.params) if wire != known]
    parts = ["self", *(f"{snake(wire)}: {_argument(writer, hints[wire])}" for wire in required)]
    sent = [f'"{wire}": {"self.id" if wire == known else snake(wire)}' for wire in _required(one.params)]
    if _optional(one.params):
        parts.append(f"**options: Unpack[{_options_name(one)}]")
        sent.append(f"**self._named({_options_name(one)}, options)")
    result = f"types.{writer.name_of(one.result)}" if one.result else "None"
    summary = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"docs/\1.md", summary)
    parts_of_doc = (summary, _doc(one.params), f"Sends `{one.method}`.")
    doc = docstring("\n\n".join(filter(None, dict.fromkeys(parts_of_doc))), hints)
    call = f'self._call("{one.method}", {{{", ".join(sent)}}}, {result})'
    line = f"return await {call}" if one.result else f"await {call}"
    return textwrap.indent(
        f"async def {one.name}({', '.join(parts)}) -> {result}:\n    {_indented(doc)}    {line}\n", "    "
    )


def _options_name(one: Request) -> str:
    return f"{one.params.__name__.removesuffix('Params')}Options"


def _argument(writer: TypeWriter, hint: Any) -> str:  # noqa: ANN401 - a type expression
    written = writer.expression(hint, prefix="types.")
    return written.replace("list[", "Sequence[")  # in these classes, `list` is a method


def _options(writer: TypeWriter, name: str, params: Any, left_out: set[str]) -> str:  # noqa: ANN401 - a type expression
    hints = {wire: hint for wire, hint in get_type_hints(params, include_extras=True).items() if wire not in left_out}
    for wire in hints:
        if camel(snake(wire)) != wire:
            raise ValueError(f"{wire} cannot be found again from its name in Python")
    members = "".join(f"    {snake(wire)}: {writer.expression(hint)}\n" for wire, hint in hints.items())
    doc = _indented(docstring(_doc(params) or "What may be left out.", get_type_hints(params)))
    return f"\n\nclass {name}(TypedDict, total=False):\n    {doc}\n{members}"


def _doc(params: Any) -> str:  # noqa: ANN401 - a type expression
    return inspect.cleandoc(params.__doc__ or "") if is_typeddict(params) else ""


def _indented(doc: str) -> str:
    return textwrap.indent(doc, "    ").removeprefix("    ")


def _required(params: Any) -> list[str]:  # noqa: ANN401 - a type expression
    if not is_typeddict(params):
        return []
    return [wire for wire in get_type_hints(params) if wire in params.__required_keys__]


def _optional(params: Any) -> bool:  # noqa: ANN401 - a type expression
    return is_typeddict(params) and bool(params.__optional_keys__)
