"""The stderr of a serving process: log lines and whatever else is printed, written by a thread of its own.

The parent process may have a pipe there that it never reads. Once that is full, writing to it blocks, and must not
block the server. So lines are queued, and only the thread writes them. When the queue is full, the oldest lines are
dropped: the newest say why a process has ended. Does not import threading before there is a line.
"""

from __future__ import annotations

import atexit
import io
import os
import select
import stat
import sys
from typing import TYPE_CHECKING, TextIO, cast

from appserver.log import log_exception, log_printed, prepare_logging, warning_line

if TYPE_CHECKING:
    from queue import SimpleQueue
    from threading import Thread
    from types import TracebackType

    from _typeshed import ReadableBuffer

STDOUT, STDERR = 1, 2

MAX_QUEUED_BYTES = 1024 * 1024
"""What may wait for a slow reader: some thousand lines."""

CLOSE_SECONDS = 0.5
"""How long the end of the process waits for the last lines to be read. A reader needs a thousandth of it."""

MAX_PRINTED_BYTES = 32 * 1024
"""How much of a line is held that is printed in pieces."""


class StderrWriter:
    """Writes lines to a descriptor and never lets a caller wait. What logging needs of a stream."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._queue: SimpleQueue[bytes | None] | None = None  # made with the thread; None ends it
        self._thread: Thread | None = None
        # Each is changed by one side only, so that no lock is needed: a finalizer may log in the middle of anything.
        self._queued = 0  # bytes, by the callers; logging has them take turns
        self._taken = 0  # bytes, by the thread
        self._dropped = 0  # lines, by the callers
        self._unwritten = 0  # lines, by the thread: a full disk, or no reader
        self._told = 0  # of both, by the thread

    def write(self, line: str) -> int:
        """Queue a line, with its end."""
        try:
            queue = self._queue or self._start()
        except RuntimeError:  # no thread can be started: the interpreter ends, or the system has too many
            self._dropped += 1
            return len(line)
        encoded = line.encode("utf-8", "backslashreplace")
        self._queued += len(encoded)
        while self._queued - self._taken > MAX_QUEUED_BYTES and not queue.empty():
            self._drop_oldest(queue)
        queue.put(encoded)
        return len(line)

    def flush(self) -> None:
        """Do nothing: logging flushes after each record, and must not wait."""

    def close(self, within: float = CLOSE_SECONDS) -> None:
        """Wait until what is queued has been written, but for no longer than so many seconds, and end the thread."""
        if self._queue is None or self._thread is None:
            return
        self._queue.put(None)
        self._thread.join(within)
        if not self._thread.is_alive():
            self._queue = self._thread = None

    def _start(self) -> SimpleQueue[bytes | None]:
        from queue import SimpleQueue
        from threading import Thread

        queue: SimpleQueue[bytes | None] = SimpleQueue()
        # A daemon: the end of the process does not wait for a write that blocks.
        thread = Thread(target=self._run, args=(queue,), name="stderr", daemon=True)
        thread.start()
        self._queue, self._thread = queue, thread
        return queue

    def _drop_oldest(self, queue: SimpleQueue[bytes | None]) -> None:
        from queue import Empty

        try:
            oldest = queue.get_nowait()
        except Empty:  # the thread was quicker
            return
        if oldest is None:
            queue.put(None)
        else:
            self._queued -= len(oldest)
            self._dropped += 1

    # The thread

    def _run(self, queue: SimpleQueue[bytes | None]) -> None:
        while (line := queue.get()) is not None:
            if self._put_out(line):
                self._tell_losses()
            else:
                self._unwritten += 1
            self._taken += len(line)

    def _tell_losses(self) -> None:
        """Say how many lines are missing here: what is dropped is dropped while the line before it is written."""
        lost = self._dropped + self._unwritten - self._told
        if lost:
            notice = warning_line(f"{lost} log lines were dropped: stderr did not take them")
            if self._put_out(f"{notice}\n".encode()):
                self._told += lost

    def _put_out(self, line: bytes) -> bool:
        """Write a line, however long that takes. Returns False where it cannot be written."""
        view = memoryview(line)
        while view:
            try:
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:
                select.select([], [self._fd], [])
            except OSError:
                return False
        return True


class _Printed(io.RawIOBase):
    """Logs what is printed to it, line by line."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = f"<{name}>"
        self._name = name
        self._begun = b""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return STDERR  # for child processes that are to write here

    def write(self, data: ReadableBuffer) -> int:
        printed = bytes(data)
        *lines, self._begun = (self._begun + printed).split(b"\n")
        if len(self._begun) > MAX_PRINTED_BYTES:
            lines.append(self._begun)
            self._begun = b""
        for line in lines:
            if text := line.decode("utf-8", "replace").strip():
                log_printed(text, self._name)
        return len(printed)


def claim_stderr(directives: str) -> StderrWriter:
    """Let a writer own stderr, and log what is printed. To be called when stdout is stderr, too (`Stdio.claim`)."""
    _cannot_block(STDERR)
    writer = StderrWriter(STDERR)
    prepare_logging(directives, cast(TextIO, writer))
    for name in ("stdout", "stderr"):
        stream = io.TextIOWrapper(_Printed(name), "utf-8", "backslashreplace", newline="\n", write_through=True)
        for attribute in (name, f"__{name}__"):
            setattr(sys, attribute, stream)
    sys.excepthook = _log_uncaught
    atexit.register(writer.close)
    return writer


def _log_uncaught(_: type[BaseException], exc: BaseException, __: TracebackType | None) -> None:
    log_exception("the server ends because of an unexpected error", exc)


def _cannot_block(fd: int) -> None:
    """Where it can be done, let nothing that is written to a pipe by C code (faulthandler, say) wait for its reader.

    O_NONBLOCK belongs to what was opened rather than to the descriptor, and our parent shares that. Linux can open the
    same pipe once more.
    """
    try:
        if not stat.S_ISFIFO(os.fstat(fd).st_mode) or not sys.platform.startswith("linux"):
            return
        opened = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK)
    except OSError:  # no /proc, another user's pipe, or no reader
        return
    for descriptor in (STDOUT, fd):
        os.dup2(opened, descriptor)
    os.close(opened)
