"""Every block of docs/typescript.md, and the one for Node.js in the README, is compiled and run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.examples.conftest import ROOT, TYPES, Block, blocks, no_cmd_files, run
from tests.real_clients.launch import node

if TYPE_CHECKING:
    from pathlib import Path

GUIDE = "docs/typescript.md"


@no_cmd_files
@pytest.mark.parametrize("block", blocks(GUIDE, "ts"), ids=lambda block: block.name)
def test_the_block_compiles_runs_and_prints_what_the_page_says(
    block: Block, compiled: Path, environ: dict[str, str]
) -> None:
    assert run([node(), str(compiled / f"{block.name}.js")], environ) == (block.printed or "")


@no_cmd_files
def test_the_example_of_the_readme_runs(compiled: Path, environ: dict[str, str]) -> None:
    (block,) = blocks("README.md", "ts")
    assert run([node(), str(compiled / f"{block.name}.js")], environ) == "You said: Say hello"


@no_cmd_files
def test_the_client_without_types_runs(environ: dict[str, str], tmp_path: Path) -> None:
    (block,) = blocks(GUIDE, "js")
    (tmp_path / "embed.js").write_text(block.code, "utf-8")
    assert run([node(), "embed.js"], environ, tmp_path) == "You said: Say hello"


@no_cmd_files
def test_the_command_writes_the_types_that_the_examples_use(environ: dict[str, str], tmp_path: Path) -> None:
    (block,) = blocks(GUIDE, "sh")
    run(["sh", "-c", block.code], environ, tmp_path)
    written = {file.name: file.read_text("utf-8") for file in (tmp_path / "src" / "protocol").iterdir()}
    assert written == {file.name: file.read_text("utf-8") for file in TYPES.iterdir()}


def test_the_page_has_no_block_that_is_not_run() -> None:
    text = (ROOT / GUIDE).read_text("utf-8")
    tested = sum(len(blocks(GUIDE, language)) for language in ("ts", "js", "sh"))
    printed = sum(block.printed is not None for block in blocks(GUIDE, "ts"))
    assert text.count("```") == 2 * (tested + printed)
