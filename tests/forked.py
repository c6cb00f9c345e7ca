"""`appserver` commands in processes that are forked from one which has imported what a command needs.

To import that takes most of what a command takes. Where processes cannot be forked, each imports for itself.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from appserver.cli import run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"

RUN_SECONDS = 30.0
"""What a command may take, on a busy machine."""


class Ended(NamedTuple):
    """A command that has ended."""

    code: int | None
    out: str
    err: str


def run_forked(words: Sequence[str], environ: Mapping[str, str], stdin: str, preload: str) -> Ended:
    """Run a command to its end. `preload`: the module that is imported once."""
    context: Any = multiprocessing.get_context(METHOD)
    context.set_forkserver_preload(["appserver.cli", preload])
    with TemporaryDirectory() as directory:
        files = [Path(directory, name) for name in ("in", "out", "err")]
        files[0].write_text(stdin, encoding="utf-8")
        process = context.Process(target=_run, args=(list(words), dict(environ), [str(one) for one in files]))
        process.start()
        process.join(RUN_SECONDS)
        if process.exitcode is None:
            process.kill()
            process.join()
        ended = Ended(process.exitcode, *(one.read_text("utf-8") for one in files[1:]))
        process.close()
    return ended


def _run(words: list[str], environ: dict[str, str], files: list[str]) -> None:
    os.environ.clear()
    os.environ.update(environ)
    for number, file in enumerate(files):
        opened = os.open(file, os.O_RDWR | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, mode, encoding="utf-8", closefd=False) for number, mode in enumerate("rww")
    )
    try:
        sys.exit(run(words))
    finally:
        sys.stdout.flush()
