from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from appserver.auth.refresh.base import RefreshRequest
from appserver.auth.refresh.command import CommandRefresher
from appserver.errors import RefreshError
from appserver.executable import find_executable
from tests.auth.manager_rig import external

if TYPE_CHECKING:
    from pathlib import Path

posix = pytest.mark.skipif(sys.platform == "win32", reason="any file is a program there")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a program in it."""
    folder = tmp_path / "current"
    folder.mkdir()
    program(folder / "my-sso")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder in PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def program(path: Path, mode: int = 0o755) -> str:
    path.write_text("#!/bin/sh\necho token\n")
    path.chmod(mode)
    return str(path)


def path(*folders: str | Path) -> dict[str, str]:
    return {"PATH": os.pathsep.join(map(str, folders))}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("relative", ["", ".", "../current"])
@pytest.mark.parametrize("windows", [False, True])
def test_the_current_directory_is_not_looked_in(relative: str, windows: bool, installed: Path) -> None:
    assert find_executable("my-sso", path(relative, installed), windows=windows) is None
    meant = program(installed / "my-sso")
    assert find_executable("my-sso", path(relative, installed), windows=windows) == meant


@posix
def test_the_first_program_of_that_name_is_taken(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "tool").mkdir()  # a folder is none
    program(installed / "tool", mode=0o644)  # and a text is none
    later = tmp_path / "later"
    later.mkdir()
    meant = program(later / "tool")
    assert find_executable("tool", path(tmp_path, installed, later)) == meant
    assert find_executable("tool", path(tmp_path, installed)) is None


def test_windows_adds_what_programs_end_with(installed: Path) -> None:
    meant = program(installed / "tool.BAT")
    assert find_executable("tool", path(installed), windows=True) == meant
    assert find_executable("tool", path(installed) | {"PATHEXT": ".EXE"}, windows=True) is None
    assert find_executable("tool.BAT", path(installed), windows=True) == meant


@pytest.mark.parametrize("name", ["./my-sso", "/nowhere/my-sso"])
def test_a_name_with_a_folder_in_it_is_taken_as_it_is(name: str) -> None:
    assert find_executable(name, {}) == name


@posix
@pytest.mark.anyio
@pytest.mark.usefixtures("folder")
async def test_a_refresher_runs_no_program_of_the_current_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f".{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(RefreshError, match="my-sso could not be run: PATH does not lead to it"):
        await CommandRefresher(["my-sso", "token"]).refresh(RefreshRequest(external(), late=lambda _: None))
