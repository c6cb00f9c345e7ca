"""The applications in examples/ run against the fake backend, as their readers run them.

Those in TypeScript need Node.js, and the compiler that `.ci/typescript` installs: `tsc --strict` has no complaint.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from appserver.testing import FakeBackend, function_call, output, text
from tests.examples.conftest import ROOT, TYPESCRIPT, no_cmd_files, run
from tests.real_clients.launch import node

if TYPE_CHECKING:
    from pathlib import Path

WINDOW = """
const deltas = [];
const status = await assistant.ask("Say hello", (delta) => deltas.push(delta));
console.log(deltas.join("|"), status);
console.log(await assistant.ask("Again", () => {}));
console.log(Object.keys(assistant));
"""


def test_the_python_parent(environ: dict[str, str], backend: FakeBackend) -> None:
    backend.script(output(function_call("weather", {"city": "Bern"})), text("Sunny."))
    parent = str(ROOT / "examples" / "python" / "parent.py")
    assert run([sys.executable, parent, "The weather in Bern?"], environ) == "[weather]\nSunny. (completed)\n"
    assert "Bern: 21 degrees" in backend.requests[-1].body.decode()


@no_cmd_files
def test_the_node_parent(compiled: Path, environ: dict[str, str], backend: FakeBackend) -> None:
    backend.script(output(function_call("weather", {"city": "Bern"})), text("Sunny."))
    shown = run([node(), str(compiled / "node.js"), "The weather in Bern?"], environ)
    assert shown == "[weather]\nSunny. (completed)\n"
    assert "21 degrees" in backend.requests[-1].body.decode()


@no_cmd_files
def test_the_node_parent_gets_new_tokens(compiled: Path, environ: dict[str, str], backend: FakeBackend) -> None:
    backend.model.fail_next(401)
    assert run([node(), str(compiled / "node.js")], environ) == "You said: Say hello (completed)\n"
    assert len(backend.requests.to("/v1/responses")) == 2


@no_cmd_files
def test_the_electron_application(compiled: Path, environ: dict[str, str], backend: FakeBackend) -> None:
    backend.script(text("Hel", "lo"))
    shown = run([node(), str(compiled / "electron" / "main.js")], {**environ, "WINDOW": WINDOW})
    assert shown == "Hel|lo completed\ncompleted\n[ 'ask' ]\nquit\n"


@no_cmd_files
def test_the_extension(compiled: Path, environ: dict[str, str], backend: FakeBackend) -> None:
    editor = str(TYPESCRIPT / "stand-ins" / "vscode" / "run.js")
    extension = str(compiled / "vscode" / "extension.js")
    shown = run([node(), editor, extension], {**environ, "QUESTION": "Why?"})
    assert shown == "You said: Why? (completed)\n" * 2 + "disposed\n"
    assert len(backend.requests.to("/v1/responses")) == 2


@no_cmd_files
@pytest.mark.parametrize(
    ("command", "told"),
    [(["no-such-program"], "could not be started"), ([sys.executable, "-c", "raise SystemExit(3)"], "exit code 3")],
    ids=["missing", "ends at once"],
)
def test_the_typescript_client_says_why_there_is_no_server(
    compiled: Path, environ: dict[str, str], command: list[str], told: str
) -> None:
    script = f"""
const {{ AppServer }} = require({str(compiled / "client.js")!r});
AppServer.start({{ clientInfo: {{ name: "t", version: "1" }}, command: {command!r} }})
  .catch((error) => console.log(error.name, error.message));
"""
    shown = run([node(), "-e", script], environ)
    assert shown.startswith("ServerGone")
    assert told in shown
