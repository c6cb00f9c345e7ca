from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.traces.account_read import report, trace_account_read

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def test_reading_an_account_that_has_not_changed_passes_few_files_and_stats(tmp_path: Path) -> None:
    trace = await trace_account_read(tmp_path)
    assert trace.is_small, report(trace)
