from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.protocol.reference_schema import differences

if TYPE_CHECKING:
    from tests.protocol.reference_schema import Reference

INTENDED = Path(__file__).with_name("reference_differences.txt")


def test_our_schema_differs_from_the_references_only_where_intended(reference: Reference) -> None:
    intended = INTENDED.read_text("utf-8").splitlines()
    assert differences(reference) == [line for line in intended if line and not line.startswith("#")]
