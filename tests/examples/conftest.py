"""An environment for examples, and the compiled ones: those of examples/ and those of the documentation."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from appserver.testing import FakeBackend, running_backend
from tests.docs.blocks import blocks as blocks_of
from tests.real_clients import launch
from tests.real_clients.launch import executable, installed, node

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parents[2]
TYPESCRIPT = ROOT / "examples" / "typescript"
TYPES = ROOT / "schema" / "typescript"
"""What `npm run generate` writes: tests/protocol compares it with the protocol."""
NODE_TYPES = launch.TYPESCRIPT.parents[2] / "@types"

RUN_SECONDS = 120.0
"""An example takes a second or two, the compiler several; this is for a loaded machine."""

no_cmd_files = pytest.mark.skipif(sys.platform == "win32", reason="Node.js starts no .cmd file without a shell")


class Block(NamedTuple):
    """A block of a page: the name of the module that it becomes, and what it prints (None: nothing is said)."""

    name: str
    code: str
    printed: str | None


def blocks(page: str, language: str) -> list[Block]:
    """Return the blocks of a language in a page, in their order."""
    found = [block for block in blocks_of(ROOT / page) if block.language == language]
    name = re.sub(r"\W", "_", page.lower())
    return [Block(f"{name}_{number}", block.code, block.output) for number, block in enumerate(found)]


@pytest.fixture
def backend() -> Iterator[FakeBackend]:
    with running_backend() as running:
        yield running


@pytest.fixture
def environ(tmp_path: Path, backend: FakeBackend) -> dict[str, str]:
    """An environment in which `appserver` is a command, and uses the fake backend."""
    backend.write_config(tmp_path)
    programs = tmp_path / "bin"
    programs.mkdir()
    executable(programs, "appserver")
    mine = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "ACCESS_TOKEN": backend.grant().access_token,
        "NODE_PATH": str(TYPESCRIPT / "stand-ins"),
    }
    return {**os.environ, **backend.environ(tmp_path), **mine}


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of JavaScript: the compiler has accepted all of it."""
    project = tmp_path_factory.mktemp("typescript")
    left_over = shutil.ignore_patterns("node_modules", "dist", "protocol")
    shutil.copytree(TYPESCRIPT, project, dirs_exist_ok=True, ignore=left_over)
    shutil.copytree(TYPES, project / "src" / "protocol")
    for page in ("README.md", "docs/typescript.md"):
        for block in blocks(page, "ts"):
            (project / "src" / f"{block.name}.ts").write_text(block.code, "utf-8")
    command = [node(), installed(launch.TYPESCRIPT), "--strict", "--typeRoots", str(NODE_TYPES), "-p", str(project)]
    run(command, os.environ)
    return project / "dist"


def run(command: list[str], environ: Mapping[str, str], directory: Path | None = None) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, env=environ, cwd=directory, timeout=RUN_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
