"""What is imported ahead of its use: an order that saves time, and that nothing depends on."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from appserver import porch
from appserver.porch import answer_first_lines
from appserver.settings import Settings
from appserver.transport.stdio import Stdio
from appserver.wiring import Connection
from tests.e2e.run import HELLO, decoded, lines

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes have no readiness there")


@pytest.mark.parametrize("missing", ["anyio._backends._renamed", "there_is_no_such_library"])
def test_a_module_that_cannot_be_imported_ahead_costs_no_answer(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(porch, "AHEAD_OF_USE", (missing, "anyio"))
    read_fd, to_server = os.pipe()
    from_server, write_fd = os.pipe()
    try:
        os.write(to_server, lines(HELLO))
        stdio = Stdio(read_fd, write_fd, max_line_bytes=65536)
        assert answer_first_lines(Connection(Settings(home=str(tmp_path))), stdio), "there is more to come"
        (answer,) = decoded(os.read(from_server, 65536))
        assert answer["id"] == 0
    finally:
        for fd in (read_fd, to_server, from_server, write_fd):
            os.close(fd)
