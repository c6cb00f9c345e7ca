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

from codegen import blocking

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

PACKAGES: Final = {
    "client": "appserver.client",
    "client-types": "appserver.client.types",
    "auth": "appserver.auth",
    "testing": "appserver.testing",
    "refreshers": "appserver.auth.refresh.base",
}
"""The pages of the reference, and the package that each describes."""

RESOURCES: Final = {"appserver.client": ("appserver.client.blocking", blocking.RESOURCES)}
"""What an object of a package has more, by name: the module and the classes of that."""

INTERNAL: Final = {
    *(f"AsyncAppServer.{name}" for name in blocking.INTERNAL),
    *(f"NotificationStream.{name}" for name in ("open", "put", "end")),
    *(f"{attachment}.open" for attachment in ("InProcess", "Subprocess", "UnixSocket", "WebSocket")),
    "RestartPolicy.delay",
}
"""Methods that modules of a package ask of each other, and no application does."""

OPTIONS: Final = re.compile(r"\*\*options: Unpack\[(\w+)\]")
"""How a signature says what may be left out; the classes are in `appserver.client.options`."""

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
    entries = [_entry(name, module) for name in public_names(module)]
    if package in RESOURCES:
        place, classes = RESOURCES[package]
        home = importlib.import_module(place)
        entries += [
            _headed(f"server.{name}", _class(f"server.{name}", getattr(home, its))) for name, its in classes.items()
        ]
    doc, _, _ = (module.__doc__ or "").partition("\n\nGenerated from")  # which is for those who read the source
    return f"# {package}\n\n{_prose(doc)}\n" + "".join(entries)


def public_names(module: ModuleType) -> list[str]:
    """Return the names that a module is imported for, classes first as it lists them."""
    return list(NAMES.get(module.__name__) or module.__all__)


def _entry(name: str, module: ModuleType) -> str:
    value = getattr(module, name)
    if inspect.isclass(value):
        return _headed(name, _class(name, value))
    return _headed(name, _function(value, name) if inspect.isfunction(value) else f"\n{_code(_alias(name, module))}")


def _headed(name: str, text: str) -> str:
    return f"\n## {name}\n{text}"


def _alias(name: str, module: ModuleType) -> str:
    """Return the definition of a type alias as it is written, in the module that this one imports it from."""
    imports = (node for node in ast.walk(_parsed(module)) if isinstance(node, ast.ImportFrom))
    place = next(node.module for node in imports if name in {one.name for one in node.names})
    for node in _parsed(importlib.import_module(str(place))).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value and name == ast.unparse(_target(node)):
            return _wrapped(f"{name} = {ast.unparse(node.value)}")
    raise ValueError(f"{place} does not define {name}")


def _target(node: ast.Assign | ast.AnnAssign) -> ast.expr:
    return node.target if isinstance(node, ast.AnnAssign) else node.targets[0]


def _parsed(module: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(module))


def _wrapped(definition: str) -> str:
    if len(definition) <= WIDTH:
        return definition
    name, _, value = definition.partition(" = ")
    lines = textwrap.wrap(value, WIDTH - 4, break_on_hyphens=False)
    return f"{name} = (\n" + textwrap.indent("\n".join(lines), "    ") + "\n)"


def _class(name: str, its: type) -> str:
    made_up = its.__doc__ is None or its.__doc__.startswith(f"{name}(")  # by dataclass or NamedTuple
    text = "" if made_up else f"\n{_prose(its.__doc__)}\n"
    init = vars(its).get("__init__")
    return text + (_function(init, name) if _written(init, its) else "") + "".join(_members(name, its))


def _members(of: str, its: type) -> Iterator[str]:
    fields = list(_fields(its))
    if fields:
        yield "\n| member | type | |\n|---|---|---|\n" + "".join(fields)
    for name, value in vars(its).items():
        function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if name.startswith("_") or f"{of}.{name}" in INTERNAL or not _written(function, its):
            continue
        yield _function(function, name, head=f"\n### {of}.{name}\n", is_property=isinstance(value, property))


def _fields(its: type) -> Iterator[str]:
    """Yield the annotated members of a class, with the string that stands below one."""
    body = _definition(its).body
    for node, below in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or ast.unparse(node.target).startswith("_"):
            continue
        kind, default = ast.unparse(node.annotation), ast.unparse(node.value) if node.value else ""
        if kind.startswith("ClassVar") and default:
            if not isinstance(node.value, ast.Constant):
                continue  # how the class works
            kind, default = default, ""  # a tag
        doc = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else ""
        shown = _in_a_cell(f"`{kind}{default and f' = {default}'}`")
        yield f"| `{ast.unparse(node.target)}` | {shown} | {_in_a_cell(_prose(str(doc)))} |\n"


def _function(function: Any, name: str, head: str = "", *, is_property: bool = False) -> str:  # noqa: ANN401 - a function
    """Write a function: its signature, without `self`, and its docstring."""
    node = _definition(function)
    arguments = _split(_with_options(ast.unparse(node.args)))
    if arguments[0] in ("self", "cls"):
        del arguments[0]
    if arguments[:1] == ["/"]:
        del arguments[0]
    result = f" -> {ast.unparse(node.returns)}" if node.returns and node.name != "__init__" else ""
    kind = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    shown = f"{name}:{result.removeprefix(' ->')}" if is_property else _folded(kind + name, arguments, result)
    doc = _prose(function.__doc__)
    return f"{head}\n{_code(shown)}" + (f"\n{doc}\n" if doc else "")


def _with_options(arguments: str) -> str:
    """Name what may be left out, where a signature names only the class of it."""
    found = OPTIONS.search(arguments)
    if found is None:
        return arguments
    fields = _definition(getattr(importlib.import_module("appserver.client.options"), found[1])).body
    named = [f"{ast.unparse(one)}=..." for one in fields if isinstance(one, ast.AnnAssign)]
    before = arguments[: found.start()]
    return before + ("" if "*" in before else "*, ") + ", ".join(named)


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
    """Return a docstring as Markdown: what looks like an HTML tag is text, an indented part is code, a page a link."""
    text = re.sub(r"\bdocs/([\w-]+\.md)\b", r"[docs/\1](../\1)", inspect.cleandoc(doc or ""))
    return re.sub(r"^(?!    )(.*)$", lambda found: found[0].replace("<", "&lt;"), text, flags=re.MULTILINE)


def _in_a_cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
