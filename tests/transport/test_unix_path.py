from __future__ import annotations

import os
import socket
import stat
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from appserver.errors import ListenError
from appserver.transport.unix_path import MAX_PATH_BYTES, bind, connect, default_path

if TYPE_CHECKING:
    from collections.abc import Iterator

if sys.platform == "win32":
    pytest.skip("Windows has no unix sockets", allow_module_level=True)

NOBODY = 65534
"""A user with no rights."""


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A directory with a path that is short enough for a socket."""
    with TemporaryDirectory() as directory:
        yield Path(directory)


def mode(path: str | Path) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


def abandoned(path: Path) -> None:
    """Leave a socket behind as a server does that was killed."""
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()


def test_the_socket_and_its_directory_are_for_their_owner_only(tmp_path: Path) -> None:
    path = default_path(str(tmp_path / "home"))
    with closing(bind(path).socket):
        assert mode(path) == 0o600
        assert mode(Path(path).parent) == 0o700


def test_the_directory_in_the_home_is_closed_to_others_if_it_was_open(tmp_path: Path) -> None:
    path = Path(default_path(str(tmp_path)))
    path.parent.mkdir(mode=0o755)
    with closing(bind(str(path)).socket):
        assert mode(path.parent) == 0o700


def test_a_directory_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(ListenError, match="other users may write to it"):
        bind(str(shared / "s"))


def test_a_socket_that_a_server_has_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    abandoned(path)
    with closing(bind(str(path)).socket):
        connect(str(path)).close()


def test_a_symbolic_link_to_a_socket_that_is_gone_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.symlink_to(tmp_path / "gone")
    with closing(bind(str(path)).socket):
        connect(str(path)).close()


def test_a_server_that_listens_is_named_and_left_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with closing(bind(path).socket):
        with pytest.raises(ListenError, match=f"{path}: another server is listening there"):
            bind(path)
        connect(path).close()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("mine", "utf-8")
    with pytest.raises(ListenError, match="no socket"):
        bind(str(path))
    assert path.read_text("utf-8") == "mine"


def test_a_path_that_is_too_long_is_refused_with_its_length(tmp_path: Path) -> None:
    path = str(tmp_path / ("x" * MAX_PATH_BYTES))
    for use in (bind, connect):
        with pytest.raises(ListenError, match=f"{len(path)} bytes, and {MAX_PATH_BYTES} at most"):
            use(path)


def test_the_longest_path_works(tmp_path: Path) -> None:
    room = MAX_PATH_BYTES - len(os.fsencode(tmp_path)) - 1
    path = str(tmp_path / ("x" * room))
    with closing(bind(path).socket):
        connect(path).close()


def test_a_socket_that_another_server_has_put_in_its_place_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    first = bind(str(path))
    first.socket.close()
    path.rename(tmp_path / "elsewhere")
    with closing(bind(str(path)).socket):
        first.release()
        connect(str(path)).close()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be another user")
def test_a_server_of_another_user_is_not_connected_to(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with closing(socket.socket(socket.AF_UNIX)) as theirs:
        os.seteuid(NOBODY)  # the peer's credentials are those at the time of listen()
        try:
            theirs.bind(b"\0" + os.fsencode(path))
            theirs.listen()
        finally:
            os.seteuid(0)
        with pytest.raises(ListenError, match="belongs to another user"):
            connect("\0" + str(path))
