"""Every block of code in README.md and docs/ works, or says why it is not run."""

from __future__ import annotations

import configparser
import json
import plistlib
import shutil
import socket
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from appserver.settings import load_settings
from appserver.testing import running_backend
from tests.docs.blocks import Block, blocks
from tests.docs.excerpts import wrong_in
from tests.docs.session import ROOT, Session, same

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "RELEASING.md", *sorted((ROOT / "docs").rglob("*.md"))]

ELSEWHERE = {"client.md", "typescript.md"}
"""Run by tests of their own: tests/docs/test_client_page.py, tests/examples/test_typescript_guide.py."""

FIXED_PORTS = ("8765", "8787", "8080")
"""Ports that pages show; another process may have them here."""


@pytest.fixture
def session() -> Iterator[Session]:
    # Not in tmp_path: the path of a unix socket has 107 bytes at most.
    with tempfile.TemporaryDirectory(prefix="page-") as directory, running_backend() as backend:
        session = Session(Path(directory), backend, {shown: free_port() for shown in FIXED_PORTS})
        yield session
        session.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.skipif(sys.platform == "win32", reason="the pages show a POSIX shell")
@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in ELSEWHERE], ids=lambda page: page.name)
def test_the_blocks_of_a_page_work_in_their_order(page: Path, session: Session, request: pytest.FixtureRequest) -> None:
    if "appserver login" in page.read_text("utf-8"):
        request.getfixturevalue("callback_ports")
    without = set()
    for block in blocks(page):
        if "not run" in block.marks:
            continue
        if block.language in ("js", "xml") and shutil.which("node") is None:
            without.add("node")
            continue
        try:
            work_through(block, session)
        except BaseException as exc:
            exc.add_note(f"{block.place}: a block that cannot be run says so: <!-- not run: why -->")
            raise
    if without:
        pytest.skip(f"not installed: {', '.join(without)}")


def work_through(block: Block, session: Session) -> None:
    """Do what a reader does with a block."""
    if "given" in block.marks:
        session.shell(block.marks["given"])
    if "script" in block.marks:
        session.answers(block.marks["script"])
    if "from" in block.marks:
        assert block.code.strip() in (ROOT / block.marks["from"]).read_text("utf-8")
    elif "file" in block.marks:
        session.write(block.marks["file"], block.code)
    elif block.code.startswith("$ "):
        session.console(block.code, goes_on="goes on" in block.marks)
    elif "goes on" in block.marks:
        session.start(block.code)
    else:
        printed = RUN[block.language](block.code, session)
        if block.output is not None:
            assert same(printed, f"...{block.output}", session.home), f"{printed}\n--- and not:\n{block.output}"


def run_python(code: str, session: Session) -> str:
    if "\ndef test_" in code or "\nasync def test_" in code:
        session.write("test_block.py", code)
        return session.run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_block.py")
    session.write("block.py", code)
    return session.run(sys.executable, "-W", "error", "block.py")


def run_node(code: str, session: Session) -> str:
    session.write("block.js", code)
    return session.run("node", "block.js")


def read_toml(code: str, session: Session) -> str:
    """Read a pyproject.toml, or a config.toml, which must hold no mistake."""
    if "project" not in tomllib.loads(code):
        before = (session.home / "config.toml").read_text("utf-8")
        session.write("~/.codex/config.toml", code)
        assert not load_settings({"APPSERVER_HOME": str(session.home)}).problems
        (session.home / "config.toml").write_text(before, "utf-8")
    return ""


def read_json(code: str, session: Session) -> str:
    json.loads(code)
    return ""


def read_ini(code: str, session: Session) -> str:
    configparser.ConfigParser(strict=False, interpolation=None).read_string(code)
    return ""


def read_plist(code: str, session: Session) -> str:
    assert plistlib.loads(code.encode())
    return ""


def read_excerpt(code: str, session: Session) -> str:
    """Read what programs have printed; messages on the wire have the shape that the method table gives them."""
    assert wrong_in(code) == []
    return ""


def draw(code: str, session: Session) -> str:
    from codegen.pages.sequence import drawn

    return drawn(code.removeprefix("sequenceDiagram\n"))


RUN = {
    "": read_excerpt,
    "ini": read_ini,
    "js": run_node,
    "json": read_json,
    "mermaid": draw,
    "python": run_python,
    "sh": lambda code, session: session.shell(code),
    "text": read_excerpt,
    "toml": read_toml,
    "ts": lambda code, session: "",  # tests/examples compiles it with the client in one file, and runs it
    "xml": read_plist,
}
"""What becomes of a block, by its language."""


def test_a_block_that_is_not_run_says_why() -> None:
    reasons = [
        (block.place, block.marks["not run"]) for page in PAGES for block in blocks(page) if "not run" in block.marks
    ]
    assert [place for place, why in reasons if len(why.split()) < 3] == []


def test_what_a_page_shows_is_compared_with_what_a_program_prints(tmp_path: Path) -> None:
    assert same("At 2026-01-01T00:00:00Z\nb\n", "At 2026-11-22T07:17:11Z\nb", tmp_path)
    assert same("a\nb\nc", "a\n...\nc", tmp_path)
    assert not same("a\nb", "a\nc", tmp_path)
    assert not same("a\nb", "a", tmp_path)


def test_an_excerpt_that_does_not_fit_the_method_table_is_found() -> None:
    assert wrong_in('<- {"method":"turn/started","params":{"threadId":"1"}}') != []
    assert wrong_in('-> {"id": 1, "method": "thread/start", "params": {"model": 1}}\n<- {"id":1,"result":{}}') != []
    assert wrong_in('-> {"id": 2, "method": "account/read"}\n<- {"id":2,"error":{"code":-32600,"message":"no"}}') == []
    assert wrong_in('<- {"method":"turn/started","params":{...}}') == []
