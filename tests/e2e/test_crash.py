"""Processes killed at random points of refresh and write: no login is lost, nothing is broken, nobody is stuck.

What is promised, and checked here, round by round: auth.json is whole and holds the old or the new credential; the
locks of the dead are free at once; and an answer of the issuer's is on disk from the moment the process has written it
down, which is the first thing it does with it. If it dies before auth.json holds the new tokens, the next process goes
on from there and asks nobody. What no process can do is to keep an answer that it has not read, or to die between two
machine instructions without being there: the few lines from reading to writing are rarely met, and that is counted.
"""

from __future__ import annotations

import json
import secrets
import sys
from typing import TYPE_CHECKING

import anyio
import pytest

from tests.e2e.crash_driver import Round

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither fork nor SIGKILL"),
]

ROUNDS = 200
ALL_SECONDS = 90.0
"""What all rounds together may take; about 10 s on an idle machine."""

REUSED = "failed refresh_token_reused"

RARELY = ROUNDS // 20
"""How many deaths may hit the lines between reading the issuer's answer and writing it down; one or two do."""


async def crashed(home: Path, seed: int) -> list[Round]:
    """Run the rounds, and one undisturbed refresh after them."""
    home.mkdir()
    command = [sys.executable, "-m", "tests.e2e.crash_driver", str(home), str(seed), str(ROUNDS)]
    with anyio.fail_after(ALL_SECONDS):
        done = await anyio.run_process(command, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return [Round(**json.loads(line)) for line in done.stdout.splitlines()]


async def test_a_death_at_any_point_breaks_nothing_and_loses_no_login(tmp_path: Path) -> None:
    seed = secrets.randbelow(2**32)
    rounds = await crashed(tmp_path / "home", seed)
    assert len(rounds) == ROUNDS + 1
    remains = 0
    for one in rounds:
        told = f"seed {seed}: {one}"
        remains = check_leftovers(one, remains, told)
        check_state(one, told)
        check_promises(one, told)
    check_undisturbed(rounds[-1], f"seed {seed}: {rounds[-1]}")
    assert not list((tmp_path / "home").glob(".*")), f"seed {seed}"
    assert sum(one.killed for one in rounds) > ROUNDS / 4, f"seed {seed}: too few died to tell anything"
    assert any(one.recovered and not one.lost for one in rounds), f"seed {seed}: no record was used"
    assert sum(one.lost and not one.deaf for one in rounds) <= RARELY, f"seed {seed}"


def check_state(one: Round, told: str) -> None:
    """The file is whole, it holds a credential that belongs there, and nothing is stuck."""
    assert not one.stuck, told
    assert one.locks_free, told
    assert one.whole, told
    siblings = [word for line in one.sibling for word in line.split()[-1:]]
    assert one.found in (one.old, one.new, *siblings), told


def check_promises(one: Round, told: str) -> None:
    """What was written down stays, in auth.json or where the next process finds it; nobody redeems a token twice."""
    if "replaced" in one.told and "replaced" not in one.sibling:
        assert one.found == one.new, told
    if one.recovered and not one.lost:
        assert one.recovered == ["replaced", f"renewed {one.new}"], told  # without a word to the issuer
    if one.lost:
        assert one.action == "refresh", told
        assert one.killed, told
        assert one.new is not None, told  # the issuer had rotated it for this process
        assert "kept" not in one.told, told
    if REUSED in one.sibling:
        assert one.lost, told
    if one.action == "refresh" and not one.killed:
        assert any(line.startswith("renewed") for line in one.told), told


def check_leftovers(one: Round, remains: int, told: str) -> int:
    """Each death leaves one temporary file at most, readable by nobody else, and the next write removes it."""
    remains += one.killed
    assert one.leftovers <= remains, told
    assert one.private, told
    return int(one.killed) if "replaced" in (*one.told, *one.sibling) else remains


def check_undisturbed(one: Round, told: str) -> None:
    """Whatever has happened before, the next refresh works and cleans up."""
    assert one.told == ["kept", "replaced", f"renewed {one.new}"], told
    assert one.found == one.new, told
    assert one.leftovers == 0, told
