"""The reference's own schema, where its executable is installed."""

from __future__ import annotations

import importlib
import os
import shutil

import pytest

from tests.protocol.reference_schema import Reference


def reference_binary() -> str | None:
    """Find the reference's executable: in CODEX_BIN, its PyPI package, or on the path."""
    if named := os.environ.get("CODEX_BIN"):
        return named
    try:
        return str(importlib.import_module("codex_cli_bin").bundled_codex_path())
    except ImportError:
        return shutil.which("codex")


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """The schema that the reference's executable writes."""
    binary = reference_binary()
    if binary is None:
        pytest.skip("the reference's executable is not here (set CODEX_BIN, or install openai-codex-cli-bin)")
    return Reference.generate(binary, tmp_path_factory.mktemp("reference"))
