"""What is remembered of refresh tokens that the issuer refused for good."""

from __future__ import annotations

import stat
import sys
from typing import TYPE_CHECKING

import pytest

from appserver.auth.stores.refused_tokens import FILE_NAME, RefusedTokens
from protocol.base import Secret
from tests.auth.disks import OCCUPANTS, occupy

if TYPE_CHECKING:
    from pathlib import Path

REFUSED, OTHER = Secret("rt-dead-0123456789"), Secret("rt-other")
VERSION = (1, 2, 3)


@pytest.fixture
def tokens(tmp_path: Path) -> RefusedTokens:
    return RefusedTokens(str(tmp_path))


def test_a_token_that_never_failed_was_not_refused(tokens: RefusedTokens) -> None:
    assert tokens.reason(REFUSED, VERSION) is None


def test_a_failure_is_remembered_for_exactly_that_token(tokens: RefusedTokens) -> None:
    tokens.add(REFUSED, VERSION, "expired")
    assert tokens.reason(REFUSED, VERSION) == "expired"
    assert tokens.reason(OTHER, VERSION) is None


def test_the_next_process_knows_it(tokens: RefusedTokens, tmp_path: Path) -> None:
    tokens.add(REFUSED, VERSION, "expired")
    assert RefusedTokens(str(tmp_path)).reason(REFUSED, VERSION) == "expired"


def test_what_another_process_learns_meanwhile_is_known_here(tokens: RefusedTokens, tmp_path: Path) -> None:
    assert tokens.reason(REFUSED, VERSION) is None
    RefusedTokens(str(tmp_path)).add(REFUSED, VERSION, "reused")
    assert tokens.reason(REFUSED, VERSION) == "reused"


def test_a_login_makes_it_forgotten_also_for_the_next_process(tokens: RefusedTokens, tmp_path: Path) -> None:
    tokens.add(REFUSED, VERSION, "expired")
    tokens.clear()
    assert tokens.reason(REFUSED, VERSION) is None
    assert RefusedTokens(str(tmp_path)).reason(REFUSED, VERSION) is None


def test_a_change_of_the_stores_file_makes_it_forgotten(tokens: RefusedTokens, tmp_path: Path) -> None:
    tokens.add(REFUSED, 1, "a proxy said 401")
    assert RefusedTokens(str(tmp_path)).reason(REFUSED, 1) == "a proxy said 401"
    for process in (tokens, RefusedTokens(str(tmp_path))):
        assert process.reason(REFUSED, 2) is None
    tokens.add(REFUSED, 2, "expired")
    assert RefusedTokens(str(tmp_path)).reason(REFUSED, 2) == "expired"


def test_forgetting_nothing_is_no_error(tokens: RefusedTokens) -> None:
    tokens.clear()


def test_the_token_itself_is_not_written(tokens: RefusedTokens, tmp_path: Path) -> None:
    tokens.add(REFUSED, VERSION, "expired")
    assert REFUSED.reveal() not in (tmp_path / FILE_NAME).read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permission bits")
def test_the_note_is_private(tokens: RefusedTokens, tmp_path: Path) -> None:
    tokens.add(REFUSED, VERSION, "expired")
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"reason": "x"}', b"\xff\xfe", b'"text"'])
def test_a_note_that_cannot_be_read_counts_as_none(tokens: RefusedTokens, tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    assert tokens.reason(REFUSED, VERSION) is None
    tokens.add(REFUSED, VERSION, "expired")
    assert RefusedTokens(str(tmp_path)).reason(REFUSED, VERSION) == "expired"


def test_a_home_that_cannot_be_written_costs_only_the_memory_across_restarts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = RefusedTokens(str(tmp_path / "missing"))
    tokens.add(REFUSED, VERSION, "expired")
    assert tokens.reason(REFUSED, VERSION) == "expired"
    assert "cannot be written" in caplog.text
    assert REFUSED.reveal() not in caplog.text


@pytest.mark.parametrize("kind", OCCUPANTS)
def test_what_is_no_regular_file_in_its_place_counts_as_none_and_stays(
    tokens: RefusedTokens, tmp_path: Path, kind: str
) -> None:
    occupy(tmp_path / FILE_NAME, kind)
    before = (tmp_path / FILE_NAME).lstat()
    assert tokens.reason(REFUSED, VERSION) is None
    tokens.add(REFUSED, VERSION, "expired")
    assert tokens.reason(REFUSED, VERSION) == "expired"
    assert RefusedTokens(str(tmp_path)).reason(REFUSED, VERSION) is None
    assert (tmp_path / FILE_NAME).lstat() == before
