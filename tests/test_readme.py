"""What README.md and docs/ say is true: the tables are complete, and the examples run."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from appserver.testing import make_jwt, running_backend
from protocol.methods import CLIENT_NOTIFICATIONS, CLIENT_REQUESTS, SERVER_NOTIFICATIONS, SERVER_REQUESTS
from tests.real_clients.launch import executable

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text("utf-8")
TESTING = (ROOT / "docs" / "testing.md").read_text("utf-8")
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").glob("*.md")),
]

RUN_SECONDS = 60.0
"""An example takes a second; this is for a loaded machine."""

posix_shell = pytest.mark.skipif(sys.platform == "win32", reason="the commands are those of a POSIX shell")

PLUGIN = "appserver.pytest_plugin"
"""Where the environment is older than the plugin, it has to be named."""


def block(text: str, language: str, after: str = "") -> str:
    """Return the first fenced block of a language that stands after a text."""
    found = re.search(rf"```{language}\n(.*?)```", text[text.index(after) :], re.DOTALL)
    assert found is not None, f"no {language} block after {after!r}"
    return found[1]


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment as the README sets it up, with a fake backend behind it."""
    with running_backend() as backend:
        (tmp_path / "config.toml").write_text(f'chatgpt_base_url = "{backend.chatgpt_base_url}"\n', "utf-8")
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        mine = {"ACCESS_TOKEN": make_jwt(), "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        yield {**os.environ, **backend.environ(tmp_path), **mine}


def run(command: list[str], environ: dict[str, str], directory: Path) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, env=environ, cwd=directory, timeout=RUN_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_table_of_methods_is_complete() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| ([→←] \w+) \| .+ \|$", README, re.MULTILINE)
    assert len(rows) == len(set(rows))
    documented = {direction: {name for name, its in rows if its == direction} for _, direction in rows}
    assert documented == {
        "→ request": set(CLIENT_REQUESTS),
        "→ notification": set(CLIENT_NOTIFICATIONS),
        "← request": set(SERVER_REQUESTS),
        "← notification": set(SERVER_NOTIFICATIONS),
    }


def test_every_setting_is_documented() -> None:
    files = sorted((ROOT / "appserver" / "settings").glob("*.py"))
    source = "".join(file.read_text("utf-8") for file in [*files, *(ROOT / "appserver").glob("log_*.py")])
    keys = set(
        re.findall(r'(?:config|table|server|refresher)\.(?:get|one_of|seconds|strings|table|error)\("(\w+)"', source)
    )
    variables = set(re.findall(r'"((?:CODEX|APPSERVER|LOG|SSL|RUST)_[A-Z_]+)"', source))
    assert len(keys) > 15
    assert len(variables) > 6
    assert {one for one in keys | variables if one not in CONFIGURATION} == set()


def test_every_key_of_the_readme_is_a_setting() -> None:
    table = README[README.index("## Configuration") : README.index("## Where it differs")]
    keys = re.findall(r"`\[?([a-z_]+|[A-Z_]{6,})[\].`]", table)
    assert len(keys) > 15
    assert {key for key in keys if key not in CONFIGURATION} == set()


def test_the_python_example_runs(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "embed.py").write_text(block(README, "python"), "utf-8")
    assert run([sys.executable, "embed.py"], environ, tmp_path) == "You said: Say hello\n"


@posix_shell
def test_the_commands_beside_the_examples_run_them_without_an_account(tmp_path: Path) -> None:
    (tmp_path / "embed.py").write_text(block(README, "python"), "utf-8")
    shown = run_commands(block(README, "sh", after="against the fake backend"), tmp_path)
    assert shown.endswith(block(README, "text", after="python embed.py"))


@posix_shell
def test_the_commands_for_tests_in_another_language_run(tmp_path: Path) -> None:
    assert "Signed in as user@example.com" in run_commands(block(TESTING, "sh"), tmp_path)


def test_every_block_about_tests_is_run() -> None:
    assert TESTING.count("```") == 2 * TESTING.count("<!-- runnable:")


def run_commands(commands: str, directory: Path) -> str:
    """Run commands of a page that start a fake backend in the background; all of them must succeed."""
    programs = directory / "bin"
    programs.mkdir()
    executable(programs, "appserver")
    python = programs / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', "utf-8")
    python.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    paths = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    script = f"trap 'kill $!' EXIT\nset -e\n{commands.replace('8765', port)}"
    return run(["sh", "-c", script], {**os.environ, **paths}, directory)


@pytest.mark.parametrize("kind", ["async", "sync", "pytest", "gate"])
def test_the_examples_for_tests_run(kind: str, environ: dict[str, str], tmp_path: Path) -> None:
    example = tmp_path / f"test_{kind}_example.py"
    example.write_text(block(TESTING, "python", after=f"<!-- runnable: {kind} -->"), "utf-8")
    named = [] if PLUGIN in {one.value for one in entry_points(group="pytest11")} else ["-p", PLUGIN]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *named, example.name]
    shown = run(command, environ, tmp_path)
    assert "passed" in shown


def test_the_refresher_that_is_shown_is_the_one_that_ships() -> None:
    shown = (ROOT / "docs" / "refreshers.md").read_text("utf-8")
    assert (ROOT / "appserver" / "auth" / "refresh" / "command.py").read_text("utf-8").rstrip() in shown


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_the_documents_lead_somewhere(document: Path) -> None:
    # Pages in reference/ are made with the site, whose build checks the links to them.
    links = re.findall(r"\]\((?!https?:|reference/)([^)#]+)", document.read_text("utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_no_document_shows_a_credential(document: Path) -> None:
    assert re.findall(r"eyJ[\w-]{8,}|fake-refresh-\w+|sk-\w{8,}", document.read_text("utf-8")) == []


def test_the_clients_that_the_tests_run_are_told_with_their_versions() -> None:
    clients = re.findall(r'"(@?[\w/-]+?)(?:==|@)([\d.]+)"', (ROOT / ".ci" / "clients").read_text("utf-8"))
    told = re.findall(r"^\| `([^`]+)`, [^|]*\| ([\d.]+) \|", README, re.MULTILINE)
    assert len(clients) >= 3
    assert sorted(told) == sorted(clients)
