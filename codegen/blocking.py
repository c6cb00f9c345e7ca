"""The blocking face of the client, from the signatures of the asynchronous one. Pure but for reading its source.

A class without `Async` in front of its name has the same public methods, documented with the same words; each runs
that of the asynchronous object in the event loop. So there is one client, and its other face cannot drift.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENT = Path(__file__).resolve().parents[1] / "appserver" / "client"

MODULES = ("account", "turns", "threads", "app_server")

FACES = (
    "AsyncModels",
    "AsyncConfig",
    "AsyncBrowserLogin",
    "AsyncDeviceCodeLogin",
    "AsyncAccount",
    "AsyncTurn",
    "AsyncThread",
    "AsyncThreads",
    "AsyncAppServer",
)
"""The classes that have a blocking face, each after those that it returns."""

ATTRIBUTES = {
    "AsyncBrowserLogin": {"login_id": "str", "auth_url": "str"},
    "AsyncDeviceCodeLogin": {"login_id": "str", "user_code": "str", "verification_url": "str"},
    "AsyncTurn": {"id": "str", "thread_id": "str"},
    "AsyncThread": {"id": "str", "started": "types.ThreadStartResult | types.ThreadResumeResult"},
    "AsyncAppServer": {"info": "types.InitializeResult", "process_id": "int | None"},
}
"""What is read from an object without waiting."""

INTERNAL = ("introduce", "lost", "restarted", "gone")
"""What other modules of the client ask of the server, and no application does."""

RESOURCES = {"account": "Account", "threads": "Threads", "models": "Models", "config": "Config"}

HEAD = '''"""The blocking face of the client.

Generated from the asynchronous one by `python -m codegen`. Do not edit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

from typing_extensions import TypeVar as TypeVarWithDefault

from appserver.client.account import LOGIN_SECONDS, AsyncAccount, AsyncBrowserLogin, AsyncDeviceCodeLogin
from appserver.client.app_server import AsyncAppServer
from appserver.client.connection import REQUEST_SECONDS
from appserver.client.methods import AsyncConfig, AsyncModels
from appserver.client.portal import Blocking, BlockingServer, Notifications, Portal
from appserver.client.threads import AsyncThread, AsyncThreads
from appserver.client.turns import TURN_SECONDS, AsyncTurn
from appserver.client.wire import Notification

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Unpack

    from appserver.client import types
    from appserver.client.attachment import Attachment
    from appserver.client.inputs import Input
    from appserver.client.options import {options}
    from appserver.client.restart import RestartPolicy
    from appserver.client.tokens import TokenProvider, Tokens
    from appserver.client.tools import Tool
    from appserver.client.results import TurnResult
    from protocol.base import Secret

T = TypeVar("T")
D = TypeVarWithDefault("D", default=None)
N = TypeVar("N", bound=Notification)
'''


@dataclass(frozen=True)
class Face:
    """An asynchronous class with all its public methods, inherited ones too, in the order of their definition."""

    name: str
    doc: str
    methods: list[ast.FunctionDef | ast.AsyncFunctionDef]


def blocking_file(methods: str) -> str:
    """Write the blocking face. `methods`: the text of methods.py, which is generated itself."""
    classes: dict[str, ast.ClassDef] = {}
    for module in ("methods", *MODULES):
        tree = ast.parse(methods if module == "methods" else (CLIENT / f"{module}.py").read_text("utf-8"))
        classes |= {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    body = "".join(_class(_face(classes, name)) for name in FACES)
    options = sorted(set(re.findall(r"Unpack\[(\w+)\]", body)))
    return HEAD.replace("{options}", ", ".join(options)) + body


def _face(classes: dict[str, ast.ClassDef], name: str) -> Face:
    methods = [node for one in _lineage(classes, name) for node in one.body if _is_public_method(node)]
    return Face(name, ast.get_docstring(classes[name]) or "", methods)  # type: ignore[arg-type] # they are methods


def _lineage(classes: dict[str, ast.ClassDef], name: str) -> Iterator[ast.ClassDef]:
    """Yield a class after those that it derives from."""
    for base in classes[name].bases:
        if isinstance(base, ast.Name) and base.id in classes:
            yield from _lineage(classes, base.id)
    yield classes[name]


def _is_public_method(node: ast.stmt) -> bool:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or _decorator(node) == "property":
        return False
    return not node.name.startswith("_") and node.name not in INTERNAL


def _class(face: Face) -> str:
    name = _renamed(face.name)
    generic = ", Generic[D]" if face.name == "AsyncTurn" else ""
    base = "BlockingServer" if face.name == "AsyncAppServer" else f"Blocking[{_wrapped(face.name)}]"
    parts = [f'\n\nclass {name}({base}{generic}):\n    """{_said(face.doc)}"""\n']
    if face.name == "AsyncAppServer":
        parts.append(_server_init())
    parts += [_attribute(one, kind) for one, kind in ATTRIBUTES.get(face.name, {}).items()]
    parts += [_method(face, node) for node in face.methods]
    return "\n".join(parts)


def _wrapped(name: str) -> str:
    return f"{name}[D]" if name == "AsyncTurn" else name


def _server_init() -> str:
    """Write how the server is made: as the asynchronous one is."""
    tree = ast.parse((CLIENT / "app_server.py").read_text("utf-8"))
    server = next(one for one in tree.body if isinstance(one, ast.ClassDef) and one.name == "AsyncAppServer")
    init = next(one for one in server.body if isinstance(one, ast.FunctionDef) and one.name == "__init__")
    resources = "".join(f"        self.{one} = {kind}(portal, server.{one})\n" for one, kind in RESOURCES.items())
    return (
        f"    def __init__({ast.unparse(init.args)}) -> None:\n{_docstring(init)}"
        f"        server = AsyncAppServer({_passed_on(init.args)})\n"
        f"        portal = Portal()\n        super().__init__(portal, server)\n{resources}"
    )


def _attribute(name: str, kind: str) -> str:
    return f"    @property\n    def {name}(self) -> {kind}:\n        return self._async.{name}\n"


def _method(face: Face, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    overloaded = len([one for one in face.methods if one.name == node.name]) > 1
    result = _result(face, ast.unparse(node.returns)) if node.returns else "None"
    head = f"    def {node.name}({ast.unparse(node.args)}) -> {result}:"
    if face.name == "AsyncTurn":
        head = re.sub(r"\[T\]", "[D]", head)
    if result == "Any":
        head += "  # noqa: ANN401 - JSON"
    if _decorator(node) == "overload":
        return f"    @overload\n{head} ...\n"
    return f"{head}\n{_docstring(node)}        {_body(node, result, overloaded=overloaded)}\n"


def _body(node: ast.FunctionDef | ast.AsyncFunctionDef, result: str, *, overloaded: bool) -> str:
    function, passed = f"self._async.{node.name}", _passed_on(node.args)
    if result.startswith("Iterator["):
        return f"return self._portal.iterate({function}({passed}))"
    if not isinstance(node, ast.AsyncFunctionDef):
        call = f"{function}({passed})"
        return f"return Notifications(self._portal, {call})" if result.startswith("Notifications") else call
    if overloaded:
        function = f"cast(Any, {function})"
    call = f"self._portal.wait({function}{', ' if passed else ''}{passed})"
    if _renamed(ast.unparse(node.returns) if node.returns else "") != (
        ast.unparse(node.returns) if node.returns else ""
    ):
        return f"return {result.partition('[')[0]}(self._portal, {call})"
    if overloaded:
        return f"answer: {result} = {call}\n        return answer"
    return call if result == "None" else f"return {call}"


def _result(face: Face, annotation: str) -> str:
    return _renamed(annotation).replace("NotificationStream", "Notifications")


def _renamed(text: str) -> str:
    """Drop `Async` in front of names."""
    return re.sub(r"\bAsync(?=[A-Z])", "", text)


def _said(doc: str) -> str:
    """Say in a docstring what is said of the asynchronous class, in the words of this one."""
    return re.sub(r"async (with|for)\b", r"\1", _renamed(doc)).replace("number of tasks may", "number of threads may")


def _docstring(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    doc = _said(ast.get_docstring(node) or "")
    lines = doc.splitlines()
    end = "\n        " if len(lines) > 1 else ""
    return '        """' + "\n".join(f"        {one}".rstrip() for one in lines).strip() + end + '"""\n'


def _passed_on(arguments: ast.arguments) -> str:
    """Write a call's arguments: those of the signature, as they came."""
    plain = [one.arg for one in (*arguments.posonlyargs, *arguments.args) if one.arg != "self"]
    if arguments.vararg:
        plain.append(f"*{arguments.vararg.arg}")
    named = [f"{one.arg}={one.arg}" for one in arguments.kwonlyargs]
    rest = [f"**{arguments.kwarg.arg}"] if arguments.kwarg else []
    return ", ".join([*plain, *named, *rest])


def _decorator(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return next((one.id for one in node.decorator_list if isinstance(one, ast.Name)), "")
