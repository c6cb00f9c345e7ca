from __future__ import annotations

import importlib
import os
import shutil
from pathlib import Path

import pytest

from tests.protocol.reference_schema import Reference, differences

INTENDED = Path(__file__).with_name("reference_differences.txt")


def reference_binary() -> str | None:
    """Find the reference's executable: in CODEX_BIN, its PyPI package, or on the path."""
    if named := os.environ.get("CODEX_BIN"):
        return named
    try:
        return str(importlib.import_module("codex_cli_bin").bundled_codex_path())
    except ImportError:
        return shutil.which("codex")


def test_our_schema_differs_from_the_references_only_where_intended(tmp_path: Path) -> None:
    binary = reference_binary()
    if binary is None:
        pytest.skip("the reference's executable is not here (set CODEX_BIN, or install openai-codex-cli-bin)")
    found = differences(Reference.generate(binary, tmp_path))
    intended = INTENDED.read_text("utf-8").splitlines()
    assert found == [line for line in intended if line and not line.startswith("#")]
