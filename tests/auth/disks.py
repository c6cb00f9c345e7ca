"""Disks in the states that a home can be found in: read-only, full, with a file mounted over auth.json.

They are real mounts, because root, which tests in containers run as, is not stopped by permissions.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack, contextmanager
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
