"""How a parent that has gone is noticed. That a real one ends the server is shown in e2e/test_process.py."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field

import pytest

from appserver.parent_process import ParentProcess, WindowsParent, windows_processes

PARENT, OURS = 5, 100


@dataclass
class FakeWindows:
    """Processes by their id, with the time at which each was started. A handle is the id plus 1000."""

    started_at: dict[int, int] = field(default_factory=lambda: {PARENT: OURS - 1})
    ended: set[int] = field(default_factory=set)
    forbidden: bool = False

    def open(self, process_id: int) -> int | None:
        if self.forbidden:
            raise PermissionError("access is denied")
        return process_id + 1000 if process_id in self.started_at else None

    def started(self, handle: int | None) -> int:
        return OURS if handle is None else self.started_at[handle - 1000]

    def has_ended(self, handle: int) -> bool:
        return handle - 1000 in self.ended


def test_a_parent_that_lives_has_not_gone() -> None:
    assert not ParentProcess().has_gone()
    assert not WindowsParent(PARENT, FakeWindows()).has_gone()


def test_on_windows_a_parent_that_ends_has_gone_though_its_id_stays() -> None:
    windows = FakeWindows()
    parent = WindowsParent(PARENT, windows)
    windows.ended.add(PARENT)
    assert parent.has_gone()
    assert parent.has_gone()


def test_on_windows_a_parent_that_ended_before_it_was_looked_for_has_gone() -> None:
    assert WindowsParent(PARENT, FakeWindows(started_at={})).has_gone()


def test_on_windows_a_younger_process_with_the_id_of_the_parent_is_not_the_parent() -> None:
    assert WindowsParent(PARENT, FakeWindows(started_at={PARENT: OURS + 1})).has_gone()


def test_on_windows_a_parent_that_was_started_in_the_same_tick_is_the_parent() -> None:
    assert not WindowsParent(PARENT, FakeWindows(started_at={PARENT: OURS})).has_gone()


def test_on_windows_a_parent_that_may_not_be_watched_is_taken_to_live() -> None:
    assert not WindowsParent(PARENT, FakeWindows(forbidden=True)).has_gone()


@pytest.mark.skipif(sys.platform != "win32", reason="asks Windows itself")
def test_windows_tells_of_a_process_that_lives_and_of_one_that_has_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        processes = windows_processes()
        handle = processes.open(child.pid)
        assert handle is not None
        assert processes.started(handle) >= processes.started(None)
        assert not processes.has_ended(handle)
        child.communicate(b"\n")
    assert processes.has_ended(handle)
