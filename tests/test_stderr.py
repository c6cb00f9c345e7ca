"""The writer that owns stderr: nobody waits for it, and what it cannot keep it counts. Real pipes."""

from __future__ import annotations

import os
import re
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from appserver.stderr import MAX_QUEUED_BYTES, StderrWriter
from tests.log_form import FORM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BOUND = 20.0
PIPE_BYTES = 256 * 1024
"""More than a pipe holds on any platform."""

needs_dev_full = pytest.mark.skipif(sys.platform != "linux", reason="there is no /dev/full")


class Pipe:
    """A pipe and the writer that owns one end of it."""

    def __init__(self) -> None:
        self.read_fd, self.write_fd = os.pipe()
        self.writer = StderrWriter(self.write_fd)

    def read_until(self, wanted: bytes) -> list[str]:
        """Read until this has come, and return the lines."""
        told = b""
        while wanted not in told:
            chunk = os.read(self.read_fd, 65536)
            assert chunk, told
            told += chunk
        return told.decode().splitlines()

    def fill(self) -> None:
        """Let the writer wait for room: it has begun a line that is more than the pipe holds."""
        self.writer.write("x" * PIPE_BYTES + "\n")
        assert os.read(self.read_fd, 1) == b"x"

    def stop_reading(self) -> None:
        os.close(self.read_fd)
        self.read_fd = -1

    def close(self) -> None:
        if self.read_fd >= 0:
            self.stop_reading()  # a writer that waits for room finds that out
        self.writer.close(BOUND)
        os.close(self.write_fd)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


def in_time(function: Callable[[], object]) -> None:
    """Run a function that must not block."""
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    thread.join(BOUND)
    assert not thread.is_alive(), "it waits for the reader"


def numbered(count: int) -> Iterator[str]:
    return (f"line {number} {'x' * 80}\n" for number in range(count))


def test_lines_come_out_in_order(pipe: Pipe) -> None:
    writer = pipe.writer
    for line in numbered(1000):
        writer.write(line)
    assert pipe.read_until(b"line 999 x") == [line.rstrip("\n") for line in numbered(1000)]


def test_nobody_waits_for_a_reader_that_does_not_read_and_the_newest_lines_are_kept(pipe: Pipe) -> None:
    for end in ("first\n", "second\n"):
        pipe.fill()
        in_time(lambda: [pipe.writer.write(line) for line in numbered(50_000)])
        pipe.writer.write(end)
        _, notice, *kept, _ = pipe.read_until(end.encode())
        assert FORM.fullmatch(notice)
        lost = int(re.findall(r"(\d+) log lines were dropped", notice)[0])
        assert kept == [line.rstrip("\n") for line in numbered(50_000)][lost:]
        assert MAX_QUEUED_BYTES * 0.7 < sum(len(line) + 1 for line in kept) <= MAX_QUEUED_BYTES


def test_waiting_for_the_last_lines_has_a_bound(pipe: Pipe) -> None:
    pipe.fill()
    pipe.writer.write("never read\n")
    in_time(lambda: pipe.writer.close(within=0.01))


def test_waiting_for_the_last_lines_ends_when_they_are_written(pipe: Pipe) -> None:
    pipe.writer.close(BOUND)  # nothing was written
    for line in ("one\n", "two\n"):
        pipe.writer.write(line)
        pipe.writer.close(BOUND)
    assert pipe.read_until(b"two\n") == ["one", "two"]


def test_a_reader_that_has_gone_is_no_harm(pipe: Pipe) -> None:
    pipe.stop_reading()
    for line in numbered(1000):
        pipe.writer.write(line)
    in_time(lambda: pipe.writer.close(BOUND))


@needs_dev_full
def test_a_full_disk_is_no_harm_and_the_loss_is_told_once_there_is_room(pipe: Pipe) -> None:
    target = os.open("/dev/full", os.O_WRONLY)
    writer = StderrWriter(target)
    for _ in range(3):
        writer.write("lost\n")
    writer.close(BOUND)
    os.dup2(pipe.write_fd, target)
    writer.write("written\n")
    written, notice = pipe.read_until(b"did not take them\n")
    assert written == "written"
    assert "3 log lines were dropped" in notice
    writer.close(BOUND)
    os.close(target)


def test_a_pipe_that_another_process_made_non_blocking_is_waited_for(pipe: Pipe) -> None:
    if sys.platform == "win32":
        pytest.skip("pipes are always blocking there")
    os.set_blocking(pipe.write_fd, False)
    writer = pipe.writer
    for line in numbered(5000):  # more than the pipe, less than the queue
        writer.write(line)
    assert pipe.read_until(b"line 4999 x") == [line.rstrip("\n") for line in numbered(5000)]


def test_where_no_thread_can_be_started_lines_are_counted(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        pipe.writer.write("lost\n")
    pipe.writer.write("written\n")
    written, notice = pipe.read_until(b"did not take them\n")
    assert written == "written"
    assert "1 log lines were dropped" in notice


def test_what_no_encoding_knows_is_written_all_the_same(pipe: Pipe) -> None:
    pipe.writer.write("a lone \udc80 surrogate\n")
    assert pipe.read_until(b"surrogate\n") == ["a lone \\udc80 surrogate"]


def test_a_descriptor_of_a_file_is_written_to_its_end(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        writer = StderrWriter(file.fileno())
        for line in numbered(100):
            writer.write(line)
        writer.close(BOUND)
    assert (tmp_path / "log").read_text().splitlines() == [line.rstrip("\n") for line in numbered(100)]
