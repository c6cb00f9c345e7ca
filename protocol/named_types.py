"""The types of the method table that have a name: what the exports to other languages are made of.

Pure. Knows no other language.
"""

from __future__ import annotations

import ast
import inspect
from types import ModuleType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from typing_extensions import get_type_hints, is_typeddict

from protocol import methods

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Named(NamedTuple):
    """A type with a name of its own: a TypedDict, or an alias for a union. file: the module that defines it."""

    file: str
    name: str
    kind: Any
    doc: str


def modules() -> list[ModuleType]:
    """Return the modules of the table, in alphabetical order."""
    return [one for one in vars(methods).values() if isinstance(one, ModuleType)]


def file_of(module: ModuleType) -> str:
    """Return the last part of a module's name."""
    return module.__name__.rpartition(".")[2]


def named_types() -> dict[Any, Named]:
    """Find every TypedDict, and every alias that a module gives a name, in the order of their definition.

    Where two modules use one name, the second one's gets the module's in front of it.
    """
    found: dict[Any, Named] = {}
    taken: set[str] = set()
    for module in modules():
        for name, doc in _definitions(module):
            kind = getattr(module, name)
            if not is_typeddict(kind) and get_origin(kind) not in (Annotated, Literal, Union, UnionType):
                continue
            unique = file_of(module).title().replace("_", "") + name if name in taken else name
            taken.add(unique)
            found[kind] = Named(file_of(module), unique, kind, doc)
    return found


def table_types() -> list[Any]:
    """Return the params and results of every method."""
    tables = (methods.CLIENT_REQUESTS, methods.SERVER_REQUESTS)
    kinds = [kind for table in tables for types in table.values() for kind in types]
    return [*kinds, *methods.CLIENT_NOTIFICATIONS.values(), *methods.SERVER_NOTIFICATIONS.values()]


def reachable(named: dict[Any, Named], roots: Iterable[Any]) -> list[Named]:
    """Return the named types among these and those that they use, in the order of their definition."""
    waiting = list(roots)
    seen: set[Any] = set()
    while waiting:
        kind = waiting.pop()
        if kind in seen:
            continue
        if kind in named:
            seen.add(kind)
        waiting += get_type_hints(kind, include_extras=True).values() if is_typeddict(kind) else _parts(kind)
    return [one for kind, one in named.items() if kind in seen]


def _definitions(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Yield what a module defines at its top, with its documentation."""
    body = ast.parse(inspect.getsource(module)).body
    for node, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef):
            yield node.name, ast.get_docstring(node) or ""
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, _string(following)


def _string(statement: ast.stmt | None) -> str:
    """Return the text of a statement that is a string: the documentation of what stands before it."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    return inspect.cleandoc(value.value) if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""


def _parts(kind: Any) -> Iterable[Any]:  # noqa: ANN401 - a type expression
    """Return the type expressions in another one."""
    if get_origin(kind) is Literal:
        return ()
    arguments = get_args(kind)
    return arguments[:1] if get_origin(kind) is Annotated else arguments
