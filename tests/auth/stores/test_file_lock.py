"""Locks between processes, with real ones: one holder at a time, freed by the system, never deleted."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from appserver.auth.stores.file_lock import FileLock
from appserver.errors import StoreBusy, StoreError
from tests.auth.disks import read_only

if TYPE_CHECKING:
    from collections.abc import Iterator

WAIT_SECONDS = 20.0

ROOT = Path(__file__).parents[3]

HOLD = """
import sys
from pathlib import Path
from appserver.auth.stores.file_lock import FileLock

with FileLock(Path(sys.argv[1]), "change", 10).held():
    sys.stdout.write("held\\n")
    sys.stdout.flush()
    sys.stdin.read()
"""

COUNT = """
import sys
from pathlib import Path
from appserver.auth.stores.file_lock import FileLock

path, rounds = Path(sys.argv[1]), int(sys.argv[2])
lock = FileLock(path, "change", 60)

def add_one():
    path.write_text(str(int(path.read_text()) + 1))

for _ in range(rounds):
    with lock.held():
        add_one()
"""


@contextmanager
def holder(guarded: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the lock until its input ends."""
    command = [sys.executable, "-c", HOLD, str(guarded)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def guarded(tmp_path: Path) -> Path:
    return tmp_path / "auth.json"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir()
    return path


def take(lock: FileLock) -> None:
    """Take a lock and give it back."""
    with lock.held():
        pass


def lock_on(path: Path, patience: float = WAIT_SECONDS, purpose: str = "change") -> FileLock:
    return FileLock(path, purpose, patience)


def test_a_stuck_holder_leads_to_an_error_that_names_it(guarded: Path) -> None:
    with holder(guarded) as process:
        with pytest.raises(StoreError) as caught:
            take(lock_on(guarded, patience=0.1))
        assert str(caught.value) == (
            f"{guarded}.change.lock: held by another process ({process.pid} -c) for more than 0.1s"
        )


def test_without_patience_a_lock_that_is_held_is_found_out_at_once(guarded: Path) -> None:
    with holder(guarded) as process:
        with pytest.raises(StoreBusy) as caught:
            take(lock_on(guarded, patience=0))
        assert str(caught.value) == f"{guarded}.change.lock: held by another process ({process.pid} -c)"


def test_a_free_lock_is_taken_without_patience(guarded: Path) -> None:
    take(lock_on(guarded, patience=0))


def test_a_killed_holder_frees_the_lock(guarded: Path) -> None:
    with holder(guarded) as process:
        process.kill()
        process.wait(WAIT_SECONDS)
        take(lock_on(guarded))


def test_an_error_inside_frees_the_lock(guarded: Path) -> None:
    with pytest.raises(ZeroDivisionError), lock_on(guarded).held():
        raise ZeroDivisionError
    take(lock_on(guarded, patience=0.5))


def test_two_locks_in_one_process_exclude_each_other(guarded: Path) -> None:
    with lock_on(guarded).held(), pytest.raises(StoreError, match=f"\\({os.getpid()} "):
        take(lock_on(guarded, patience=0.1))


def test_locks_of_different_purposes_do_not_wait_for_each_other(guarded: Path) -> None:
    with lock_on(guarded, purpose="refresh").held():
        take(lock_on(guarded, patience=0.5))


def test_many_processes_lose_no_change(guarded: Path) -> None:
    guarded.write_text("0")
    rounds = 25
    running = [subprocess.Popen([sys.executable, "-c", COUNT, str(guarded), str(rounds)]) for _ in range(6)]
    assert [process.wait(60) for process in running] == [0] * len(running)
    assert guarded.read_text() == str(rounds * len(running))


@pytest.mark.parametrize(
    ("started", "name"),
    [("/usr/bin/appserver", "appserver"), ("/site-packages/appserver/__main__.py", "appserver"), ("", "python")],
)
def test_the_lock_file_stays_private_and_says_who_had_it_last(
    guarded: Path, monkeypatch: pytest.MonkeyPatch, started: str, name: str
) -> None:
    monkeypatch.setattr(sys, "argv", [started])
    path = guarded.with_name("auth.json.change.lock")
    take(lock_on(guarded))
    inode = path.stat().st_ino
    take(lock_on(guarded))
    assert path.stat().st_ino == inode
    assert path.read_text() == f"{os.getpid()} {name}\n"
    if os.name != "nt":
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_longer_name_of_an_earlier_holder_is_not_left(guarded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["appserver"])
    path = guarded.with_name("auth.json.change.lock")
    path.write_text("4194304 a-program-with-a-very-long-name-indeed-and-more-after-it\n")
    with lock_on(guarded).held():
        assert path.read_text() == f"{os.getpid()} appserver\n"


@pytest.mark.parametrize("linked", ["file", "directory"])
def test_a_symbolic_link_and_its_target_share_a_lock(tmp_path: Path, linked: str) -> None:
    real = tmp_path / "real" / "auth.json"
    real.parent.mkdir()
    if linked == "file":
        other = tmp_path / "auth.json"
        other.symlink_to(real)
    else:
        (tmp_path / "link").symlink_to("real")
        other = tmp_path / "link" / "auth.json"
    with holder(real), pytest.raises(StoreError, match="held by another process"):
        take(lock_on(other, patience=0.1))


HOLD_AT_HOME = """
import os, sys
from appserver.auth.stores.atomic_file import PrivateFile
from appserver.settings import home_directory

with PrivateFile(os.path.join(home_directory(os.environ), "auth.json")).lock(sys.argv[1], 0).held():
    sys.stdout.write("held\\n")
    sys.stdout.flush()
    sys.stdin.read()
"""


@contextmanager
def holder_at(purpose: str, cwd: Path, **environ: str) -> Iterator[None]:
    """A process that was told its home by the environment, and holds a lock of the auth.json there."""
    command = [sys.executable, "-c", HOLD_AT_HOME, purpose]
    told = {**os.environ, "PYTHONPATH": str(ROOT), **environ}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=cwd, env=told) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            process.kill()


@pytest.mark.parametrize("purpose", ["change", "refresh"])
@pytest.mark.parametrize(
    "environ",
    [
        {"APPSERVER_HOME": "{home}"},
        {"CODEX_HOME": "{home}"},
        {"APPSERVER_HOME": "home"},
        {"APPSERVER_HOME": "elsewhere/../home/."},
        {"CODEX_HOME": "linked-home"},
        {"CODEX_HOME": "home-with-linked-file"},
        {"APPSERVER_HOME": "", "CODEX_HOME": "", "HOME": "user"},
        {"APPSERVER_HOME": "{home}", "TMPDIR": "elsewhere"},
    ],
    ids=["absolute", "other variable", "relative", "detour", "linked home", "linked file", "by default", "TMPDIR"],
)
def test_one_file_has_one_lock_however_its_home_is_spelled(
    home: Path, tmp_path: Path, purpose: str, environ: dict[str, str]
) -> None:
    for directory in ("elsewhere", "home-with-linked-file", "user"):
        (tmp_path / directory).mkdir()
    (tmp_path / "linked-home").symlink_to("home")
    (tmp_path / "user" / ".codex").symlink_to(home)
    (tmp_path / "home-with-linked-file" / "auth.json").symlink_to("../home/auth.json")  # which does not exist yet
    told = {name: value.format(home=home) for name, value in environ.items()}
    with (
        holder_at(purpose, tmp_path, **told),
        pytest.raises(StoreBusy, match="held by another process"),
        lock_on(home / "auth.json", 0, purpose).held(),
    ):
        pass


def test_a_file_without_room_for_a_lock_has_one_too(home: Path, tmp_path: Path) -> None:
    guarded = home / "auth.json"
    with read_only(home):
        lock = lock_on(guarded, 0)
        try:
            with (
                holder_at("change", tmp_path, APPSERVER_HOME=str(home), TMPDIR=str(tmp_path)),
                pytest.raises(StoreBusy, match="held by another process"),
            ):
                take(lock)
            take(lock_on(guarded))
            assert list(home.iterdir()) == []
        finally:
            lock._path.unlink(missing_ok=True)


def test_a_lock_file_that_is_there_counts_also_for_those_who_could_not_make_it(home: Path) -> None:
    guarded = home / "auth.json"
    with holder(guarded), read_only(home), pytest.raises((StoreBusy, StoreError), match=r"auth\.json\.change\.lock: "):
        take(lock_on(guarded, 0))


def test_what_is_no_lock_file_is_an_error(guarded: Path) -> None:
    guarded.with_name("auth.json.change.lock").mkdir()
    with pytest.raises(StoreError, match=r"auth\.json\.change\.lock: cannot be locked"):
        take(lock_on(guarded, patience=0.1))
