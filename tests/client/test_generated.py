"""What is generated in appserver/client/ is what the method table says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from appserver.client import types
from codegen.methods import WRITTEN_BY_HAND
from codegen.output import CLIENT, ROOT, generated
from codegen.types import ABSENT
from protocol.methods import CLIENT_REQUESTS, SERVER_NOTIFICATIONS

if TYPE_CHECKING:
    from pathlib import Path

GENERATED = generated()


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_committed_file_is_what_the_method_table_says(path: Path) -> None:
    assert path.read_text("utf-8") == GENERATED[path], "stale: run `python -m codegen`"


def test_no_generated_file_is_left_over() -> None:
    folder = CLIENT / "types"
    assert {path for path in GENERATED if path.parent == folder} == set(folder.glob("*.*"))


def test_every_notification_has_a_class_of_its_own() -> None:
    assert {one.method for one in types.notifications.KNOWN} == set(SERVER_NOTIFICATIONS)


def test_no_method_is_forgotten() -> None:
    absent = {method for method, its in CLIENT_REQUESTS.items() if set(its) & ABSENT}
    source = GENERATED[CLIENT / "methods.py"]
    generated = {method for method in CLIENT_REQUESTS if f'"{method}"' in source}
    assert set(CLIENT_REQUESTS) == absent | set(WRITTEN_BY_HAND) | generated


def test_everything_public_in_the_types_is_there_and_documented_by_name() -> None:
    assert set(types.__all__) <= set(dir(types))
