"""What is remembered of refresh tokens that the issuer refused for good."""

from __future__ import annotations

import stat
import sys
from typing import TYPE_CHECKING

import pytest

from appserver.auth.stores.refused_tokens import FILE_NAME, DeadTokens
from protocol.base import Secret
from tests.auth.disks import OCCUPANTS, occupy

if TYPE_CHECKING:
    from pathlib import Path

DEAD, OTHER = Secret("rt-dead-0123456789"), Secret("rt-other")


@pytest.fixture
def tokens(tmp_path: Path) -> DeadTokens:
    return DeadTokens(str(tmp_path))


def test_a_token_that_never_failed_is_not_dead(tokens: DeadTokens) -> None:
    assert tokens.reason(DEAD) is None


def test_a_failure_is_remembered_for_exactly_that_token(tokens: DeadTokens) -> None:
    tokens.remember(DEAD, "expired")
    assert tokens.reason(DEAD) == "expired"
    assert tokens.reason(OTHER) is None


def test_the_next_process_knows_it(tokens: DeadTokens, tmp_path: Path) -> None:
    tokens.remember(DEAD, "expired")
    assert DeadTokens(str(tmp_path)).reason(DEAD) == "expired"


def test_what_another_process_learns_meanwhile_is_known_here(tokens: DeadTokens, tmp_path: Path) -> None:
    assert tokens.reason(DEAD) is None
    DeadTokens(str(tmp_path)).remember(DEAD, "reused")
    assert tokens.reason(DEAD) == "reused"


def test_a_login_makes_it_forgotten_also_for_the_next_process(tokens: DeadTokens, tmp_path: Path) -> None:
    tokens.remember(DEAD, "expired")
    tokens.forget()
    assert tokens.reason(DEAD) is None
    assert DeadTokens(str(tmp_path)).reason(DEAD) is None


def test_a_change_of_the_stores_file_makes_it_forgotten(tmp_path: Path) -> None:
    version = [1]
    tokens, next_process = (DeadTokens(str(tmp_path), lambda: version[0]) for _ in range(2))
    tokens.remember(DEAD, "a proxy said 401")
    assert next_process.reason(DEAD) == "a proxy said 401"
    version[0] = 2
    assert tokens.reason(DEAD) is None
    assert next_process.reason(DEAD) is None
    tokens.remember(DEAD, "expired")
    assert next_process.reason(DEAD) == "expired"


def test_forgetting_nothing_is_no_error(tokens: DeadTokens) -> None:
    tokens.forget()


def test_the_token_itself_is_not_written(tokens: DeadTokens, tmp_path: Path) -> None:
    tokens.remember(DEAD, "expired")
    assert DEAD.reveal() not in (tmp_path / FILE_NAME).read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permission bits")
def test_the_note_is_private(tokens: DeadTokens, tmp_path: Path) -> None:
    tokens.remember(DEAD, "expired")
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"reason": "x"}', b"\xff\xfe", b'"text"'])
def test_a_note_that_cannot_be_read_counts_as_none(tokens: DeadTokens, tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    assert tokens.reason(DEAD) is None
    tokens.remember(DEAD, "expired")
    assert DeadTokens(str(tmp_path)).reason(DEAD) == "expired"


def test_without_a_home_it_is_remembered_as_long_as_the_process_lives(tmp_path: Path) -> None:
    tokens = DeadTokens(None)
    tokens.remember(DEAD, "expired")
    assert tokens.reason(DEAD) == "expired"
    tokens.forget()
    assert tokens.reason(DEAD) is None
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_cannot_be_written_costs_only_the_memory_across_restarts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = DeadTokens(str(tmp_path / "missing"))
    tokens.remember(DEAD, "expired")
    assert tokens.reason(DEAD) == "expired"
    assert "cannot be written" in caplog.text
    assert DEAD.reveal() not in caplog.text


@pytest.mark.parametrize("kind", OCCUPANTS)
def test_what_is_no_regular_file_in_its_place_counts_as_none_and_stays(
    tokens: DeadTokens, tmp_path: Path, kind: str
) -> None:
    occupy(tmp_path / FILE_NAME, kind)
    before = (tmp_path / FILE_NAME).lstat()
    assert tokens.reason(DEAD) is None
    tokens.remember(DEAD, "expired")
    assert tokens.reason(DEAD) == "expired"
    assert DeadTokens(str(tmp_path)).reason(DEAD) is None
    assert (tmp_path / FILE_NAME).lstat() == before
