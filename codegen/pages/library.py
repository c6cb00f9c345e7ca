"""The reference of what applications import, as Markdown: signatures and docstrings of public names.

Public is what a package lists in `__all__`. Reads source text; runs nothing of what it describes.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

PACKAGES: Final = {
    "client": "appserver.client",
    "auth": "appserver.auth",
    "testing": "appserver.testing",
    "refreshers": "appserver.auth.refresh.base",
}
"""The pages of the reference, and the package that each describes."""

NAMES: Final = {"appserver.auth.refresh.base": ("Refresher", "RefreshRequest", "RefreshedTokens")}
"""What is public of a module without `__all__`."""


WIDTH: Final = 88
"""What a signature in one line may have."""


def library_pages() -> dict[str, str]:
    """Return a page for each public package, by its path."""
    return {f"reference/{page}.md": package_page(package) for page, package in PACKAGES.items()}


def package_page(package: str) -> str:
    """Return the page of one package."""
    module = importlib.import_module(package)
    entries = [_entry(name, getattr(module, name)) for name in public_names(module)]
    return f"# {package}\n\n{_prose(module.__doc__)}\n" + "".join(entries)


def public_names(module: ModuleType) -> list[str]:
    """Return the names that a module is imported for, classes first as it lists them."""
    return list(NAMES.get(module.__name__) or module.__all__)


def _entry(name: str, value: Any) -> str:  # noqa: ANN401 - a name may hold anything
    head = f"\n## {name}\n"
    if inspect.isclass(value):
        return head + _class(name, value)
    if inspect.isfunction(value):
        return head + _function(value, name)
    return f"{head}\n{_code(f'{name} = {value}')}"


def _class(name: str, its: type) -> str:
    made_up = its.__doc__ is None or its.__doc__.startswith(f"{name}(")  # by dataclass or NamedTuple
    text = "" if made_up else f"\n{_prose(its.__doc__)}\n"
    init = vars(its).get("__init__")
    return text + (_function(init, name) if _written(init, its) else "") + "".join(_members(its))


def _members(its: type) -> Iterator[str]:
    fields = list(_fields(its))
    if fields:
        yield "\n| member | type | |\n|---|---|---|\n" + "".join(fields)
    for name, value in vars(its).items():
        function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if name.startswith("_") or not _written(function, its):
            continue
        yield _function(function, name, head=f"\n### {its.__name__}.{name}\n", is_property=isinstance(value, property))


def _fields(its: type) -> Iterator[str]:
    """Yield the annotated members of a class, with the string that stands below one."""
    body = _definition(its).body
    for node, below in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or ast.unparse(node.target).startswith("_"):
            continue
        doc = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else ""
        default = f" = {ast.unparse(node.value)}" if node.value else ""
        kind = _in_a_cell(f"`{ast.unparse(node.annotation)}{default}`")
        yield f"| `{ast.unparse(node.target)}` | {kind} | {_in_a_cell(_prose(str(doc)))} |\n"


def _function(function: Any, name: str, head: str = "", *, is_property: bool = False) -> str:  # noqa: ANN401 - a function
    """Write a function: its signature, without `self`, and its docstring."""
    node = _definition(function)
    arguments = _split(ast.unparse(node.args))
    if arguments[0] in ("self", "cls"):
        del arguments[0]
    if arguments[:1] == ["/"]:
        del arguments[0]
    result = f" -> {ast.unparse(node.returns)}" if node.returns and node.name != "__init__" else ""
    kind = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    shown = f"{name}:{result.removeprefix(' ->')}" if is_property else _folded(kind + name, arguments, result)
    doc = _prose(function.__doc__)
    return f"{head}\n{_code(shown)}" + (f"\n{doc}\n" if doc else "")


def _written(function: object, its: type) -> bool:
    """Whether a function of a class stands in the class's file, and was not made by a decorator such as `dataclass`."""
    return inspect.isfunction(function) and function.__code__.co_filename == inspect.getsourcefile(its)


def _definition(value: Any) -> Any:  # noqa: ANN401 - a class or a function, and its node
    return ast.parse(textwrap.dedent(inspect.getsource(value))).body[0]


def _folded(head: str, arguments: list[str], result: str) -> str:
    """Return a signature; one that is long, with each of its arguments in a line."""
    line = f"{head}({', '.join(arguments)}){result}"
    if len(line) <= WIDTH:
        return line
    return f"{head}(\n" + "".join(f"    {one},\n" for one in arguments) + f"){result}"


def _split(arguments: str) -> list[str]:
    """Split arguments at the commas that stand in no brackets."""
    parts, depth = [""], 0
    for char in arguments:
        depth += (char in "([{") - (char in ")]}")
        if char == "," and not depth:
            parts.append("")
        else:
            parts[-1] += char
    return [re.sub(r"^(\w+: [^=]+)=", r"\1 = ", part.strip()) for part in parts]  # as a formatter would


def _code(text: str) -> str:
    return f"```python {{ .signature }}\n{text}\n```\n"


def _prose(doc: str | None) -> str:
    """Return a docstring as Markdown: what looks like an HTML tag is text, an indented part is code."""
    text = inspect.cleandoc(doc or "")
    return re.sub(r"^(?!    )(.*)$", lambda found: found[0].replace("<", "&lt;"), text, flags=re.MULTILINE)


def _in_a_cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
