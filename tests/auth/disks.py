"""Disks in the states that a home can be found in: read-only, full, with a file mounted over auth.json.

They are real mounts, because root, which tests in containers run as, is not stopped by permissions.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
from contextlib import ExitStack, chdir, contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO
    from pathlib import Path


@contextmanager
def mounted(*arguments: str, on: Path) -> Iterator[None]:
    """Mount something for as long as the test runs; skip the test where that is not possible."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting takes Linux and root")
    done = subprocess.run(["mount", *arguments, str(on)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not possible here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(on)], check=True)


def remount_read_only(path: Path, *options: str) -> None:
    subprocess.run(["mount", "-o", ",".join(("remount", "ro", *options)), str(path)], check=True)


@contextmanager
def read_only(directory: Path) -> Iterator[None]:
    """Make a directory read-only, for root too."""
    if sys.platform == "win32":
        pytest.skip("directories are not read-only there")
    with ExitStack() as stack:
        if os.geteuid() == 0:
            stack.enter_context(mounted("--bind", str(directory), on=directory))
            remount_read_only(directory, "bind")
        else:
            directory.chmod(0o500)
            stack.callback(directory.chmod, 0o700)
        yield


@contextmanager
def immutable(file: Path) -> Iterator[None]:
    """Let nobody change a file, root included."""
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("chattr") is None:
        pytest.skip("making a file immutable takes Linux, root and chattr(1)")
    done = subprocess.run(["chattr", "+i", str(file)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"files cannot be made immutable here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", str(file)], check=True)


def device(path: Path, like: str) -> Path:
    """Make a device as /dev has it. Not that one itself: root could replace it."""
    if sys.platform == "win32":
        pytest.skip("there are no such files")
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.stat(like).st_rdev)
    except OSError:
        pytest.skip("making a device takes root")
    return path


def occupy(path: Path, kind: str) -> None:
    """Put something in place of a file: a directory, a pipe, a socket, a device, or a link to one."""
    other = path.with_name("elsewhere")
    match kind:
        case "directory":
            path.mkdir()
        case "pipe" if sys.platform != "win32":
            os.mkfifo(path)
        case "socket" if sys.platform != "win32":
            with socket.socket(socket.AF_UNIX) as listener, chdir(path.parent):  # their paths are short
                listener.bind(path.name)
        case "loop":
            path.symlink_to(path.name)
        case "/dev/null" | "/dev/zero":
            path.symlink_to(device(other, kind))
        case _:
            pytest.skip("there are no such files")


OCCUPANTS = {
    "directory": "it is a directory",
    "pipe": "it is a pipe",
    "socket": "it is a socket",
    "loop": "it is a link that leads to itself",
    "/dev/null": "it is a device",
    "/dev/zero": "it is a device",
}
"""What may be in place of a file, and what an error says of it."""


@contextmanager
def small_disk(directory: Path) -> Iterator[None]:
    """Put a disk of 64 KiB there."""
    with mounted("-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", on=directory):
        yield


def fill(directory: Path) -> None:
    """Use up what is left of a small disk."""
    with (directory / "filler").open("wb", buffering=0) as file:
        while has_room(file):
            pass


def has_room(file: FileIO) -> bool:
    try:
        return file.write(b"x" * 4096) == 4096
    except OSError:
        return False


def names(directory: Path) -> set[str]:
    """What is in a directory, but for lock files."""
    return {path.name for path in directory.iterdir() if path.suffix != ".lock"}


def fail(patch: pytest.MonkeyPatch, function: str, number: int) -> None:
    """Let a function of `os` fail with this errno."""

    def failing(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    patch.setattr(os, function, failing)
