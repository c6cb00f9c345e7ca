"""The house's rules, held against the imports as they are written. ARCHITECTURE.md draws the same picture."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.xdist_group("layers")  # so that one process parses all files, not each

ORDER = (
    # From top to bottom. A package stands for all its modules, unless one of them is named on its own. A module may
    # import what stands above it, and what shares its line.
    ("protocol",),
    ("appserver",),  # the package itself: the version
    (
        "appserver.errors",
        "appserver.executable",
        "appserver.file_lock",
        "appserver.headers",
        "appserver.loop_pauses",
        "appserver.memory",
        "appserver.json_text",
        "appserver.parent_process",
        "appserver.regular_file",
        "appserver.request_context",
        "appserver.session",
        "appserver.signals",
        "appserver.tasks",
        "appserver.trace_context",
        "appserver.worker",
    ),
    (
        "appserver.log",
        "appserver.log_formats",
        "appserver.log_json",
        "appserver.log_levels",
        "appserver.log_lines",
        "appserver.stderr",
    ),
    ("appserver.otel", "appserver.otel_settings", "appserver.telemetry"),
    ("appserver.transport",),
    ("appserver.settings",),  # it knows the default size of a line
    ("appserver.arguments",),
    ("appserver.parser",),
    ("appserver.generate",),
    ("appserver.rpc",),
    (
        "appserver.http",
        "appserver.daemon_threads",
        "appserver.http_failure",
        "appserver.http_sockets",
        "appserver.http_transport",
        "appserver.loopback",
    ),
    ("appserver.auth",),
    ("appserver.llm",),
    ("appserver.threads",),
    ("appserver.turns",),  # consumes the model's events, so it knows llm's types
    ("appserver.server",),  # the package itself
    ("appserver.server.backend", "appserver.server.refreshes", "appserver.server.runtime"),
    ("appserver.server.running_items", "appserver.server.subscriber"),
    ("appserver.server.asked", "appserver.server.joining"),
    ("appserver.server.subscriptions",),
    ("appserver.server.account",),
    ("appserver.server.workspace",),
    ("appserver.server.diagnostics",),
    ("appserver.handlers", "appserver.commands"),  # for a client, and for a person at a terminal
    ("appserver.server.connection",),
    ("appserver.server.arrivals",),
    ("appserver.server.serve", "appserver.server.startup"),
    ("appserver.server.process",),
    ("appserver.server.ws_policy",),
    ("appserver.server.listening",),
    ("appserver.gateway",),
    ("appserver.client",),
    ("appserver.testing",),
    ("appserver.pytest_plugin",),
    ("appserver.cli",),
    ("appserver.__main__",),
)

SIBLINGS = ("appserver.rpc", "appserver.auth", "appserver.llm", "appserver.threads")
"""They declare what they need as Protocols; services and backend join them."""

ONLY = {
    # What stands beside the server rather than in it, and all that it may know of it.
    "appserver.client": (
        "protocol",
        "appserver.errors",
        "appserver.rpc.pending",
        "appserver.transport.base",
        "appserver.transport.framing",
        "appserver.client",
    ),
    "appserver.client.sockets": (
        "appserver.errors",
        "appserver.transport",
        "appserver.settings.load",
        "appserver.client",
    ),
    "appserver.client.websocket": ("protocol", "appserver.transport", "appserver.client"),
    "appserver.client.in_process": (
        "appserver.errors",
        "appserver.server.serve",
        "appserver.settings",
        "appserver.transport",
        "appserver.client",
    ),
    "appserver.testing": ("appserver.errors", "appserver.loopback", "appserver.testing"),
}

NO_IO = {"os", "io", "socket", "logging", "time", "subprocess", "pathlib", "tempfile", "shutil", "asyncio", "threading"}
FOREIGN_IN_PROTOCOL = {"typing_extensions", "pydantic", "pydantic_core"}


class Import(NamedTuple):
    """An import as it is written: who, what, where."""

    module: str
    target: str
    line: int

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


@cache
def sources() -> dict[str, Path]:
    files = (path for package in ("appserver", "protocol") for path in (ROOT / package).rglob("*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


@cache
def imports() -> tuple[Import, ...]:
    return tuple(one for module, path in sources().items() for one in imports_of(module, path))


def imports_of(module: str, path: Path) -> Iterator[Import]:
    """Find all imports, also those inside functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (Import(module, alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}:{node.lineno}: a relative import"
            whole = node.module or ""
            for alias in node.names:
                part = f"{whole}.{alias.name}"
                yield Import(module, part if part in sources() else whole, node.lineno)


def ours() -> Iterator[Import]:
    return (one for one in imports() if one.target in sources())


def within(module: str, places: Iterable[str]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def place(module: str) -> int | None:
    """The line of ORDER on which the module stands: that of its longest name there."""
    named = {name: number for number, line in enumerate(ORDER) for name in line}
    while module and module != "appserver":
        if module in named:
            return named[module]
        module = module.rpartition(".")[0]
    return named.get(module) if module in sources() else None


def told(violations: Iterable[object]) -> str:
    return "\n".join(map(str, violations))


@pytest.mark.parametrize("module", sorted(sources()))
def test_every_module_has_a_place_in_the_house(module: str) -> None:
    top_level = module.count(".") <= 1 and module.startswith("appserver.")
    stands = any(module in line for line in ORDER) if top_level else place(module) is not None
    assert stands, f"{module} stands nowhere in ORDER"


def test_nothing_imports_what_stands_below_it() -> None:
    wrong = [one for one in ours() if (place(one.target) or 0) > (place(one.module) or 0)]
    assert not wrong, told(wrong)


def test_nothing_imports_in_a_cycle() -> None:
    graph: dict[str, set[str]] = {module: set() for module in sources()}
    for one in ours():
        if one.target != one.module:  # a package that imports a part of itself
            graph[one.module].add(one.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as exc:
        pytest.fail(" -> ".join(exc.args[1]))


def test_rpc_auth_llm_and_threads_do_not_know_each_other() -> None:
    wrong = [
        one
        for one in ours()
        for own in SIBLINGS
        if within(one.module, [own]) and within(one.target, set(SIBLINGS) - {own})
    ]
    assert not wrong, told(wrong)


@pytest.mark.parametrize("room", ONLY)
def test_what_stands_beside_the_server_knows_little_of_it(room: str) -> None:
    rooms_of_their_own = [one for one in ONLY if one.startswith(f"{room}.")]
    its = [one for one in ours() if within(one.module, [room]) and not within(one.module, rooms_of_their_own)]
    wrong = [one for one in its if not within(one.target, ONLY[room])]
    assert not wrong, told(wrong)


def test_only_the_cli_imports_the_gateway() -> None:
    allowed = ("appserver.gateway", "appserver.cli")
    wrong = [one for one in ours() if within(one.target, ["appserver.gateway"]) and not within(one.module, allowed)]
    assert not wrong, told(wrong)


def test_only_the_cli_and_the_plugin_import_what_is_for_testing() -> None:
    allowed = ("appserver.testing", "appserver.pytest_plugin", "appserver.cli")
    wrong = [one for one in ours() if within(one.target, ["appserver.testing"]) and not within(one.module, allowed)]
    assert not wrong, told(wrong)


def test_the_protocol_needs_nothing_but_pydantic_and_does_no_io() -> None:
    wrong = []
    for one in imports():
        if not within(one.module, ["protocol"]):
            continue
        root = one.target.partition(".")[0]
        known = root in sys.stdlib_module_names or root in FOREIGN_IN_PROTOCOL | {"protocol"}
        writes_files = one.module in ("protocol.schema_export", "protocol.typescript_export") and root == "pathlib"
        if not known or (root in NO_IO and not writes_files):
            wrong.append(one)
    assert not wrong, told(wrong)


def test_only_otel_imports_opentelemetry() -> None:
    assert {one.module for one in imports() if within(one.target, ["opentelemetry"])} == {"appserver.otel"}


def test_only_the_adapter_imports_jsonrpcserver() -> None:
    users = {one.module for one in imports() if within(one.target, ["jsonrpcserver", "oslash"])}
    assert users == {"appserver.rpc.jsonrpcserver_adapter"}


def test_the_rules_see_imports_inside_functions_and_for_types_only() -> None:
    found = {(one.module, one.target) for one in imports()}
    assert ("appserver.handlers.account", "appserver.server.workspace") in found  # both ways, in fact
    assert ("appserver.rpc.router", "pydantic") in found


HANDSHAKE = (
    b'{"id":1,"method":"initialize","params":{"clientInfo":{"name":"tests","version":"1"}}}\n{"method":"initialized"}\n'
)
HEAVY = {"asyncio", "anyio", "pydantic", "httpx", "jsonrpcserver"}


@pytest.mark.skipif(sys.platform == "win32", reason="there, the first lines are read in the event loop's thread")
@pytest.mark.parametrize(
    ("lines", "answer"),
    [(HANDSHAKE, b'"id":1'), (HANDSHAKE + b'{"id":2,"method":"account/read","params":{}}\n', b'"id":2')],
    ids=["initialize", "account/read"],
)
def test_the_first_requests_are_answered_before_anything_heavy_is_imported(
    lines: bytes, answer: bytes, tmp_path: Path
) -> None:
    # Both outputs go to one pipe, so that each answer stands after the imports that it waited for.
    output = imports_and_answers(lines, tmp_path)
    before, found, _ = output.partition(answer)
    assert found, output
    imported = {name.split(".")[0] for name in re.findall(r"\| +([\w.]+)$", before.decode(), re.MULTILINE)}
    assert "appserver" in imported
    assert not imported & HEAVY


def imports_and_answers(lines: bytes, home: Path) -> bytes:
    # Written before the program starts: it must not come to import ahead of use while it waits for us.
    read_fd, write_fd = os.pipe()
    os.write(write_fd, lines)
    os.close(write_fd)
    with os.fdopen(read_fd, "rb") as stdin:
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "appserver"],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "APPSERVER_HOME": str(home)},
            timeout=20,
            check=True,
        )
    return done.stdout
