"""Locks between processes, with real ones: one holder at a time, freed by the system, never deleted."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import anyio
import pytest

from appserver.auth.stores.file_lock import FileLock
from appserver.errors import StoreBusy, StoreError
from tests.auth.disks import read_only

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    Take: TypeAlias = Callable[[FileLock], Awaitable[None]]

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
import anyio
from appserver.auth.stores.file_lock import FileLock

path, form, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
lock = FileLock(path, "change", 60)

def add_one():
    path.write_text(str(int(path.read_text()) + 1))

async def add_waiting():
    for _ in range(rounds):
        async with lock.held_waiting():
            add_one()

if form == "async":
    anyio.run(add_waiting)
else:
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


@pytest.fixture(params=["sync", "async"])
def take(request: pytest.FixtureRequest) -> Take:
    """Take a lock and give it back, in either form."""

    async def take_blocking(lock: FileLock) -> None:
        with lock.held():
            pass

    async def take_waiting(lock: FileLock) -> None:
        async with lock.held_waiting():
            pass

    return take_blocking if request.param == "sync" else take_waiting


def lock_on(path: Path, patience: float = WAIT_SECONDS, purpose: str = "change") -> FileLock:
    return FileLock(path, purpose, patience)


@pytest.mark.anyio
async def test_a_stuck_holder_leads_to_an_error_that_names_it(guarded: Path, take: Take) -> None:
    with holder(guarded) as process:
        with pytest.raises(StoreError) as caught:
            await take(lock_on(guarded, patience=0.1))
        assert str(caught.value) == (
            f"{guarded}.change.lock: held by another process ({process.pid} -c) for more than 0.1s"
        )


@pytest.mark.anyio
async def test_without_patience_a_lock_that_is_held_is_found_out_at_once(guarded: Path, take: Take) -> None:
    with holder(guarded) as process:
        with pytest.raises(StoreBusy) as caught:
            await take(lock_on(guarded, patience=0))
        assert str(caught.value) == f"{guarded}.change.lock: held by another process ({process.pid} -c)"


@pytest.mark.anyio
async def test_a_free_lock_is_taken_without_patience(guarded: Path, take: Take) -> None:
    await take(lock_on(guarded, patience=0))


@pytest.mark.anyio
async def test_a_killed_holder_frees_the_lock(guarded: Path, take: Take) -> None:
    with holder(guarded) as process:
        process.kill()
        process.wait(WAIT_SECONDS)
        await take(lock_on(guarded))


@pytest.mark.anyio
async def test_a_waiter_gets_the_lock_when_its_holder_leaves(guarded: Path) -> None:
    with holder(guarded) as process:
        order: list[str] = []

        async def wait() -> None:
            async with lock_on(guarded).held_waiting():
                order.append("taken")

        with anyio.fail_after(WAIT_SECONDS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await anyio.lowlevel.checkpoint()
                order.append("the loop goes on")
                assert process.stdin is not None
                process.stdin.close()
    assert order == ["the loop goes on", "taken"]


@pytest.mark.anyio
async def test_a_cancelled_waiter_holds_nothing(guarded: Path) -> None:
    with holder(guarded):
        with anyio.move_on_after(0.1) as scope:
            async with lock_on(guarded).held_waiting():
                pass
        assert scope.cancelled_caught
    with lock_on(guarded, patience=1).held():
        pass


@pytest.mark.anyio
async def test_an_error_inside_frees_the_lock(guarded: Path, take: Take) -> None:
    with pytest.raises(ZeroDivisionError), lock_on(guarded).held():
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError):
        async with lock_on(guarded).held_waiting():
            raise ZeroDivisionError
    await take(lock_on(guarded, patience=0.5))


@pytest.mark.anyio
async def test_two_locks_in_one_process_exclude_each_other_in_both_forms(guarded: Path, take: Take) -> None:
    with lock_on(guarded).held(), pytest.raises(StoreError, match=f"\\({os.getpid()} "):
        await take(lock_on(guarded, patience=0.1))
    async with lock_on(guarded).held_waiting():
        with pytest.raises(StoreError, match=f"\\({os.getpid()} "):
            await take(lock_on(guarded, patience=0.1))


@pytest.mark.anyio
async def test_locks_of_different_purposes_do_not_wait_for_each_other(guarded: Path, take: Take) -> None:
    with lock_on(guarded, purpose="refresh").held():
        await take(lock_on(guarded, patience=0.5))


def test_many_processes_in_both_forms_lose_no_change(guarded: Path) -> None:
    guarded.write_text("0")
    rounds = 25
    forms = ["sync", "async"] * 3
    running = [subprocess.Popen([sys.executable, "-c", COUNT, str(guarded), form, str(rounds)]) for form in forms]
    assert [process.wait(60) for process in running] == [0] * len(forms)
    assert guarded.read_text() == str(rounds * len(forms))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("started", "name"),
    [("/usr/bin/appserver", "appserver"), ("/site-packages/appserver/__main__.py", "appserver"), ("", "python")],
)
async def test_the_lock_file_stays_private_and_says_who_had_it_last(
    guarded: Path, take: Take, monkeypatch: pytest.MonkeyPatch, started: str, name: str
) -> None:
    monkeypatch.setattr(sys, "argv", [started])
    path = guarded.with_name("auth.json.change.lock")
    await take(lock_on(guarded))
    inode = path.stat().st_ino
    await take(lock_on(guarded))
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


@pytest.mark.anyio
@pytest.mark.parametrize("linked", ["file", "directory"])
async def test_a_symbolic_link_and_its_target_share_a_lock(tmp_path: Path, linked: str, take: Take) -> None:
    real = tmp_path / "real" / "auth.json"
    real.parent.mkdir()
    if linked == "file":
        other = tmp_path / "auth.json"
        other.symlink_to(real)
    else:
        (tmp_path / "link").symlink_to("real")
        other = tmp_path / "link" / "auth.json"
    with holder(real), pytest.raises(StoreError, match="held by another process"):
        await take(lock_on(other, patience=0.1))


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


@pytest.mark.anyio
async def test_a_file_without_room_for_a_lock_has_one_too(home: Path, take: Take, tmp_path: Path) -> None:
    guarded = home / "auth.json"
    with read_only(home):
        lock = lock_on(guarded, 0)
        try:
            with (
                holder_at("change", tmp_path, APPSERVER_HOME=str(home), TMPDIR=str(tmp_path)),
                pytest.raises(StoreBusy, match="held by another process"),
            ):
                await take(lock)
            await take(lock_on(guarded))
            assert list(home.iterdir()) == []
        finally:
            lock._path.unlink(missing_ok=True)


@pytest.mark.anyio
async def test_a_lock_file_that_is_there_counts_also_for_those_who_could_not_make_it(home: Path, take: Take) -> None:
    guarded = home / "auth.json"
    with holder(guarded), read_only(home), pytest.raises((StoreBusy, StoreError), match=r"auth\.json\.change\.lock: "):
        await take(lock_on(guarded, 0))


@pytest.mark.anyio
async def test_what_is_no_lock_file_is_an_error(guarded: Path, take: Take) -> None:
    guarded.with_name("auth.json.change.lock").mkdir()
    with pytest.raises(StoreError, match=r"auth\.json\.change\.lock: cannot be locked"):
        await take(lock_on(guarded, patience=0.1))
